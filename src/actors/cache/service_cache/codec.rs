//! The form in which a verdict is stored in Redis: compact, and authenticated with a secret of the fleet, so that a
//! party with write access to Redis can make this tier useless, but cannot forge a verdict.
//!
//! A value consists of, in this order: the format (one byte); the revision of the store that the verdict is as of
//! (version and nonce) and its expiry in milliseconds since 1970 (eight bytes each, little endian); the slots of the
//! entities that were read; the verdict; the text of the entities; and HMAC-SHA256 over the key and all of that.
//! Numbers are LEB128, a text is preceded by its length, and an optional field by one byte that says whether it is
//! present.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::actors::cache::request_cache::Key;
use crate::domain::{Finding, NearMiss, Reason, Revision, Severity, Verdict};
use crate::store::Slot;

/// The first byte of each value.
const FORMAT: u8 = 3;
/// Bytes of the authentication at the end.
const MAC: usize = 32;
/// The most bytes of a value.
pub const MAX_BYTES: usize = 64 << 10;

/// The secret that authenticates the values of a fleet. It is stored in the fleet's database.
///
/// Every incarnation of the database has a key of its own, so that nodes which know of a lost history do not find the
/// verdicts and leases made under it.
pub struct Secret {
    incarnation: i64,
    key: hmac::Key,
    prefix: String,
}

/// The contents of a sealed value.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// The verdict.
    pub verdict: Arc<Verdict>,
    /// The text of the stored entities that were read; `None` if none was.
    pub entities: Option<Arc<str>>,
    /// The slots of all entities that were asked for, absent ones included, in order and each once.
    pub slots: Vec<Slot>,
    /// The revision up to which all changes of the store are in the verdict.
    pub as_of: Revision,
    /// Milliseconds since 1970 from which on it is not to be used.
    pub expires: u64,
}

/// Why a value is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueError {
    /// It has another form, perhaps that of another version of this program.
    Malformed,
    /// The value was not sealed for this key with this secret.
    Forged,
    /// Its time is over.
    Expired,
}

