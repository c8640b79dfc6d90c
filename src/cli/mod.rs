//! The command line: arguments in, exit code out.

mod admin;
mod api_key;
mod audit;
mod bench;
mod check;
mod client;
mod constitution;
mod key;
mod log_level;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};

use crate::actors::audit::checkpointer::CheckpointError;
use crate::actors::decision::registry::OnObjections;
use crate::daemon::{self, DaemonError, Rollback, Source};
use crate::ledger::KeyError;
use crate::settings;
use crate::store::{self, Lock};

/// Exit code where settings or the constitution are faulty: `EX_CONFIG` of sysexits.h.
const EXIT_CONFIG: u8 = 78;

/// Exit code where the disk fails: `EX_IOERR` of sysexits.h.
const EXIT_IO: u8 = 74;

/// Exit code where arguments are missing or wrong, as clap has it.
const EXIT_USAGE: u8 = 2;

/// The begin of the year 10000, in seconds since 1970.
const YEAR_10000: u64 = 253_402_300_800;

/// Decides whether AI agents may do what they want to do, under a constitution, and records every decision.
#[derive(Debug, Parser)]
#[command(name = "acgs", version, arg_required_else_help = false)]
struct Cli {
    #[command(flatten)]
    location: SettingsLocation,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where the settings are.
#[derive(Debug, Args)]
struct SettingsLocation {
    /// The settings folder.
    ///
    /// By default `$ACGS_SETTINGS`, else `./settings` if there is one, else `/etc/acgs`.
    #[arg(long, global = true, value_name = "DIR")]
    settings: Option<PathBuf>,
    /// The profile: `NAME.toml` over `default.toml`.
    ///
    /// By default `$ACGS_PROFILE`.
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon (the default).
    Serve {
        /// Accept a database or an audit log that was restored to an older state, for this start only; this is
        /// recorded.
        ///
        /// Otherwise such a start is refused, since access that was withdrawn in the meantime would be valid again.
        #[arg(long, value_name = "PART")]
        accept_rollback: Vec<Rollback>,
        /// Start even if test cases of the constitution fail or stored entities do not fit its schema; this is
        /// recorded.
        #[arg(long)]
        force: bool,
    },
    /// Check settings, constitution and, unless offline, the database; print every fault.
    Check {
        /// Leave the database out.
        #[arg(long)]
        offline: bool,
    },
    /// Print the settings in force.
    Settings {
        /// Say where each came from.
        #[arg(long)]
        origins: bool,
    },
    /// Bring the database up to date.
    Migrate,
    /// Inspect a constitution.
    Constitution(constitution::Command),
    /// Inspect the audit log.
    Audit(audit::Command),
    /// Rotate keys.
    Key(key::Command),
    /// Manage the users who may log in.
    User(user::Command),
    /// Manage the services that call by themselves.
    Client(client::Command),
    /// Manage keys that are sent with each request.
    ApiKey(api_key::Command),
    /// Make the running daemon reload its settings and its constitution; exit 1 if it refuses.
    ///
    /// Prints the digest in force, and changed settings that take effect only after a restart. Entities are not
    /// reloaded: `entities.json` is stored only by a start that finds no entities in the database.
    Reload {
        /// Bring the constitution into force even if its test cases fail or stored entities do not fit its schema; this
        /// is recorded.
        #[arg(long)]
        force: bool,
    },
    /// Say how the running daemon is.
    Status,
    /// Measure a running daemon against the targets for latency, throughput, compliance and resources.
    Bench(bench::Arguments),
    /// Show how much the running daemon logs, or change it until its next reload (also by SIGHUP) or restart.
    ///
    /// A change is recorded in the audit log. To change the level for good, set `log.level` and reload.
    LogLevel {
        /// off, error, warn, info, debug, trace, or directives like `info,acgs::http=debug`.
        level: Option<String>,
        /// Return to the level of the settings after a time such as 90s, 10m or 2h; at most 7d.
        #[arg(long = "for", value_name = "TIME", value_parser = log_level::seconds, requires = "level")]
        time: Option<u64>,
    },
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    if let Err(cause) = check_clock() {
        return fail(&cause, EXIT_IO);
    }
    let source = Source {
        folder: settings::folder(cli.location.settings, settings::environment()),
        profile: settings::profile(cli.location.profile, settings::environment()),
    };
    match cli.command.unwrap_or(Command::Serve { accept_rollback: Vec::new(), force: false }) {
        Command::Serve { accept_rollback, force } => {
            finish(daemon::run(&source, &accept_rollback, on_objections(force)))
        }
        Command::Check { offline } => check::run(&source, offline),
        Command::Settings { origins } => show_settings(&source, origins),
        Command::Migrate => finish(migrate(&source)),
        Command::Constitution(command) => constitution::run(&command, &source),
        Command::Audit(command) => audit::run(&command, &source),
        Command::Key(command) => key::run(&command, &source),
        Command::User(command) => user::run(&command, &source),
        Command::Client(command) => client::run(&command, &source),
        Command::ApiKey(command) => api_key::run(&command, &source),
        Command::Reload { force } => admin::reload(&source, on_objections(force)),
        Command::Status => admin::status(&source),
        Command::Bench(arguments) => bench::run(&arguments, &source),
        Command::LogLevel { level, time } => log_level::run(&source, level.as_deref(), time),
    }
}

/// Checks that the system's clock shows a time that records and headers can contain: the years 1970 to 9999.
fn check_clock() -> Result<(), String> {
    let seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) if since.as_secs() < YEAR_10000 => return Ok(()),
        Ok(since) => i128::from(since.as_secs()),
        Err(before) => -i128::from(before.duration().as_secs()),
    };
    Err(format!(
        "the system's clock is at {seconds} s since 1970, outside of the years 1970 to 9999: set it, then try again"
    ))
}

