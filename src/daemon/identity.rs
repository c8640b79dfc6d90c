//! Whose credentials count: keys, issuers, and the first administrator.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::audit_subsystem::DAEMON;
use super::error::{DaemonError, system};
use super::upkeep;
use crate::actors::Mailbox;
use crate::actors::active::InForce;
use crate::actors::audit::change_recorder::ChangeRecorder;
use crate::actors::identity::directory::{
    Directory, DirectoryError, Lifetimes, NewUser, PendingWithdrawals, open_keys,
};
use crate::actors::identity::fetch_state::FetchState;
use crate::actors::identity::jwks_fetcher::{KeyFetcher, tell_skipped};
use crate::actors::identity::lockouts::Lockouts;
use crate::actors::identity::login::Logins;
use crate::actors::identity::password_hasher::Passwords;
use crate::actors::identity::trust::{ForeignIssuer, KeySource, Trust};
use crate::auth::granter::Granter;
use crate::auth::jwk::Algorithm;
use crate::auth::jwks::Jwks;
use crate::auth::scope::{Role, Roles};
use crate::auth::{password, secret};
use crate::http::{AuditState, IdentityState, Limits};
use crate::settings::{Auth, Bind, Issuer, Settings};
use crate::store::Store;

/// The user that the first start makes.
const ADMIN: &str = "admin";

/// How far the wall clock may be behind the time stored by the last run, in seconds: clocks of nodes differ.
const CLOCKS_DIFFER_S: i64 = 60;

/// The file with its password.
const PASSWORD_FILE: &str = "admin-password";

/// The deadline of requests to the actors of identities, which includes waiting for a durable record.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// The `iss` of the daemon's own tokens: the URL under which clients reach it, according to the settings.
#[must_use]
pub fn issuer(settings: &Settings) -> String {
    match (&settings.http.public_url, &settings.http.bind) {
        (Some(url), _) => url.as_str().trim_end_matches('/').to_owned(),
        (None, Bind::Tcp(address)) => format!("http://{address}"),
        (None, Bind::Unix(_)) => "http://localhost".to_owned(),
    }
}

/// How long tokens last.
fn lifetimes(auth: &Auth) -> Lifetimes {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 4);
    Lifetimes {
        access: seconds(auth.access_token_ttl),
        refresh: seconds(auth.refresh_token_ttl),
        grace: seconds(auth.refresh_grace),
    }
}

/// The state of HTTP workers that concerns identities. Starts the threads that hash passwords and fetch keys.
pub(super) fn state(
    settings: &Settings,
    trust: Trust,
    directory: &Mailbox<Directory>,
    pending_withdrawals: PendingWithdrawals,
    audit: &AuditState,
) -> IdentityState {
    let lockouts = Lockouts::new(settings.auth.lockout_attempts, settings.auth.lockout);
    let (sampler, strangers) = (audit.denial_sampler.clone(), audit.strangers.clone());
    IdentityState {
        key_fetcher: Mailbox::new(KeyFetcher::start(trust.clone()), DEADLINE),
        trust,
        directory: directory.clone(),
        pending_withdrawals,
        logins: Logins::new(directory.clone(), Passwords::start(), lockouts, sampler, strangers),
        rate_limits: Limits::new(),
    }
}

/// Opens users, clients and keys; the first start creates a signing key and a user `admin`.
pub(super) fn open(
    settings: &Settings,
    store: &Store,
    changes: &ChangeRecorder,
    in_force: InForce,
) -> Result<Directory, DaemonError> {
    let lifetimes = lifetimes(&settings.auth);
    let own = open_keys(store, lifetimes.access, DAEMON, changes).map_err(refused)?;
    let foreign = settings.auth.issuers.iter().map(foreign).collect::<Result<Vec<_>, _>>()?;
    let trust = Trust::new(own, foreign, &issuer(settings), settings.auth.audience.as_str());
    let directory = Directory::new(store.clone(), changes.clone(), trust, lifetimes, in_force);
    let uptime = directory.store_uptime().map_err(refused)?;
    let behind_s = uptime.wall - time::OffsetDateTime::now_utc().unix_timestamp();
    if behind_s > CLOCKS_DIFFER_S {
        upkeep::tell_of_jump(changes.journal(), "is behind the last run", -behind_s.saturating_mul(1_000));
    }
    directory.recall_denied().map_err(refused)?;
    if !directory.has_users().map_err(refused)? {
        make_admin(&directory, &settings.data_dir)?;
    }
    Ok(directory)
}

/// An issuer with its keys, where a file has them; those of a URL are fetched when they are needed.
fn foreign(issuer: &Issuer) -> Result<ForeignIssuer, DaemonError> {
    let fault = |cause: String| DaemonError::Issuer { issuer: issuer.issuer.to_string(), cause };
    let (source, keys) = match (&issuer.jwks_file, &issuer.jwks_url) {
        (Some(path), _) => {
            let text = fs::read_to_string(path)
                .map_err(|error| fault(format!("cannot read `{}`: {error}", path.display())))?;
            let keys = Jwks::parse(&text).map_err(|error| fault(format!("`{}`: {error}", path.display())))?;
            tell_skipped(issuer.issuer.as_str(), &keys);
            (KeySource::File, keys)
        }
        (None, Some(url)) => {
            (KeySource::Url { url: url.as_str().into(), asked: FetchState::default() }, Jwks::default())
        }
        (None, None) => return Err(fault("its keys have no place".to_owned())),
    };
    Ok(ForeignIssuer {
        issuer: issuer.issuer.as_str().into(),
        audience: issuer.audience.as_str().into(),
        typ: issuer.typ.as_ref().map(|typ| typ.as_str().into()),
        role_claim: issuer.role_claim.as_str().into(),
        algorithms: match issuer.algorithms.as_slice() {
            [] => Algorithm::ALL.into(),
            named => named.into(),
        },
        source,
        keys: ArcSwap::from_pointee(keys),
    })
}

/// Creates the first user, with its password in a file for the daemon's user only. The file is written first, so that
/// the password is never lost.
fn make_admin(directory: &Directory, data_dir: &Path) -> Result<(), DaemonError> {
    let path = data_dir.join(PASSWORD_FILE);
    let password = secret::password();
    let write = || {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "{password}")?;
        file.sync_all()?;
        File::open(data_dir)?.sync_all()
    };
    write().map_err(system(&format!("write `{}`", path.display())))?;
    let hash = password::hash(&password)
        .map_err(|error| refused(DirectoryError::Failed(format!("the password cannot be hashed: {error}"))))?;
    let new = NewUser { name: ADMIN.to_owned(), password: hash, roles: Roles::of([Role::Admin]) };
    directory.add_user(new, &Granter::daemon(DAEMON)).map_err(refused)?;
    tracing::info!(file = %path.display(), "the user `admin` was made; its password is in this file");
    Ok(())
}

fn refused(error: DirectoryError) -> DaemonError {
    match error {
        DirectoryError::Store(error) => error.into(),
        DirectoryError::Unrecorded(error) => error.into(),
        other => DaemonError::Identity(Box::new(other)),
    }
}
