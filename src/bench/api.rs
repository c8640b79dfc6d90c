//! Questions to the daemon's API, one after the other: everything but the load itself.

use std::fmt::Write as _;

use serde_json::Value;

use super::connection::{Answer, Connection};
use super::endpoint::Endpoint;
use super::error::BenchError;

/// A header with a token or an API key: its name and its value.
pub type Credential = (&'static str, String);

/// The scopes that a run needs.
const SCOPES: &str = "`decide` and `read`, and for `compliance` also `audit:read`";

/// A client of the API.
pub struct Api {
    /// The daemon.
    pub endpoint: Endpoint,
    headers: String,
    connection: Option<Connection>,
}

/// The lines of a credential's header.
#[must_use]
pub fn credential_line(credential: Option<&Credential>) -> String {
    credential.map_or_else(String::new, |(name, value)| format!("{name}: {value}\r\n"))
}

impl Api {
    /// A client with this credential.
    #[must_use]
    pub fn new(endpoint: Endpoint, credential: Option<&Credential>) -> Self {
        Self { endpoint, headers: credential_line(credential), connection: None }
    }

    /// Another client of the same daemon, with a connection of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { endpoint: self.endpoint.clone(), headers: self.headers.clone(), connection: None }
    }

    /// The answer to a request, whatever its status. `headers` are lines with their ends.
    pub fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Answer, BenchError> {
        let mut head = self.endpoint.head(method, path, &self.headers);
        head.push_str(headers);
        if !body.is_empty() {
            head.push_str("Content-Type: application/json\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
        let request = [head.as_bytes(), body].concat();
        // The daemon closes idle connections, so one that was used before may be gone.
        if let Some(mut kept) = self.connection.take()
            && let Ok(answer) = kept.exchange(&request)
        {
            self.connection = Some(kept);
            return Ok(answer);
        }
        let exchange = || {
            let mut connection = Connection::open(&self.endpoint)?;
            connection.exchange(&request).map(|answer| (connection, answer))
        };
        let (connection, answer) = exchange()
            .map_err(|error| BenchError::Failed(format!("no daemon answers at `{}`: {error}", self.endpoint)))?;
        let is_kept = answer.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"));
        self.connection = is_kept.then_some(connection);
        Ok(answer)
    }

    /// The body of a successful answer.
    pub fn get(&mut self, path: &str) -> Result<Answer, BenchError> {
        let answer = self.ask("GET", path, "", b"")?;
        self.successful(path, answer)
    }

    /// The JSON of a successful answer.
    pub fn get_json(&mut self, path: &str) -> Result<Value, BenchError> {
        let answer = self.get(path)?;
        self.json(path, &answer)
    }

    /// The JSON of a successful answer to a `POST`.
    pub fn post_json(&mut self, path: &str, headers: &str, body: &[u8]) -> Result<Value, BenchError> {
        let answer = self.ask("POST", path, headers, body)?;
        let answer = self.successful(path, answer)?;
        self.json(path, &answer)
    }

    /// All items of a list, of all pages, up to about `most`.
    pub fn list(&mut self, path: &str, most: usize) -> Result<Vec<Value>, BenchError> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let (mut items, mut page) = (Vec::new(), format!("{path}{mark}limit=1000"));
        loop {
            let mut found = self.get_json(&page)?;
            if let Some(Value::Array(more)) = found.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            match found.get("next_cursor").and_then(Value::as_str) {
                Some(cursor) if items.len() < most => page = format!("{path}{mark}limit=1000&cursor={cursor}"),
                _ => return Ok(items),
            }
        }
    }

    /// The answer, if its status is one of success.
    pub fn successful(&self, path: &str, answer: Answer) -> Result<Answer, BenchError> {
        let (status, endpoint) = (answer.status, &self.endpoint);
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let detail = problem.get("detail").and_then(Value::as_str).unwrap_or_default();
        let told = format!("`{endpoint}{path}` is answered with status {status}: {detail}");
        if !matches!(status, 401 | 403) {
            return Err(BenchError::Failed(told));
        }
        Err(BenchError::Refused(format!(
            "{told}\na run needs a credential with the scopes {SCOPES}: run it on the daemon's host as root or as the \
             daemon's user, or make one with `acgs api-key add bench --scope decide --scope read --scope audit:read` or \
             `acgs client add bench --role operator`, and give it with `--token-file FILE` or in `ACGS_TOKEN`"
        )))
    }

    fn json(&self, path: &str, answer: &Answer) -> Result<Value, BenchError> {
        serde_json::from_slice(&answer.body)
            .map_err(|error| BenchError::Failed(format!("the answer of `{}{path}` is no JSON: {error}", self.endpoint)))
    }
}
