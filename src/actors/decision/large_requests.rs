//! Limits the number of large requests that a worker handles at once, and gives callers their turns round-robin.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::rc::Rc;

use smol_str::SmolStr;
use tokio::sync::oneshot;

/// The most large requests that wait in one worker, and the most of one caller.
const MAX_WAITING: usize = 128;
const MAX_WAITING_OF_CALLER: usize = 32;

/// The large requests of one worker; clones share it.
#[derive(Debug, Clone)]
pub struct LargeRequests(Rc<RefCell<Queue>>);

#[derive(Debug)]
struct Queue {
    /// Free slots. No request waits while there is one.
    free: usize,
    /// The callers with waiting requests, in order of their turns; each caller's requests in order of arrival.
    callers: VecDeque<(SmolStr, VecDeque<oneshot::Sender<Turn>>)>,
}

/// A slot for a large request; when it is dropped, the next request gets it.
#[derive(Debug)]
pub struct Turn(LargeRequests);

/// The worker, or the caller, has too many large requests waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many large requests are queued")]
pub struct Crowded;

impl LargeRequests {
    /// With `running` slots.
    #[must_use]
    pub fn new(running: NonZeroUsize) -> Self {
        Self(Rc::new(RefCell::new(Queue { free: running.get(), callers: VecDeque::new() })))
    }

    /// Waits for a slot for a request of `caller`. Dropping the future leaves the queue.
    pub async fn turn(&self, caller: &str) -> Result<Turn, Crowded> {
        let granted = {
            let mut queue = self.0.borrow_mut();
            if queue.free > 0 {
                queue.free -= 1;
                return Ok(Turn(self.clone()));
            }
            queue.wait(caller)?
        };
        // Slots are passed on until no request waits, so this is always answered.
        granted.await.map_err(|_| Crowded)
    }

    fn pass_on(&self) {
        let next = self.0.borrow_mut().next();
        if let Some(next) = next {
            // If the request has stopped waiting, the slot is returned by the drop, and passed on again.
            drop(next.send(Turn(self.clone())));
        }
    }
}

impl Queue {
    fn wait(&mut self, caller: &str) -> Result<oneshot::Receiver<Turn>, Crowded> {
        for (_, requests) in &mut self.callers {
            requests.retain(|request| !request.is_closed());
        }
        self.callers.retain(|(_, requests)| !requests.is_empty());
        let waiting = self.callers.iter().map(|(_, requests)| requests.len()).sum::<usize>();
        let known = self.callers.iter_mut().find(|(name, _)| name == caller);
        let (sender, receiver) = oneshot::channel();
        match known {
            _ if waiting >= MAX_WAITING => return Err(Crowded),
            Some((_, requests)) if requests.len() >= MAX_WAITING_OF_CALLER => return Err(Crowded),
            Some((_, requests)) => requests.push_back(sender),
            None => self.callers.push_back((caller.into(), VecDeque::from([sender]))),
        }
        Ok(receiver)
    }

    /// The next request, round-robin by caller. If none waits, the slot is free.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        while let Some((caller, mut requests)) = self.callers.pop_front() {
            let Some(request) = requests.pop_front() else { continue };
            if !requests.is_empty() {
                self.callers.push_back((caller, requests));
            }
            return Some(request);
        }
        self.free += 1;
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::LocalBoxFuture;

    use super::*;

    type Waiting<'a> = (&'static str, LocalBoxFuture<'a, Result<Turn, Crowded>>);

    fn ask<'a>(requests: &'a LargeRequests, caller: &'static str) -> Waiting<'a> {
        let mut waiting = requests.turn(caller).boxed_local();
        assert!((&mut waiting).now_or_never().is_none(), "{caller} does not wait");
        (caller, waiting)
    }

    /// The callers in the order in which they get slots.
    fn turns(mut waiting: Vec<Waiting<'_>>) -> String {
        let mut order = String::new();
        while !waiting.is_empty() {
            let found = waiting.iter_mut().enumerate().find_map(|(nth, (_, turn))| Some((nth, turn.now_or_never()?)));
            let Some((nth, turn)) = found else { return order + "…" };
            order += waiting.remove(nth).0;
            drop(turn.unwrap());
        }
        order
    }

    fn take(requests: &LargeRequests) -> Turn {
        requests.turn("x").now_or_never().unwrap().unwrap()
    }

    #[test]
    fn callers_take_turns_whatever_each_of_them_has_waiting() {
        let requests = LargeRequests::new(NonZeroUsize::MIN);
        let running = take(&requests);
        let waiting: Vec<_> = ["a", "a", "a", "b", "a", "c", "b"].map(|caller| ask(&requests, caller)).into();
        drop(running);
        assert_eq!(turns(waiting), "abcabaa");
        drop(take(&requests));
    }

    #[test]
    fn a_request_that_stops_waiting_takes_no_turn_and_no_place() {
        let requests = LargeRequests::new(NonZeroUsize::new(2).unwrap());
        let running = [take(&requests), take(&requests)];
        for _ in 0..10 * MAX_WAITING {
            drop(ask(&requests, "a"));
        }
        let (gone, waiting) = (ask(&requests, "a"), vec![ask(&requests, "a"), ask(&requests, "b")]);
        drop(running);
        drop(gone);
        assert_eq!(turns(waiting), "ab");
        assert_eq!(requests.0.borrow().free, 2);
    }

    #[test]
    fn one_caller_cannot_fill_the_queue_and_the_queue_has_an_end() {
        let requests = LargeRequests::new(NonZeroUsize::MIN);
        let running = take(&requests);
        let mut waiting = Vec::new();
        for caller in ["a", "b", "c", "d", "e"] {
            let before = waiting.len();
            for _ in 0..40 {
                let mut turn = requests.turn(caller).boxed_local();
                match (&mut turn).now_or_never() {
                    None => waiting.push((caller, turn)),
                    Some(refused) => assert_eq!(refused.unwrap_err(), Crowded),
                }
            }
            assert_eq!(waiting.len() - before, if caller == "e" { 0 } else { MAX_WAITING_OF_CALLER });
        }
        drop(running);
        assert!(turns(waiting).starts_with("abcdabcd"));
    }
}
