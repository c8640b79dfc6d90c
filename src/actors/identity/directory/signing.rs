//! The daemon's own signing keys: made on the first start, replaced when they are old, or by an administrator.

use std::sync::Arc;

use actix::{Handler, Message};
use parking_lot::MutexGuard;
use smol_str::SmolStr;

use super::withdrawal::{Applied, Withdrawal, Withdrawn};
use super::{Directory, DirectoryError, GRACE, change, delayed, denied_until, event, now};
use crate::actors::audit::change_recorder::ChangeRecorder;
use crate::actors::identity::denylist::Denylist;
use crate::actors::identity::trust::OwnKeys;
use crate::auth::jwk::VerifyingKey;
use crate::auth::signing_key::SigningKey;
use crate::ledger::Event;
use crate::store::signing_keys::{self, SigningKeyRow};
use crate::store::{Connection, Store, ended_tokens};

/// Makes a key; the caller puts it into force when it is stored.
fn make(conn: &mut Connection, caller: &str, what: &str, now: i64) -> Result<Event, DirectoryError> {
    let key = SigningKey::generate().map_err(|error| DirectoryError::Failed(error.to_string()))?;
    let row = SigningKeyRow {
        kid: key.kid().to_owned(),
        pkcs8: key.pkcs8().to_vec(),
        created_at: now,
        retired_at: None,
        withdrawn_at: None,
    };
    signing_keys::insert(conn, &row)?;
    Ok(event(caller, what).name("kid", row.kid).name("at_s", now))
}

/// The keys that sign and verify now, as they are stored.
fn read(rows: Vec<SigningKeyRow>, overlap: i64, now: i64) -> Result<Option<OwnKeys>, DirectoryError> {
    let is_good = |row: &SigningKeyRow| {
        row.withdrawn_at.is_none() && row.retired_at.is_none_or(|retired| retired + overlap > now)
    };
    let key = |row: SigningKeyRow| {
        SigningKey::from_pkcs8(&row.pkcs8).map_err(|error| DirectoryError::Failed(error.to_string()))
    };
    let (retired, mut current): (Vec<_>, Vec<_>) =
        rows.into_iter().filter(is_good).partition(|row| row.retired_at.is_some());
    current.sort_by_key(|row| row.created_at);
    let Some(newest) = current.pop() else { return Ok(None) };
    let retired = retired.into_iter().chain(current).map(key).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(OwnKeys::new(key(newest)?, &retired)))
}

/// The stored keys that sign and verify now.
pub(super) fn stored_keys(store: &Store, access_lifetime: i64) -> Result<Option<OwnKeys>, DirectoryError> {
    read(store.query(signing_keys::all)?, access_lifetime + GRACE, now())
}

/// The stored key with this id, whether or not its tokens are valid now.
pub(super) fn stored_key(store: &Store, kid: &str) -> Result<Option<VerifyingKey>, DirectoryError> {
    let Some(row) = store.query(|conn| signing_keys::find(conn, kid))? else { return Ok(None) };
    let key = SigningKey::from_pkcs8(&row.pkcs8).map_err(|error| DirectoryError::Failed(error.to_string()))?;
    Ok(Some(key.verifying_key()))
}

/// The stored signing keys. If there are none, the first one is made, and recorded before it is stored.
pub fn open_keys(
    store: &Store,
    access_lifetime: i64,
    caller: &str,
    changes: &ChangeRecorder,
) -> Result<OwnKeys, DirectoryError> {
    if let Some(keys) = stored_keys(store, access_lifetime)? {
        return Ok(keys);
    }
    change(store, changes, |conn| Ok(((), vec![make(conn, caller, "signing_key_made", now())?])))?;
    stored_keys(store, access_lifetime)?
        .ok_or_else(|| DirectoryError::Failed("the new signing key was not stored".to_owned()))
}

/// Answers the age of the current signing key, in seconds.
#[derive(Debug, Message)]
#[rtype(result = "Result<i64, DirectoryError>")]
pub struct SigningKeyAge;

impl Handler<SigningKeyAge> for Directory {
    type Result = Result<i64, DirectoryError>;

    fn handle(&mut self, SigningKeyAge: SigningKeyAge, _: &mut Self::Context) -> Self::Result {
        let signing = self.store.query(signing_keys::all)?.into_iter().filter(|key| key.retired_at.is_none());
        Ok(signing.map(|key| key.created_at).max().map_or(0, |created| now() - created))
    }
}

/// Makes a new signing key. The one before verifies until its tokens have lapsed, or no more at all.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Withdrawn<String>, DirectoryError>")]
pub struct RotateSigningKey {
    /// Whether the keys before are withdrawn at once, with all their tokens.
    pub withdraw: bool,
    /// The caller's name in records.
    pub caller: String,
}

impl Withdrawal for RotateSigningKey {
    type Done = Arc<OwnKeys>;

    fn names(&self, directory: &Directory) -> Vec<SmolStr> {
        let own = directory.trust.own();
        own.verifying.iter().filter_map(VerifyingKey::kid).map(Denylist::signing_key).collect()
    }

    fn delayed(&self) -> Event {
        delayed(&self.caller, "signing_key_rotated").name("withdrawn", self.withdraw)
    }

    fn apply(
        &self,
        directory: &Directory,
        conn: &mut Connection,
        now: i64,
    ) -> Result<Applied<Self::Done>, DirectoryError> {
        let mut ids = Vec::new();
        for old in signing_keys::all(conn)?.into_iter().filter(|row| row.withdrawn_at.is_none()) {
            if old.retired_at.is_none() {
                signing_keys::retire(conn, &old.kid, now)?;
            }
            if self.withdraw {
                signing_keys::withdraw(conn, &old.kid, now)?;
                let name = Denylist::signing_key(&old.kid);
                ended_tokens::deny(conn, &name, denied_until(now))?;
                ids.push((name, denied_until(now)));
            }
        }
        let event = make(conn, &self.caller, "signing_key_rotated", now)?.name("withdrawn", self.withdraw);
        let keys = read(signing_keys::all(conn)?, directory.lifetimes.access + GRACE, now)?;
        let keys = keys.ok_or_else(|| DirectoryError::Failed("the new signing key was not stored".to_owned()))?;
        Ok(Applied { done: Arc::new(keys), ids, events: vec![event] })
    }

    /// Serializes rotations: otherwise the key list of an earlier one could replace that of a later one.
    fn turn<'d>(&self, directory: &'d Directory) -> Option<MutexGuard<'d, ()>> {
        Some(directory.rotating.lock())
    }

    fn committed(&self, directory: &Directory, keys: &Arc<OwnKeys>) {
        directory.trust.set_own(Arc::clone(keys));
    }

    fn taking(&self) -> Option<Self> {
        None
    }
}

impl Handler<RotateSigningKey> for Directory {
    type Result = Result<Withdrawn<String>, DirectoryError>;

    fn handle(&mut self, ask: RotateSigningKey, _: &mut Self::Context) -> Self::Result {
        let rotated = if ask.withdraw { self.withdraw(ask)? } else { Withdrawn::Recorded(self.grant(&ask)?) };
        Ok(rotated.map(|keys| keys.current.kid().to_owned()))
    }
}
