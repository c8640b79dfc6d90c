//! Lists, page by page: `?limit=&cursor=`, answered as `{"items": […], "next_cursor": …}`.

use std::num::NonZeroU16;

use actix_web::HttpResponse;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nonzero_ext::nonzero;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};

use super::problem::{BAD_REQUEST, Problem};
use crate::domain::InputFault;
use crate::store::ListPage;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items of the page.
    pub items: Vec<T>,
    /// The `cursor` of the next page; null on the last page.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// How many items a page has: 1 to 1000, 100 where the caller does not say.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct Limit(NonZeroU16);

impl Limit {
    const MAX: u16 = 1000;

    /// The number.
    #[must_use]
    pub fn get(self) -> NonZeroU16 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(nonzero!(100_u16))
    }
}

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(limit: String) -> Result<Self, String> {
        match limit.parse::<NonZeroU16>() {
            Ok(limit) if limit.get() <= Self::MAX => Ok(Self(limit)),
            _ => Err(format!("`limit` must be from 1 to {}", Self::MAX)),
        }
    }
}

/// One page of items that each have a name; the cursor is the name of the last one shown.
pub fn page<T: Serialize>(
    items: impl Iterator<Item = (String, T)>,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<HttpResponse, Problem> {
    let mut rest = items.peekable();
    if let Some(cursor) = cursor {
        let last = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|name| String::from_utf8(name).ok());
        let found = last.is_some_and(|last| rest.by_ref().any(|(name, _)| name == last));
        if !found {
            let fault = InputFault::new("/cursor", "is not one that this list gave");
            return Err(Problem::faults(&BAD_REQUEST, vec![fault]));
        }
    }
    let (names, shown): (Vec<_>, Vec<_>) = rest.by_ref().take(usize::from(limit.get().get())).unzip();
    let next = names.last().filter(|_| rest.peek().is_some()).map(|name| URL_SAFE_NO_PAD.encode(name));
    Ok(HttpResponse::Ok().json(Page { items: shown, next_cursor: next }))
}

/// Which part of a list that is in the order of names.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct After {
    /// The most items of the page.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 1000, default = 100, required = false)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

impl After {
    /// The name after which the part begins.
    pub fn name(&self) -> Result<Option<String>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let name = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|name| String::from_utf8(name).ok());
        name.map(Some).ok_or_else(|| Problem::fault("/cursor", "is not one that this list gave"))
    }

    /// How many items it has at most.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.limit
    }
}

/// One part of such a list.
pub fn listed<T, S: Serialize>(part: &ListPage<T>, show: impl Fn(&T) -> S) -> HttpResponse {
    let items: Vec<_> = part.items.iter().map(show).collect();
    let next_cursor = part.next.as_ref().map(|name| URL_SAFE_NO_PAD.encode(name));
    HttpResponse::Ok().json(Page { items, next_cursor })
}

/// A moment in Unix seconds, as JSON has it (RFC 3339).
#[must_use]
pub fn time(seconds: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(&Rfc3339).unwrap_or_default()
}

/// A label for people: 1 to 100 visible characters.
pub fn label(pointer: &str, given: String) -> Result<String, Problem> {
    let count = given.chars().count();
    if !(1..=100).contains(&count) || given.chars().any(char::is_control) {
        return Err(Problem::fault(pointer, "must have 1 to 100 characters, and no control characters"));
    }
    Ok(given)
}
