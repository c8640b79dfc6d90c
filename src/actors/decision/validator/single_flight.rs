//! Shares the evaluation of equal questions in a worker: the first request that asks one leads, and the others wait for
//! its result.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::actors::cache::request_cache::{CachedVerdict, Key};
use crate::domain::Verdict;

/// The questions that one worker is deciding; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct SingleFlight(Rc<RefCell<HashMap<Key, Followers>>>);

/// The receivers of one flight's result.
type Followers = Vec<oneshot::Sender<FlightResult>>;

/// The result of a flight.
#[derive(Debug, Clone)]
pub(super) enum FlightResult {
    /// A verdict that may be cached.
    Verdict(CachedVerdict),
    /// A deny for this time only: something that the decision needs is unavailable.
    Denied(Arc<Verdict>),
}

/// The role of a request in a flight.
#[derive(Debug)]
pub(super) enum Flight {
    /// It decides the question.
    Leads(FlightLeader),
    /// It waits for the leader's result. An error means that the leader gave up, and this request begins anew.
    Follows(oneshot::Receiver<FlightResult>),
}

/// The duty to decide a question for every request that asks it meanwhile. If it is dropped before it
/// [lands](Self::finish), its followers begin anew.
#[derive(Debug)]
pub(super) struct FlightLeader {
    key: Key,
    /// The flights that others can join; `None` if this one is closed or private.
    open: Option<SingleFlight>,
    /// The requests that joined before the flight was closed.
    followers: Followers,
}

impl SingleFlight {
    /// Joins the flight of a question, or begins one.
    pub(super) fn join(&self, key: Key) -> Flight {
        let mut flights = self.0.borrow_mut();
        if let Some(followers) = flights.get_mut(&key) {
            let (sender, receiver) = oneshot::channel();
            followers.push(sender);
            return Flight::Follows(receiver);
        }
        flights.insert(key, Vec::new());
        Flight::Leads(FlightLeader { key, open: Some(self.clone()), followers: Vec::new() })
    }
}

impl FlightLeader {
    /// Leads a private flight.
    pub(super) fn alone(key: Key) -> Self {
        Self { key, open: None, followers: Vec::new() }
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Closes the flight: a later request begins a new one.
    pub(super) fn close(&mut self) {
        if let Some(flights) = self.open.take() {
            self.followers = flights.0.borrow_mut().remove(&self.key).unwrap_or_default();
        }
    }

    /// Whether requests wait for the result of a closed flight.
    pub(super) fn has_followers(&self) -> bool {
        !self.followers.is_empty()
    }

    /// Ends the flight, and sends the result to its followers.
    pub(super) fn finish(mut self, result: &FlightResult) {
        self.close();
        for follower in self.followers.drain(..) {
            // The follower's request may have ended.
            drop(follower.send(result.clone()));
        }
    }
}

impl Drop for FlightLeader {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Reason;

    const KEY: Key = [7; 32];

    fn leader(flights: &SingleFlight) -> FlightLeader {
        match flights.join(KEY) {
            Flight::Leads(leader) => leader,
            Flight::Follows(_) => panic!("somebody leads already"),
        }
    }

    fn follower(flights: &SingleFlight) -> oneshot::Receiver<FlightResult> {
        match flights.join(KEY) {
            Flight::Follows(follower) => follower,
            Flight::Leads(_) => panic!("nobody leads"),
        }
    }

    fn denied() -> FlightResult {
        FlightResult::Denied(Arc::new(Verdict::deny(Reason::Unavailable, "no")))
    }

    #[test]
    fn a_flight_tells_its_end_to_everyone_who_waits_and_a_later_request_begins_another() {
        let flights = SingleFlight::default();
        let leads = leader(&flights);
        let mut followers = [follower(&flights), follower(&flights)];
        leads.finish(&denied());
        assert!(followers.iter_mut().all(|follower| matches!(follower.try_recv(), Ok(FlightResult::Denied(_)))));
        drop(leader(&flights));
        assert!(flights.0.borrow().is_empty());
    }

    #[test]
    fn the_followers_of_a_leader_that_gave_up_learn_of_it() {
        let flights = SingleFlight::default();
        let leads = leader(&flights);
        let mut follows = follower(&flights);
        drop(leads);
        assert_eq!(follows.try_recv().unwrap_err(), oneshot::error::TryRecvError::Closed);
        drop(leader(&flights));
    }

    #[test]
    fn a_closed_flight_ends_without_touching_the_one_that_began_after_it() {
        let flights = SingleFlight::default();
        let mut first = leader(&flights);
        let mut early = follower(&flights);
        first.close();
        assert!(first.has_followers());
        let second = leader(&flights);
        let mut late = follower(&flights);
        first.finish(&denied());
        assert!(early.try_recv().is_ok());
        assert_eq!(late.try_recv().unwrap_err(), oneshot::error::TryRecvError::Empty);
        second.finish(&denied());
        assert!(late.try_recv().is_ok());
        let mut alone = FlightLeader::alone(KEY);
        alone.close();
        assert!(!alone.has_followers() && flights.0.borrow().is_empty());
    }
}
