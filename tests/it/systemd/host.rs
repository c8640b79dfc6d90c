//! A throwaway Debian with a real systemd as PID 1, in which the service is installed as its unit file says.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::harness::{repository, until};

/// A running host, stopped when this is dropped.
#[derive(Debug)]
pub struct Host {
    boot: Child,
    /// Its PID 1, as seen from outside.
    pid: u32,
    dir: TempDir,
}

impl Host {
    /// Boots a host with the service installed as `acgs.service` says and these settings in `local.toml`, but not
    /// started.
    ///
    /// `None` if no host can be made, which is a failure under `CI`.
    #[track_caller]
    pub fn with_service(local: &str) -> Option<Self> {
        let host = Self::boot()?;
        host.write("/root/local.toml", local);
        host.succeeds(
            "cp /build/acgs /usr/bin/acgs
             cp /repository/systemd/acgs.service /usr/lib/systemd/system/
             cp /repository/systemd/acgs.sysusers /usr/lib/sysusers.d/acgs.conf
             cp -r /repository/settings /etc/acgs
             rm -rf /etc/acgs/local.toml /etc/acgs/secrets
             mv /root/local.toml /etc/acgs/
             systemd-sysusers && systemctl daemon-reload",
        );
        Some(host)
    }

    #[track_caller]
    fn boot() -> Option<Self> {
        let root = match root() {
            Ok(root) => root,
            Err(why) => {
                // It takes namespaces and cgroups, which not every machine permits.
                assert!(std::env::var_os("CI").is_none(), "no host with systemd can be made: {why}");
                println!("skipped: no host with systemd can be made: {why}");
                return None;
            }
        };
        let dir = tempfile::tempdir().expect("there is a folder for temporary files");
        let log = File::create(dir.path().join("boot.log")).expect("the folder is there");
        let binary = Path::new(env!("CARGO_BIN_EXE_acgs")).parent().expect("the binary is in a folder");
        // It ends with this test process, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(script()).arg("boot").arg(root).arg(dir.path());
        command.arg(format!("{}:/build", binary.display())).arg(format!("{}:/repository", repository().display()));
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("a file can be shared")).stdout(log);
        let boot = command.spawn().expect("`setpriv` is installed");
        let mut host = Self { boot, pid: 0, dir };
        until("systemd is PID 1", || host.first_process().is_some());
        host.pid = host.first_process().expect("it was there");
        until("the host is up", || {
            let state = host.run("systemctl is-system-running");
            matches!(text(&state.stdout).trim(), "running" | "degraded")
        });
        Some(host)
    }

    /// The process that is PID 1 in the host, once it is systemd.
    fn first_process(&self) -> Option<u32> {
        let found = Command::new("pgrep").arg("-P").arg(self.boot.id().to_string()).output().ok()?;
        let pid = text(&found.stdout).trim().parse().ok()?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.trim() == "systemd").then_some(pid)
    }

    /// Runs a shell command as root.
    pub fn run(&self, command: &str) -> Output {
        let mut run = Command::new(script());
        run.arg("run")
            .arg(self.pid.to_string())
            .arg(command)
            .stdin(Stdio::null())
            .output()
            .expect("the script is there")
    }

    /// Runs a shell command that must succeed, and returns its output.
    #[track_caller]
    pub fn succeeds(&self, command: &str) -> String {
        let done = self.run(&format!("set -e\n{command}"));
        assert!(done.status.success(), "{command}: {}\n{}{}", done.status, text(&done.stdout), text(&done.stderr));
        text(&done.stdout)
    }

    /// A property of the service according to systemd.
    #[track_caller]
    pub fn property(&self, name: &str) -> String {
        self.succeeds(&format!("systemctl show --value -p {name} acgs")).trim().to_owned()
    }

    /// The journal of the service.
    #[track_caller]
    pub fn journal(&self) -> String {
        self.succeeds("journalctl --no-pager -o cat -u acgs")
    }

    /// Starts the service, which must become ready on its first start.
    #[track_caller]
    pub fn start(&self) {
        let started = self.run("systemctl enable --now acgs");
        let state = (self.property("ActiveState"), self.property("NRestarts"));
        let expected = ("active".to_owned(), "0".to_owned());
        assert!(started.status.success() && state == expected, "{state:?}\n{}", self.journal());
    }

    /// Sends a request to the service with curl, and returns the answer.
    #[track_caller]
    pub fn curl(&self, arguments: &str) -> String {
        self.succeeds(&format!("curl -sS --fail-with-body --unix-socket /run/acgs/acgs.sock {arguments}"))
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.dir.path().join("share/file"), text).expect("the folder is there");
        self.succeeds(&format!("cp /share/file {path}"));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut shown = fs::read_to_string(self.dir.path().join("boot.log")).unwrap_or_default();
            let _ = write!(shown, "{}", text(&self.run("journalctl --no-pager -n 50").stdout));
            eprintln!("---- the host\n{shown}----");
        }
        // The end of PID 1 ends all processes in the host.
        let _ = self.boot.kill();
        let _ = self.boot.wait();
        let Ok(cgroup) = fs::read_to_string(self.dir.path().join("cgroup")) else { return };
        let gone = || {
            let mut find = Command::new("find");
            find.args([cgroup.trim(), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
            let _ = find.stderr(Stdio::null()).stdout(Stdio::null()).status();
            !Path::new(cgroup.trim()).exists()
        };
        for _ in 0..200 {
            if gone() {
                break;
            }
            std::thread::yield_now();
        }
    }
}

fn script() -> PathBuf {
    repository().join("tests/it/systemd/host")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The Debian root, made once and kept in the target folder; or the reason for which there is none.
fn root() -> Result<PathBuf, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("it takes root".to_owned());
    }
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("systemd-root");
    if root.join("sbin/init").exists() {
        return Ok(root);
    }
    if Command::new("mmdebstrap").arg("--version").output().is_err() {
        return Err("`mmdebstrap` is not installed".to_owned());
    }
    let made = Command::new(script()).arg("make").arg(&root).output().map_err(|error| error.to_string())?;
    if made.status.success() { Ok(root) } else { Err(text(&made.stderr)) }
}
