//! An issuer that every daemon of the tests trusts, with a new key in each test process.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use acgs::auth::signing_key::SigningKey;
use serde_json::{Value, json};

/// What its tokens have as `iss`.
pub const ISSUER: &str = "https://tests.example";

/// Its key.
pub fn key() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate().unwrap())
}

/// Seconds since 1970.
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// The claims of a good token for somebody with a role.
pub fn claims(subject: &str, role: &str) -> Value {
    json!({"iss": ISSUER, "sub": subject, "aud": "acgs", "exp": now() + 3_600, "iat": now(), "roles": [role]})
}

/// A good token for somebody with a role.
pub fn token(subject: &str, role: &str) -> String {
    key().sign("at+jwt", &claims(subject, role)).unwrap()
}

/// The token of requests that do not say who calls.
pub fn admin() -> &'static str {
    static ADMIN: OnceLock<String> = OnceLock::new();
    ADMIN.get_or_init(|| token("admin", "admin"))
}

/// The same in a file of a folder.
pub fn admin_file(folder: &Path) -> PathBuf {
    let file = folder.join("admin.token");
    std::fs::write(&file, admin()).unwrap();
    file
}

/// Writes its public keys into a folder, and answers the setting that makes a daemon trust them.
pub fn trusted(folder: &Path) -> String {
    let file = folder.join("issuer.json");
    std::fs::write(&file, json!({"keys": [key().public_jwk()]}).to_string()).unwrap();
    format!("[{{ issuer = \"{ISSUER}\", jwks_file = \"{}\" }}]", file.display())
}
