//! A certificate authority of one test's own, and the certificate of a server at 127.0.0.1.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::server;

/// A new authority each time. Certificates and key are in a throwaway folder, in PEM.
#[derive(Debug)]
pub struct Authority(TempDir);

impl Authority {
    /// Makes the keys and the certificates, by `openssl`.
    pub fn new() -> Self {
        let authority = Self(tempfile::tempdir().unwrap());
        fs::write(authority.path("names"), "subjectAltName = IP:127.0.0.1, DNS:localhost\n").unwrap();
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let mut root = authority.openssl(&["req", "-x509", "-subj", "/CN=tests of acgs", "-days", "2"]);
        server::run(root.args(key).args(["-keyout", "ca.key", "-out", "ca.crt"]));
        let mut request = authority.openssl(&["req", "-subj", "/CN=localhost"]);
        server::run(request.args(key).args(["-keyout", "server.key", "-out", "server.csr"]));
        let mut sign = authority.openssl(&["x509", "-req", "-in", "server.csr", "-days", "2", "-extfile", "names"]);
        server::run(sign.args(["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.crt"]));
        authority
    }

    /// Whether there is an `openssl`.
    pub fn is_possible() -> bool {
        server::is_command("openssl")
    }

    fn openssl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(self.0.path());
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The certificate that clients must trust: for `sslrootcert`, or for `SSL_CERT_FILE` in a daemon's environment.
    pub fn root(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// The server's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.path("server.crt")
    }

    /// The server's key.
    pub fn key(&self) -> PathBuf {
        self.path("server.key")
    }

    /// Copies the server's certificate and key, `server.crt` and `server.key`, into a folder.
    pub fn put(&self, folder: &Path) {
        for from in [self.certificate(), self.key()] {
            fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
        }
    }
}