impl Secret {
    /// Derives the key of an incarnation of the database from the fleet's secret bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32], incarnation: i64) -> Self {
        let base = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let own = hmac::sign(&base, format!("acgs:v1 incarnation {incarnation:016x}").as_bytes());
        let key = hmac::Key::new(hmac::HMAC_SHA256, own.as_ref());
        let tag = hmac::sign(&key, b"acgs:v1 fleet");
        let tag = tag.as_ref().first_chunk::<6>().map(|tag| URL_SAFE_NO_PAD.encode(tag)).unwrap_or_default();
        Self { incarnation, key, prefix: format!("acgs:v1:{tag}:") }
    }

    /// The prefix of all keys in Redis. Fleets with different secrets have different prefixes, so several may share a
    /// server.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name of a verdict in Redis.
    #[must_use]
    pub fn name(&self, key: &Key) -> String {
        let mut name = self.prefix.clone();
        URL_SAFE_NO_PAD.encode_string(key, &mut name);
        name
    }

    /// The name of the claim to a question; no verdict has such a name.
    #[must_use]
    pub fn claim(&self, key: &Key) -> String {
        let mut name = format!("{}claim:", self.prefix);
        URL_SAFE_NO_PAD.encode_string(key, &mut name);
        name
    }

    /// The value for a key; `None` if it would be too large, or belongs to another incarnation.
    #[must_use]
    pub fn seal(&self, key: &Key, content: &Content) -> Option<Vec<u8>> {
        let is_foreign = content.as_of.incarnation != self.incarnation;
        if is_foreign || content.entities.as_ref().is_some_and(|text| text.len() > MAX_BYTES) {
            return None;
        }
        let mut value = Writer(Vec::with_capacity(512));
        value.content(content);
        let Writer(mut value) = value;
        let mac = self.mac(key, &value);
        value.extend_from_slice(mac.as_ref());
        (value.len() <= MAX_BYTES).then_some(value)
    }

    /// Opens a sealed value that was found under a key.
    pub fn open(&self, key: &Key, value: &[u8], now: u64) -> Result<Content, ValueError> {
        if value.len() > MAX_BYTES || value.first() != Some(&FORMAT) {
            return Err(ValueError::Malformed);
        }
        let (body, mac) = value.split_last_chunk::<MAC>().ok_or(ValueError::Malformed)?;
        let signed = [key.as_slice(), body].concat();
        hmac::verify(&self.key, &signed, mac).map_err(|_| ValueError::Forged)?;
        let mut reader = Reader(body);
        let content = reader.content(self.incarnation).filter(|_| reader.0.is_empty()).ok_or(ValueError::Malformed)?;
        if content.expires <= now { Err(ValueError::Expired) } else { Ok(content) }
    }

    fn mac(&self, key: &Key, body: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(key);
        context.update(body);
        context.sign()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The code of a reason. It is stored in Redis: change [`FORMAT`] with it.
fn reason_code(reason: Reason) -> u8 {
    match reason {
        Reason::ConstitutionHashRequired => 0,
        Reason::ConstitutionMismatch => 1,
        Reason::UnknownType => 2,
        Reason::UnknownAction => 3,
        Reason::InvalidProperties => 4,
        Reason::Unavailable => 5,
        Reason::EvaluationError => 6,
        Reason::Forbidden => 7,
        Reason::NoPermit => 8,
        Reason::Permitted => 9,
        Reason::InvalidRequest => 10,
    }
}

/// The code of a severity. It is stored in Redis: change [`FORMAT`] with it.
fn severity_code(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 0,
        Severity::High => 1,
        Severity::Medium => 2,
        Severity::Low => 3,
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn content(&mut self, content: &Content) {
        let verdict = &content.verdict;
        self.0.push(FORMAT);
        self.0.extend(content.as_of.version.to_le_bytes());
        self.0.extend(content.as_of.nonce.to_le_bytes());
        self.0.extend(content.expires.to_le_bytes());
        self.list(&content.slots, |value, slot| value.0.extend(slot.number().to_le_bytes()));
        self.0.push(reason_code(verdict.reason));
        self.0.extend(verdict.score.to_bits().to_le_bytes());
        self.list(&verdict.policies, |value, policy| value.text(policy));
        self.list(&verdict.violations, Self::finding);
        self.list(&verdict.warnings, Self::finding);
        self.perhaps(verdict.detail.as_deref());
        self.list(&verdict.nearest, Self::near_miss);
        self.perhaps(content.entities.as_deref());
    }

    fn finding(&mut self, finding: &Finding) {
        self.text(&finding.principle);
        self.0.push(severity_code(finding.severity));
        self.list(&finding.policies, |value, policy| value.text(policy));
        self.list(&finding.advice, |value, advice| value.text(advice));
    }

    fn near_miss(&mut self, near: &NearMiss) {
        self.text(&near.policy);
        self.list(&near.failed, |value, failed| value.text(failed));
        self.perhaps(near.advice.as_deref());
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.count(items.len());
        for item in items {
            write(self, item);
        }
    }

    fn perhaps(&mut self, text: Option<&str>) {
        self.0.push(text.is_some().into());
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn count(&mut self, mut count: usize) {
        loop {
            let [low, ..] = count.to_le_bytes();
            count >>= 7;
            self.0.push(if count == 0 { low & 0x7f } else { low | 0x80 });
            if count == 0 {
                return;
            }
        }
    }
}

/// Reads from the front; `None` where the value ends too early or is none of ours.
struct Reader<'v>(&'v [u8]);

impl<'v> Reader<'v> {
    fn content(&mut self, incarnation: i64) -> Option<Content> {
        let [FORMAT] = self.bytes()? else { return None };
        let (version, nonce) = (i64::from_le_bytes(self.bytes()?), i64::from_le_bytes(self.bytes()?));
        let as_of = Revision { incarnation, version, nonce };
        let expires = u64::from_le_bytes(self.bytes()?);
        let slots = self.list(|reader| Some(Slot::new(u16::from_le_bytes(reader.bytes()?))))?;
        let [reason] = self.bytes()?;
        let reason = Reason::ALL.into_iter().find(|known| reason_code(*known) == reason)?;
        let score = f64::from_bits(u64::from_le_bytes(self.bytes()?));
        let policies = self.list(|reader| reader.text().map(Arc::from))?;
        let violations = self.list(Self::finding)?;
        let warnings = self.list(Self::finding)?;
        let detail = self.perhaps()?.map(str::to_owned);
        let mut verdict = Verdict::of_policies(reason, policies, violations, warnings, score, detail);
        let nearest = self.list(Self::near_miss)?;
        if !nearest.is_empty() {
            verdict = verdict.with_nearest(nearest);
        }
        Some(Content { verdict: Arc::new(verdict), entities: self.perhaps()?.map(Arc::from), slots, as_of, expires })
    }

    fn finding(&mut self) -> Option<Finding> {
        let principle = self.text()?.into();
        let [severity] = self.bytes()?;
        let severity = Severity::ALL.into_iter().find(|known| severity_code(*known) == severity)?;
        let policies = self.list(|reader| reader.text().map(Arc::from))?;
        let advice = self.list(|reader| reader.text().map(Arc::from))?;
        Some(Finding { principle, severity, policies, advice })
    }

    fn near_miss(&mut self) -> Option<NearMiss> {
        let policy = self.text()?.into();
        let failed = self.list(|reader| reader.text().map(Arc::from))?;
        Some(NearMiss { policy, failed, advice: self.perhaps()?.map(Arc::from) })
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.count()?).map(|_| read(self)).collect()
    }

    #[expect(clippy::option_option, reason = "the value may end too early, and the text may be absent")]
    fn perhaps(&mut self) -> Option<Option<&'v str>> {
        match self.bytes()? {
            [0] => Some(None),
            [1] => self.text().map(Some),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'v str> {
        let length = self.count()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        str::from_utf8(text).ok()
    }

    /// No count is above [`MAX_BYTES`], so three bytes hold it.
    fn count(&mut self) -> Option<usize> {
        let mut count = 0;
        for shift in [0, 7, 14] {
            let [byte] = self.bytes()?;
            count |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(count);
            }
        }
        None
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }
}

#[cfg(test)]
mod tests;
