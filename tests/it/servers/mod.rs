//! The servers that tests start do what tests need of them. Skipped where they are not installed.

mod postgres;
mod redis;
mod tiers;

use crate::harness;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Whether what is asked for is there; else the test says that it is skipped.
fn can(is_there: bool, what: &str) -> bool {
    if !is_there {
        crate::harness::skip(&format!("there is no {what}"));
    }
    is_there
}

/// What is asked of a server that was stopped is answered when it goes on, and not before.
fn is_answered_only_after<T: PartialEq + std::fmt::Debug + Send>(
    ask: impl FnOnce() -> T + Send,
    goes_on: impl FnOnce(),
    expected: &T,
) {
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        scope.spawn(move || tell.send(ask()).unwrap());
        // That there is no answer yet can only be too good a sign, never a failure of the test.
        assert!(told.recv_timeout(Duration::from_millis(200)).is_err(), "a stopped server answers");
        goes_on();
        assert_eq!(&told.recv_timeout(harness::PATIENCE).unwrap(), expected);
    });
}
