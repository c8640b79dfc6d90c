//! A server program of somebody else's in a throwaway folder, which ends with the test process, whatever ends that.
//!
//! A small shell is its parent: the *guard*. The guard's standard input is a pipe whose other end only the test process
//! has, so the guard hears of the end of that process, also of a kill, and then ends the server and removes its folder.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

/// Starts `$3…` and says which process that is; everything that the server writes goes where that was said. When the
/// guard's input ends, the server ends by the signal `$2`; unless a line came before, the folder `$1` goes too.
///
/// Without a line, that is the end of the test process. The server may be stopped then, and its children with it, so
/// they are continued. And the system tells a group of processes to hang up that nobody outside cares for any more,
/// where one of it is stopped; that is nothing to the guard.
const GUARD: &str = r#"
folder=$1 signal=$2
shift 2
sh -c 'echo $$; exec "$@" 2>&1' guarded "$@" </dev/null &
server=$!
trap '' HUP
exec >/dev/null 2>&1
if read -r line; then
    kill -"$signal" "$server"
    wait "$server"
    exit
fi
children=
for stat in /proc/[0-9]*/stat; do
    read -r line <"$stat" || continue
    parent=${line##*) ? }
    [ "${parent%% *}" = "$server" ] && children="$children ${line%% *}"
done
kill -CONT $children "$server"
kill -"$signal" "$server"
wait "$server"
rm -rf "$folder"
"#;

/// A running server.
#[derive(Debug)]
pub struct Server {
    guard: Child,
    pid: Pid,
    log: Arc<Log>,
}

/// What a server wrote, and whether all its processes have ended.
#[derive(Debug, Default)]
struct Log {
    told: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

impl Log {
    /// Waits until what was written satisfies this, or everything has ended; whether it was satisfied.
    fn wait(&self, is_enough: impl Fn(&[String]) -> bool) -> bool {
        let told = self.told.lock().unwrap();
        let goes_on = |(lines, ended): &mut (Vec<String>, bool)| !*ended && !is_enough(lines);
        let (told, late) = self.more.wait_timeout_while(told, PATIENCE, goes_on).unwrap();
        assert!(!late.timed_out(), "the server neither said it nor ended:\n{}", told.0.join("\n"));
        is_enough(&told.0)
    }

    fn follow(&self, lines: impl BufRead) {
        // Both write text; what is none is not looked for.
        for line in lines.split(b'\n').map_while(Result::ok) {
            self.told.lock().unwrap().0.push(String::from_utf8_lossy(&line).into_owned());
            self.more.notify_all();
        }
        self.told.lock().unwrap().1 = true;
        self.more.notify_all();
    }
}

impl Server {
    /// Starts a command whose files are in a folder. When the test process ends, the server is ended by the signal.
    pub fn start(command: &Command, folder: &Path, end: &str) -> Self {
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(folder).arg(end);
        guard.arg(command.get_program()).args(command.get_args()).env("LC_ALL", "C").current_dir(folder);
        // A group of its own: Ctrl-C on a terminal ends the tests, and the guard then ends the server.
        let mut guard = guard.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(guard.stdout.take().unwrap());
        let mut pid = String::new();
        lines.read_line(&mut pid).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        let log = Arc::new(Log::default());
        let follower = Arc::clone(&log);
        thread::spawn(move || follower.follow(lines));
        Self { guard, pid, log }
    }

    /// Waits until it writes a line with this, and says whether it did so before it ended.
    pub fn says(&self, part: &str) -> bool {
        self.says_after(0, part)
    }

    /// The same, where only lines after these many count; see [`Server::lines`].
    pub fn says_after(&self, lines: usize, part: &str) -> bool {
        self.log.wait(|told| told.iter().skip(lines).any(|line| line.contains(part)))
    }

    /// How many lines it has written.
    pub fn lines(&self) -> usize {
        self.log.told.lock().unwrap().0.len()
    }

    /// What it has written.
    pub fn log(&self) -> String {
        self.log.told.lock().unwrap().0.join("\n")
    }

    /// Its process id, or that of the first process where it has several.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends it a signal, and not to its children.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Stops all its processes, so that it does nothing and answers nobody, while its connections stay.
    pub fn stop(&self) {
        // The parent first: it can start no other child then.
        let stop = |process: &Pid| {
            let _ = kill_process(*process, Signal::STOP);
            while matches!(state(*process), Some((_, state)) if !"TtZX".contains(state)) {
                thread::yield_now();
            }
        };
        stop(&self.pid);
        children(self.pid).iter().for_each(stop);
    }

    /// Lets them go on.
    pub fn cont(&self) {
        for process in children(self.pid).into_iter().chain([self.pid]) {
            // A child may be gone.
            let _ = kill_process(process, Signal::CONT);
        }
    }

    /// Ends it by a signal to it alone, and waits until all its processes are gone.
    pub fn end(self, signal: Signal) {
        self.signal(signal);
        self.finish();
    }

    /// Kills all its processes at once, so that none can do anything more, and waits until they are gone.
    pub fn kill(self) {
        self.stop();
        for process in children(self.pid).into_iter().chain([self.pid]) {
            let _ = kill_process(process, Signal::KILL);
        }
        self.finish();
    }

    fn finish(mut self) {
        // All that hold the other end of the log's pipe are gone when it ends.
        self.log.wait(|_| false);
        self.dismiss();
    }

    /// Ends the guard, and with it the server where it still runs; the folder stays.
    fn dismiss(&mut self) {
        if let Some(mut guard) = self.guard.stdin.take() {
            // The guard may have been killed.
            let _ = guard.write_all(b"end\n");
        }
        let _ = self.guard.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.guard.stdin.is_some() {
            self.cont();
        }
        self.dismiss();
    }
}

/// The parent and the state of a process; nothing where it is gone.
fn state(process: Pid) -> Option<(i32, char)> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    // Between the parentheses is its name, which may have any in it.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

/// The children of a process, which there are some of in PostgreSQL, and which have no children themselves.
fn children(of: Pid) -> Vec<Pid> {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let of = of.as_raw_nonzero().get();
    let is_child = |process: &Pid| state(*process).is_some_and(|(parent, _)| parent == of);
    processes.filter_map(Pid::from_raw).filter(is_child).collect()
}

/// A port that nobody listens at, nor at the one that is 10000 above. It is below those that the system gives to
/// clients, so that it stays free while its server is down.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id();
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    for _ in 0..10_000 {
        let nth = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        // Processes that run at the same time have ids next to each other.
        let port = 12_000 + u16::try_from((first.wrapping_mul(97) + nth) % 10_000).unwrap();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
    panic!("no port is free");
}

/// Whether a command is in the `PATH`, or at a path.
pub fn is_command(name: &str) -> bool {
    let found = |folder: &str| Path::new(folder).join(name).is_file();
    std::env::var("PATH").unwrap_or_default().split(':').any(found)
}

/// Runs a command, which must succeed; what it printed.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Asks again and again until it is so, where nothing tells when to ask.
#[track_caller]
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let since = std::time::Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}
