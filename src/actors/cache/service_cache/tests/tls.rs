//! TLS, with certificates that the system trusts. Which those are is taken from the environment when a process first
//! asks, so this runs the test once more with another one.

use std::path::Path;
use std::process::Command;

use super::super::private_redis::free_port;
use super::*;

/// Holds the port in the inner process.
const PORT: &str = "ACGS_TEST_REDIS_TLS_PORT";
const NAME: &str = "actors::cache::service_cache::tests::tls::only_a_server_that_the_system_trusts_is_used";

#[actix::test]
async fn only_a_server_that_the_system_trusts_is_used() {
    if let Ok(port) = std::env::var(PORT) {
        return inside(port.parse().unwrap()).await;
    }
    if Command::new("openssl").arg("version").output().is_err() {
        println!("skipped: there is no openssl");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    certificate(folder.path(), "ours", &[]);
    certificate(folder.path(), "others", &[]);
    let leaf = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1"];
    certificate(folder.path(), "server", &[&["-CA", "ours.pem", "-CAkey", "ours.key"], &leaf[..]].concat());
    let port = free_port().to_string();
    let (file, key) = (path("server.pem"), path("server.key"));
    let tls = ["--tls-port", &port, "--tls-cert-file", &file, "--tls-key-file", &key, "--tls-auth-clients", "no"];
    let Some(redis) = PrivateRedis::start(&tls) else { return };
    for (trusted, found) in [("ours.pem", "found"), ("others.pem", "UnknownIssuer")] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", NAME, "--nocapture"]).env(PORT, &port).env("SSL_CERT_FILE", path(trusted));
        let output = command.env_remove("SSL_CERT_DIR").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(found), "{trusted}: {said}");
    }
    assert_eq!(redis.names().len(), 1);
}

async fn inside(port: u16) {
    let hosts = vec![("127.0.0.1".to_owned(), port)];
    let kind = super::super::server::ServerKind::Standalone;
    let node = Node::start(options(Server { kind, hosts, tls: true, user: None, password: None, db: 0 }));
    until(async || node.shared.is_usable() || node.shared.status().await.unwrap().error.is_some()).await;
    node.put(&[node.verdict(1)]).await;
    match node.fetch(1).await {
        Some(_) => println!("found"),
        None => println!("{:?}", node.shared.status().await.unwrap().error),
    }
}

/// A new certificate with these parts.
fn certificate(folder: &Path, name: &str, more: &[&str]) {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]);
    command.args(["-subj", &format!("/CN={name}")]).args(more);
    command.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
    let output = command.current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
