//! Client addresses behind a real nginx.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serde_json::json;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::proxies::{bound_key, newest_session, with_key};
use super::{PASSWORD, Tokens, add_user, login, setup};
use crate::harness::server::{Server, free_port, is_command};
use crate::harness::{Connection, Request, Setup, TestDaemon, until};

/// Configurations of nginx with one header set and the other removed.
const CUSTOMARY: &str = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Forwarded '';";
const STANDARD: &str = r#"proxy_set_header Forwarded '$http_forwarded, for="$remote_addr:$remote_port";proto=http';
                          proxy_set_header X-Forwarded-For '';"#;
/// Configurations in which the client's own value of the other header is passed on.
const CARELESS: &str = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";

/// A running nginx in front of a daemon.
struct Nginx {
    _server: Server,
    _folder: TempDir,
    address: SocketAddr,
}

impl Nginx {
    /// `None` without nginx.
    fn start(upstream: &str, headers: &str) -> Option<Self> {
        let program = if is_command("nginx") { "nginx" } else { "/usr/sbin/nginx" };
        if !std::path::Path::new("/usr/sbin/nginx").exists() && program != "nginx" {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|kind| format!("{kind}_temp_path {kind};")).join(" ");
        let config = format!(
            "daemon off; master_process off; pid pid; error_log stderr notice;\nevents {{}}\n\
             http {{ access_log off; {temporary}\n\
             server {{ listen {address}; location / {{ proxy_pass {upstream}; proxy_http_version 1.1; {headers} }} }} }}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).args(["-e", "stderr", "-c", "nginx.conf"]);
        let server = Server::start(&command, folder.path(), "TERM");
        until("nginx listens", || TcpStream::connect(address).is_ok());
        Some(Self { _server: server, _folder: folder, address })
    }

    /// A connection from a given address of this host.
    fn from(&self, host: [u8; 4]) -> Connection {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((host, 0)).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        Connection::new(TcpStream::from(socket)).unwrap()
    }
}

/// Daemons behind nginx on TCP and on a Unix socket.
fn upstreams() -> [(Setup, TestDaemon, String); 2] {
    let tcp = setup().set("http.trusted_proxies", "127.0.0.1");
    let unix = setup().unix().set("http.trusted_proxies", "unix");
    let socket = format!("http://unix:{}", unix.data_dir().join("acgs.sock").display());
    let (first, second) = (tcp.start(), unix.start());
    let address = format!("http://{}", first.address());
    [(tcp, first, address), (unix, second, socket)]
}

#[test]
fn nginx_says_where_clients_are_and_clients_do_not() {
    for (_setup, daemon, upstream) in upstreams() {
        add_user(&daemon, "ann", "agent");
        let (here, elsewhere) = (bound_key(&daemon, "127.0.0.5"), bound_key(&daemon, "10.0.0.0/8"));
        for headers in [CUSTOMARY, STANDARD] {
            let Some(nginx) = Nginx::start(&upstream, headers) else { return };
            let mut client = nginx.from([127, 0, 0, 5]);
            let claims = [
                ("X-Unrelated", "x"),
                ("X-Forwarded-For", "10.0.0.1"),
                ("X-Forwarded-For", "unknown, \"10.0.0.1"),
                ("Forwarded", "for=10.0.0.1"),
                ("Forwarded", "for=\"10.0.0.1"),
                ("Forwarded", "x=\"\\"),
            ];
            for (name, value) in claims {
                let token = Tokens::of(&client.ask(&login("ann", PASSWORD).header(name, value))).access;
                assert_eq!(newest_session(&daemon, &token), "127.0.0.5", "{headers} {name}: {value}");
                assert_eq!(client.ask(&with_key(&here).header(name, value)).status, 200, "{headers} {name}: {value}");
                assert_eq!(client.ask(&with_key(&elsewhere).header(name, value)).status, 401, "{name}: {value}");
            }
            assert_eq!(nginx.from([127, 0, 0, 6]).ask(&with_key(&here)).status, 401);
        }
    }
}

#[test]
fn a_header_that_nginx_passes_on_as_it_came_opens_nothing() {
    let [(_setup, daemon, upstream), _] = upstreams();
    let key = bound_key(&daemon, "10.0.0.0/8");
    let Some(nginx) = Nginx::start(&upstream, CARELESS) else { return };
    let answer = nginx.from([127, 0, 0, 5]).ask(&with_key(&key).header("Forwarded", "for=10.0.0.1"));
    assert_eq!(answer.status, 401, "{answer}");
}

#[test]
fn a_stranger_behind_nginx_locks_out_nobody_else() {
    for (_setup, daemon, upstream) in upstreams() {
        add_user(&daemon, "ann", "agent");
        let Some(nginx) = Nginx::start(&upstream, CUSTOMARY) else { return };
        let mut stranger = nginx.from([127, 0, 0, 7]);
        let statuses: Vec<u16> = (0..7).map(|_| stranger.ask(&login("ann", "guess")).status).collect();
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
        let body = json!({"username": "ann", "password": PASSWORD});
        Tokens::of(&nginx.from([127, 0, 0, 8]).ask(&Request::post("/v1/auth/login").json(&body)));
    }
}
