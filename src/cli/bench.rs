//! `acgs bench`: measures a running daemon.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{EXIT_CONFIG, EXIT_IO, EXIT_USAGE, fail, log_level, print_fault, print_line};
use crate::auth::secret::ApiKey;
use crate::bench::api::{Api, Credential};
use crate::bench::endpoint::Endpoint;
use crate::bench::plan::Kind;
use crate::bench::population::Wanted;
use crate::bench::result::{RunResult, to_json};
use crate::bench::session::{Options, Session, new_name};
use crate::bench::verdicts::Conclusion;
use crate::bench::{BenchError, production, publish, report};
use crate::daemon::{self, Source};
use crate::settings::Settings;

/// Exit code where a target is missed.
const EXIT_MISSED: u8 = 1;

/// Exit code where the machine does not allow to tell whether decisions have become slower.
const EXIT_UNDECIDED: u8 = 3;

/// The variable with a token.
const TOKEN: &str = "ACGS_TOKEN";

/// Which test to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Test {
    /// 150 decisions a second for an hour.
    Load,
    /// 300 decisions a second for 15 minutes.
    Stress,
    /// 150 decisions a second for 24 hours.
    Endurance,
    /// Compare every answer under load with a fresh evaluation, and all of them with the audit log; 15 minutes.
    Compliance,
    /// Compare ratios to the floor of this machine with those of a baseline; 15 minutes, and longer if it is noisy.
    Regression,
    /// All of them, one after the other.
    All,
}

/// Measures a running daemon: sends a load at a constant rate, of questions that fit the constitution in force, and
/// compares latency, throughput, hit rate, memory, processors and errors with their targets.
///
/// Each decision is recorded, with the name of the run as `bench`. The audit log grows, and other callers share the
/// daemon with the load. Therefore a daemon in production is refused without `--yes`. It counts as being in production
/// if it listens beyond loopback addresses and Unix sockets, if its public URL is of another host, if it has trusted
/// proxies, or if it requires a credential for decisions.
///
/// Needs the scopes `decide` and `read`, and for `compliance` also `audit:read`. On the daemon's host, root and the
/// daemon's user need no credential where decisions are open.
///
/// Exits with 0 if no target is missed, 1 if one is, 2 if nothing was measured, 3 if `regression` cannot tell.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    test: Test,
    /// The daemon, as `http://HOST:PORT` or `unix:PATH`; by default that of the settings.
    #[arg(long)]
    url: Option<String>,
    /// Requests a second.
    #[arg(long, value_name = "N")]
    rate: Option<NonZeroU32>,
    /// How long each test lasts, such as 90s, 10m, 2h or 1d.
    #[arg(long, value_name = "TIME", value_parser = log_level::seconds, conflicts_with = "quick")]
    duration: Option<u64>,
    /// Let each test last 30 seconds.
    #[arg(long)]
    quick: bool,
    /// The share of requests that are permitted, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    permits: u8,
    /// Different questions, drawn by Zipf's law.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    keys: u32,
    /// Connections among which requests are spread.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// The baseline with which `regression` compares.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write the rounds of `regression` as a new baseline.
    #[arg(long, value_name = "FILE")]
    save_baseline: Option<PathBuf>,
    /// The folder for `result.json` and `report.html`, in whose file system the floor is measured; by default
    /// `acgs-bench-` and the name of the run.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// A file with a token or an API key; by default `$ACGS_TOKEN`.
    #[arg(long, value_name = "FILE", visible_alias = "credential-file")]
    token_file: Option<PathBuf>,
    /// Measure a daemon in production.
    #[arg(long)]
    yes: bool,
}

/// Measures, and writes the report.
pub(super) fn run(arguments: &Arguments, source: &Source) -> ExitCode {
    match arguments.run(source) {
        Ok(code) => code,
        Err(BenchError::Refused(told)) => fail(&told, EXIT_USAGE),
        Err(error) => fail(&error, EXIT_IO),
    }
}

/// A daemon, and how it is reached.
struct Reached {
    endpoint: Endpoint,
    api: Api,
    settings: Option<Settings>,
}

impl Arguments {
    fn run(&self, source: &Source) -> Result<ExitCode, BenchError> {
        let credential = self.credential()?;
        let mut reached = match self.reach(source, credential.as_ref()) {
            Ok(reached) => reached?,
            Err(code) => return Ok(code),
        };
        let reasons = production::reasons(&reached.endpoint, &mut reached.api, reached.settings.as_ref())?;
        if !reasons.is_empty() && !self.yes {
            return Err(BenchError::Refused(format!(
                "the daemon at `{}` is in production: {}\na load delays its other callers, and the audit log keeps each \
                 of the decisions: measure another installation, or give `--yes`",
                reached.endpoint,
                reasons.join("; ")
            )));
        }
        let kinds = self.kinds();
        let name = new_name(kinds.first().filter(|_| kinds.len() == 1).map_or("all", |kind| kind.as_str()));
        let folder = self.report.clone().unwrap_or_else(|| format!("acgs-bench-{name}").into());
        fs::create_dir_all(&folder).map_err(|source| file_error("create", &folder, source))?;
        let options = self.options(folder.clone());
        stop_on_signal(&options.stop);
        let began_at = OffsetDateTime::now_utc().truncate_to_second().format(&Rfc3339).unwrap_or_default();
        let mut session = Session::prepare(&name, reached.api, reached.endpoint.clone(), credential.as_ref(), options)?;
        let mut tests = Vec::new();
        for kind in kinds {
            if session.is_stopped() {
                break;
            }
            let plan = session.options.plan(kind);
            tests.push(crate::bench::run(&mut session, &plan)?);
        }
        let result =
            RunResult::new(&name, began_at, reached.endpoint.to_string(), session.population.mix.clone(), tests);
        write(&folder.join("result.json"), &to_json(&result))?;
        write(&folder.join("report.html"), &report::html(&result))?;
        if let Err(cause) = publish::publish(&mut session.api, &result) {
            print_fault(&format!("the daemon does not record the result: {cause}"));
        }
        Ok(conclude(&result, &folder))
    }

