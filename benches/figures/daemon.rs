//! Starts the release binary for a measurement, in a folder that goes with it.

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use acgs::auth::signing_key::SigningKey;
use serde_json::json;
use tempfile::TempDir;

/// A running daemon.
pub struct Daemon {
    child: Child,
    data: TempDir,
    address: String,
    /// Of an issuer that the daemon trusts.
    key: SigningKey,
    /// From the start of the process to `READY=1`.
    pub until_ready: Duration,
}

impl Daemon {
    /// Starts a daemon under a constitution, with an empty data folder.
    pub fn start(constitution: &Path) -> io::Result<Self> {
        Self::start_on(TempDir::new_in(scratch())?, constitution)
    }

    /// Starts a daemon on a data folder that is there.
    pub fn start_on(data: TempDir, constitution: &Path) -> io::Result<Self> {
        Self::start_with(data, constitution, &[])
    }

    /// The same with more variables in its environment.
    pub fn start_with(data: TempDir, constitution: &Path, variables: &[(&str, &str)]) -> io::Result<Self> {
        let notices = data.path().join("notify.sock");
        drop(std::fs::remove_file(&notices));
        let socket = UnixDatagram::bind(&notices)?;
        socket.set_read_timeout(Some(Duration::from_mins(5)))?;
        let key = SigningKey::generate().map_err(io::Error::other)?;
        let since = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_acgs"))
            .arg("--settings")
            .arg(data.path())
            .env("ACGS_DATA_DIR", data.path().join("data"))
            .env("ACGS_HTTP__BIND", "127.0.0.1:0")
            .env("ACGS_CONSTITUTION__PATH", constitution)
            .env("ACGS_CONSTITUTION__EXPECTED_HASH", "")
            .env("ACGS_AUTH__ISSUERS", trusted(data.path(), &key)?)
            .env("NOTIFY_SOCKET", &notices)
            .envs(variables.iter().copied())
            .stderr(Stdio::null())
            .spawn()?;
        let mut notice = [0; 1024];
        let length = socket.recv(&mut notice)?;
        let until_ready = since.elapsed();
        let notice = String::from_utf8_lossy(notice.get(..length).unwrap_or_default()).into_owned();
        let address = notice.lines().find_map(|line| Some(line.split_once("http://")?.1.trim().to_owned()));
        let address =
            address.ok_or_else(|| io::Error::other(format!("the daemon did not say where it is: {notice}")))?;
        Ok(Self { child, data, address, key, until_ready })
    }

    /// The address it listens on.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A token of somebody with a role, good for an hour.
    pub fn token(&self, role: &str) -> Result<String, Box<dyn Error>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = json!({"iss": ISSUER, "sub": "bench", "aud": "acgs", "exp": now + 3_600, "roles": [role]});
        Ok(self.key.sign("at+jwt", &claims)?)
    }

    /// One request of an administrator on a connection of its own: the answer's body, and how long it took. Anything
    /// but a success is an error.
    pub fn request(&self, method: &str, path: &str, body: &str) -> Result<(String, Duration), Box<dyn Error>> {
        let (token, length) = (self.token("admin")?, body.len());
        let since = Instant::now();
        let mut stream = TcpStream::connect(self.address())?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let took = since.elapsed();
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.starts_with("HTTP/1.1 2") => Ok((body.to_owned(), took)),
            _ => Err(format!("{method} {path}: {answer}").into()),
        }
    }

    /// Its resident memory in MiB.
    pub fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kib.unwrap_or_default() / 1024.0
    }

    /// Stops it and gives its folder back.
    pub fn stop(mut self) -> io::Result<TempDir> {
        end(&mut self.child)?;
        let empty = TempDir::new_in(scratch())?;
        Ok(std::mem::replace(&mut self.data, empty))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(end(&mut self.child));
    }
}

fn end(child: &mut Child) -> io::Result<()> {
    if child.try_wait()?.is_none() {
        Command::new("kill").arg("-TERM").arg(child.id().to_string()).status()?;
        child.wait()?;
    }
    Ok(())
}

/// What tokens of the benches have as `iss`.
const ISSUER: &str = "https://bench.example";

/// The setting that makes a daemon trust a key.
fn trusted(folder: &Path, key: &SigningKey) -> io::Result<String> {
    let file = folder.join("issuer.json");
    std::fs::write(&file, json!({"keys": [key.public_jwk()]}).to_string())?;
    Ok(format!("[{{ issuer = \"{ISSUER}\", jwks_file = \"{}\" }}]", file.display()))
}

/// A folder on a real disk: the system's temporary folder may be memory, where a sync costs nothing.
pub fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
