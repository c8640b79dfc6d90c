//! What is counted: the steps of a decision.

use std::error::Error;
use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tempfile::TempDir;
use time::OffsetDateTime;
use uuid::Uuid;

use acgs::actors::decision::validator::cache_key;
use acgs::auth::claims::{self, AT_JWT, Expected, Typ};
use acgs::auth::jws::Unverified;
use acgs::auth::signing_key::SigningKey;
use acgs::constitution::{Bundle, Constitution};
use acgs::domain::{Evaluation, Object, UnknownMembers};
use acgs::ledger::{Batch, DecisionRecord, DiskStorage, Ledger, Options, SharedMembers};
use acgs::settings::{HashEnforcement, RequestProperties, RequestRecord};

use crate::bundles;

type Outcome = Result<(), Box<dyn Error>>;

/// Something that is repeated and counted.
pub struct Operation {
    pub name: &'static str,
    pub what: &'static str,
    /// How often it is repeated.
    pub times: u64,
    /// Prepares it and repeats it so many times.
    repeat: fn(u64) -> Outcome,
}

pub const OPERATIONS: [Operation; 6] = [
    Operation { name: "read", what: "read a question from JSON", times: 2_000, repeat: read },
    Operation { name: "key", what: "derive its key in the caches", times: 2_000, repeat: key },
    Operation { name: "decide", what: "decide it under 20 applicable policies", times: 2_000, repeat: decide },
    Operation { name: "slice", what: "the same among 2,000 that cannot apply", times: 10_000, repeat: slice },
    Operation { name: "token", what: "check an access token, with its signature", times: 200, repeat: token },
    Operation { name: "frame", what: "record 16 decisions in one frame of the log", times: 200, repeat: frame },
];

/// Repeats an operation so many times.
pub fn repeat(name: &str, times: u64) -> Outcome {
    let operation = OPERATIONS.iter().find(|operation| operation.name == name).ok_or("no such operation")?;
    (operation.repeat)(times)
}

/// A question as a caller sends it; no two of the same run are equal.
fn question(number: u64) -> String {
    format!(
        r#"{{"subject":{{"type":"user","id":"user-{number}","properties":{{"role":"editor"}}}},"action":{{"name":"write"}},"resource":{{"type":"record","id":"record-{number}","properties":{{"status":"active"}}}},"context":{{"risk":0}}}}"#
    )
}

fn evaluation(text: &str) -> Result<Evaluation, Box<dyn Error>> {
    let question: Object = serde_json::from_str(text)?;
    Ok(Evaluation::from_object(&question, UnknownMembers::Refused).map_err(|_| "a faulty question")?)
}

/// A constitution of which 20 policies apply to the question, and `others` cannot.
fn constitution(others: usize) -> Result<Constitution, Box<dyn Error>> {
    let folder = bundles::write(20, others)?;
    Ok(Constitution::from_bundle(&Bundle::read(folder.path())?)?)
}

fn read(times: u64) -> Outcome {
    for number in 0..times {
        black_box(evaluation(black_box(&question(number)))?);
    }
    Ok(())
}

fn key(times: u64) -> Outcome {
    let digest = constitution(0)?.digest();
    let evaluation = evaluation(&question(0))?;
    for _ in 0..times {
        black_box(cache_key(digest, RequestProperties::Merge, black_box(&evaluation)));
    }
    Ok(())
}

fn decide(times: u64) -> Outcome {
    decide_among(0, times)
}

fn slice(times: u64) -> Outcome {
    decide_among(2_000, times)
}

fn decide_among(others: usize, times: u64) -> Outcome {
    let constitution = constitution(others)?;
    let evaluation = evaluation(&question(0))?;
    for _ in 0..times {
        let verdict = constitution.decide(RequestProperties::Merge, black_box(&evaluation), |_| None);
        if !black_box(verdict).permits() {
            return Err("the measured question is denied".into());
        }
    }
    Ok(())
}

/// The key pair of RFC 8037, appendix A.1, in the form of RFC 8410, version 2: the work depends on the key.
fn signing_key() -> Result<SigningKey, Box<dyn Error>> {
    let mut pkcs8 = b"\x30\x53\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    pkcs8.extend(URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")?);
    pkcs8.extend(b"\xa1\x23\x03\x21\x00");
    pkcs8.extend(URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")?);
    Ok(SigningKey::from_pkcs8(&pkcs8)?)
}

fn token(times: u64) -> Outcome {
    const NOW: i64 = 1_700_000_000;
    let (key, issuer) = (signing_key()?, "https://acgs.example");
    let expected = Expected { issuer, audience: "acgs", typ: Typ::AtJwt, leeway_s: 30, role_claim: None };
    let claims = json!({
        "iss": issuer, "sub": "client:deployer", "aud": "acgs", "exp": NOW + 900, "iat": NOW, "jti": "token-1",
        "client_id": "deployer", "scope": "decide read", "roles": ["agent"],
    });
    let (token, verifying) = (key.sign(AT_JWT, &claims)?, key.verifying_key());
    for _ in 0..times {
        let unverified = Unverified::parse(black_box(&token))?;
        unverified.verify(&verifying)?;
        black_box(claims::check(&unverified, &expected, NOW)?);
    }
    Ok(())
}

fn frame(times: u64) -> Outcome {
    let constitution = constitution(0)?;
    let digest = constitution.digest().to_string();
    let evaluation = evaluation(&question(0))?;
    let verdict = constitution.decide(RequestProperties::Merge, &evaluation, |_| None);
    let folder = TempDir::new()?;
    let (mut ledger, _) = Ledger::open(DiskStorage::create(folder.path())?, Options::default())?;
    let at = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
    let mut batch = Batch::default();
    for number in 0..times {
        for item in 0..16 {
            let record = DecisionRecord {
                id: Uuid::from_u64_pair(number, item),
                at,
                caller: "anonymous",
                request_id: "",
                bench: None,
                evaluation: &evaluation,
                shortened: None,
                shared: &SharedMembers::default(),
                verdict: &verdict,
                hash: constitution.hash(),
                digest: &digest,
                hash_enforcement: HashEnforcement::WhenPresent,
                request_properties: RequestProperties::Merge,
                entities: None,
                cached: false,
            };
            record.push(RequestRecord::Full, &mut batch)?;
        }
        ledger.append(&batch)?;
        batch.clear();
    }
    Ok(())
}
