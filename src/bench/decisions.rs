//! Requests for decisions, with the mark of the run.

use std::sync::mpsc::Sender;
use std::time::Instant;

use serde::Deserialize;

use super::endpoint::Endpoint;
use super::fresh::is_transient;
use super::open_loop::Requests;
use super::population::Population;
use crate::domain::BenchRun;

/// An answer, for its comparison.
#[derive(Debug)]
pub struct Answered {
    /// The question's place in the population.
    pub question: usize,
    /// The decision.
    pub body: Vec<u8>,
    /// When it arrived.
    pub at: Instant,
}

/// The members of an answer that a load looks at.
#[derive(Deserialize)]
struct Body<'a> {
    decision: bool,
    #[serde(borrow)]
    context: Context<'a>,
}

#[derive(Deserialize)]
struct Context<'a> {
    #[serde(rename = "id")]
    _id: &'a str,
    reason: &'a str,
}

/// Whole requests for the questions of a population.
#[derive(Debug)]
pub struct DecisionRequests<'a> {
    population: &'a Population,
    requests: Vec<Vec<u8>>,
    order: Order,
    answers: Option<Sender<Answered>>,
    /// Answers that differ from the verdict before the run.
    pub unexpected: u64,
}

/// In which order questions are asked.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// By Zipf's law; the number of the first one.
    Zipf(u64),
    /// One after the other, again and again.
    Each,
}

impl<'a> DecisionRequests<'a> {
    /// Requests with these headers, as lines with their ends. Each answer is also sent to `answers`.
    #[must_use]
    pub fn new(
        endpoint: &Endpoint,
        headers: &str,
        population: &'a Population,
        order: Order,
        answers: Option<Sender<Answered>>,
    ) -> Self {
        let head = endpoint.head("POST", "/access/v1/evaluation", headers);
        let request = |body: &[u8]| {
            let head = format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        };
        let requests = population.questions().iter().map(|question| request(&question.body)).collect();
        Self { population, requests, order, answers, unexpected: 0 }
    }

    /// The requests, one for each question.
    #[must_use]
    pub fn into_requests(self) -> Vec<Vec<u8>> {
        self.requests
    }

    /// The place of the question of a request.
    fn place(&self, number: u64) -> usize {
        match self.order {
            Order::Zipf(first) => self.population.question(first.wrapping_add(number)),
            Order::Each => usize::try_from(number).unwrap_or(0).checked_rem(self.requests.len()).unwrap_or(0),
        }
    }
}

impl Requests for DecisionRequests<'_> {
    fn write(&mut self, number: u64, into: &mut Vec<u8>) {
        into.extend_from_slice(self.requests.get(self.place(number)).map_or(&[][..], Vec::as_slice));
    }

    fn judge(&mut self, number: u64, status: u16, body: &[u8]) -> Result<(), &'static str> {
        match status {
            200 => {}
            401 | 403 => return Err("the credential was refused (401 or 403)"),
            429 => return Err("the caller's rate limit was reached (429)"),
            503 => return Err("the daemon was unavailable or overloaded (503)"),
            400..=499 => return Err("a request was refused (4xx)"),
            _ => return Err("an answer had an unexpected status"),
        }
        let answer: Body<'_> = serde_json::from_slice(body).map_err(|_| "an answer was no decision")?;
        let question = self.place(number);
        if let Some(answers) = &self.answers {
            // The receiver ends after the load.
            let _ = answers.send(Answered { question, body: body.to_vec(), at: Instant::now() });
        }
        if is_transient(answer.context.reason) {
            return Err("a decision was denied because something was unavailable");
        }
        let expected = self.population.questions().get(question).map(|question| question.fresh.verdict.decision);
        self.unexpected += u64::from(expected != Some(answer.decision));
        Ok(())
    }
}

/// The lines that mark the decisions of a run.
#[must_use]
pub fn mark(run: BenchRun<'_>) -> String {
    format!("X-ACGS-Bench: {run}\r\n")
}