    fn kinds(&self) -> Vec<Kind> {
        match self.test {
            Test::Load => vec![Kind::Load],
            Test::Stress => vec![Kind::Stress],
            Test::Endurance => vec![Kind::Endurance],
            Test::Compliance => vec![Kind::Compliance],
            Test::Regression => vec![Kind::Regression],
            Test::All => Kind::ALL.to_vec(),
        }
    }

    fn options(&self, folder: PathBuf) -> Options {
        let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Options {
            rate: self.rate,
            duration: self.duration.map(|seconds| Duration::from_secs(seconds.max(1))),
            quick: self.quick,
            wanted: Wanted { keys: number(self.keys), permits: self.permits },
            connections: number(self.connections),
            baseline: self.baseline.clone(),
            save_baseline: self.save_baseline.clone(),
            folder,
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    /// The header with the token or API key, if one is given.
    fn credential(&self) -> Result<Option<Credential>, BenchError> {
        let text = match &self.token_file {
            Some(file) => Some(fs::read_to_string(file).map_err(|source| file_error("read", file, source))?),
            None => std::env::var(TOKEN).ok(),
        };
        Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).map(|text| {
            if ApiKey::is_meant(&text) { ("X-API-Key", text) } else { ("Authorization", format!("Bearer {text}")) }
        }))
    }

    /// Finds the daemon. Without a credential, everything but the load goes over its admin socket, if that is of the
    /// same daemon.
    fn reach(&self, source: &Source, credential: Option<&Credential>) -> Result<Result<Reached, BenchError>, ExitCode> {
        let settings = match source.load() {
            Ok(loaded) => Some(loaded.settings),
            Err(faults) if self.url.is_none() => return Err(fail(&faults, EXIT_CONFIG)),
            Err(_) => None,
        };
        Ok(self.reach_with(settings, credential))
    }

    fn reach_with(&self, settings: Option<Settings>, credential: Option<&Credential>) -> Result<Reached, BenchError> {
        let endpoint = match (&self.url, &settings) {
            (Some(url), _) => Endpoint::from_url(url)?,
            (None, Some(settings)) => Endpoint::from_bind(&settings.http.bind)?,
            (None, None) => return Err(BenchError::Refused("name the daemon with `--url`".to_owned())),
        };
        let mut api = Api::new(endpoint.clone(), credential);
        let named = daemon_name(&mut api)?;
        let admin = settings.as_ref().map(|settings| Endpoint::unix(daemon::admin_socket(&settings.data_dir)));
        if let (Some(admin), None) = (admin, credential) {
            let mut admin = Api::new(admin, None);
            if daemon_name(&mut admin).is_ok_and(|name| name == named) {
                api = admin;
            }
        }
        let settings = settings.filter(|_| self.url.is_none());
        Ok(Reached { endpoint, api, settings })
    }
}

/// The name by which a daemon is known to its clients.
fn daemon_name(api: &mut Api) -> Result<String, BenchError> {
    Ok(api.get_json("/.well-known/authzen-configuration")?.to_string())
}

fn file_error(action: &'static str, path: &Path, source: std::io::Error) -> BenchError {
    BenchError::File { action, name: path.display().to_string(), source }
}

fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    fs::write(path, text).map_err(|source| file_error("write", path, source))
}

/// Has the first interruption end the run early, with its report; the second ends the process.
fn stop_on_signal(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.store(true, Ordering::Relaxed);
                print_fault(&"\ninterrupted: the report is written with what was measured so far");
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        });
    });
}

/// Prints the verdicts, and gives the exit code.
fn conclude(result: &RunResult, folder: &Path) -> ExitCode {
    for test in &result.tests {
        for verdict in &test.verdicts {
            print_line(&format!("{}: {verdict}", test.kind.as_str()));
        }
        if let Some(regression) = &test.regression {
            print_line(&format!("{}: {}", test.kind.as_str(), regression.message));
        }
        for fault in test.compliance.iter().flat_map(|compliance| &compliance.faults) {
            print_line(&format!("{}: {fault}", test.kind.as_str()));
        }
    }
    print_line(&format!("report: {}", folder.join("report.html").display()));
    ExitCode::from(match result.conclusion() {
        Conclusion::NotCompared | Conclusion::Passed => 0,
        Conclusion::Missed => EXIT_MISSED,
        Conclusion::Undecided => EXIT_UNDECIDED,
    })
}