fn on_objections(force: bool) -> OnObjections {
    if force { OnObjections::Override } else { OnObjections::Refuse }
}

fn show_settings(source: &Source, origins: bool) -> ExitCode {
    match source.load() {
        Err(faults) => fail(&faults, EXIT_CONFIG),
        Ok(loaded) if origins => {
            loaded.origins.iter().for_each(|origin| print_line(&origin.to_string()));
            ExitCode::SUCCESS
        }
        Ok(loaded) => {
            print_line(loaded.settings.to_string().trim_end());
            ExitCode::SUCCESS
        }
    }
}

fn migrate(source: &Source) -> Result<(), DaemonError> {
    let settings = source.load()?.settings;
    daemon::create_data_dir(&settings.data_dir)?;
    let options = daemon::store_options(&settings);
    let _lock = options.target.path().map(Lock::take).transpose()?;
    let search = daemon::search_options(&settings);
    let migrations = store::migrate(&options.target, options.acquire_timeout)?
        + store::search_index::migrate(&search.target, search.acquire_timeout)?;
    print_line(&format!("{migrations} migrations run"));
    Ok(())
}

fn finish(outcome: Result<(), DaemonError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(
            error @ (DaemonError::Settings(_)
            | DaemonError::Constitution { .. }
            | DaemonError::Objected { .. }
            | DaemonError::Witness { .. }
            | DaemonError::WebhookKey { .. }
            | DaemonError::Issuer { .. }),
        ) => fail(&error, EXIT_CONFIG),
        Err(DaemonError::Seal { source, folder })
            if matches!(*source, CheckpointError::Key(KeyError::Origin { .. })) =>
        {
            fail(&DaemonError::Seal { source, folder }, EXIT_CONFIG)
        }
        Err(
            error @ (DaemonError::Ledger { .. }
            | DaemonError::DataTaken { .. }
            | DaemonError::LogRolledBack { .. }
            | DaemonError::Seal { .. }
            | DaemonError::DatabaseRolledBack { .. }
            | DaemonError::Unrecorded { .. }
            | DaemonError::Identity(_)
            | DaemonError::Store(_)),
        ) => fail(&error, EXIT_IO),
        Err(error @ DaemonError::System { .. }) => fail(&error, 1),
    }
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    print_fault(error);
    ExitCode::from(code)
}

/// Prints to standard error. A closed pipe is ignored.
fn print_fault(text: &dyn std::fmt::Display) {
    use std::io::Write as _;
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Prints a line to standard output; exits if that fails.
fn print_line(text: &str) {
    use std::io::Write as _;
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        std::process::exit(unwritten(&error).into());
    }
}

/// The exit code if standard output cannot be written: 0 for a closed pipe, as in `acgs … | head`.
fn unwritten(error: &std::io::Error) -> u8 {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return 0;
    }
    print_fault(&format!("cannot write to standard output: {error}"));
    EXIT_IO
}
