//! A fair semaphore for connections.
//!
//! r2d2 lets a caller at the right moment overtake waiting ones. So it is called only with a permit, of which there are
//! as many as connections: with one, a connection is free or being opened.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// The two kinds of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TierName {
    /// Kept open.
    Base,
    /// Opened under load, and closed when idle.
    Overflow,
}

/// Gives out permits.
#[derive(Debug)]
pub(super) struct FairSemaphore(Mutex<Gate>);

/// INVARIANT: while a waiter is queued, no base permit is free.
#[derive(Debug)]
struct Gate {
    base: u32,
    overflow: u32,
    queue: VecDeque<Arc<Waiter>>,
}

#[derive(Debug, Default)]
struct Waiter {
    granted: Mutex<Option<TierName>>,
    woken: Condvar,
    /// It has, or had, a permit of the overflow for itself, and waits for the base only.
    tries_overflow: AtomicBool,
}

impl FairSemaphore {
    /// With a number of permits of each kind.
    pub(super) fn new(base: u32, overflow: u32) -> Self {
        Self(Mutex::new(Gate { base, overflow, queue: VecDeque::new() }))
    }

    /// A permit of the base, or a place in the queue for it.
    pub(super) fn enter(&self) -> Result<Permit<'_>, QueueTicket<'_>> {
        let mut gate = self.gate();
        if gate.base > 0 {
            gate.base -= 1;
            return Ok(Permit { semaphore: self, of: TierName::Base });
        }
        let waiter = Arc::new(Waiter::default());
        let ahead = gate.queue.len();
        gate.queue.push_back(Arc::clone(&waiter));
        Err(QueueTicket { semaphore: self, waiter, ahead })
    }

    /// A base permit, if one is free.
    pub(super) fn try_enter(&self) -> Option<Permit<'_>> {
        let mut gate = self.gate();
        gate.base = gate.base.checked_sub(1)?;
        Some(Permit { semaphore: self, of: TierName::Base })
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.0.lock()
    }

    fn release(&self, of: TierName) {
        let mut gate = self.gate();
        let next = match of {
            TierName::Base => gate.queue.pop_front(),
            TierName::Overflow => {
                let first = gate.queue.iter().position(|waiter| !waiter.tries_overflow.load(Ordering::Relaxed));
                first.and_then(|at| gate.queue.remove(at))
            }
        };
        match (next, of) {
            (Some(waiter), _) => waiter.grant(of),
            (None, TierName::Base) => gate.base += 1,
            (None, TierName::Overflow) => gate.overflow += 1,
        }
    }
}

impl Waiter {
    fn grant(&self, of: TierName) {
        *self.granted.lock() = Some(of);
        self.woken.notify_one();
    }
}

/// The right to one connection; the next one has it when this is dropped.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    semaphore: &'a FairSemaphore,
    of: TierName,
}

impl Permit<'_> {
    /// Which kind of connection it is for.
    pub(super) fn of(&self) -> TierName {
        self.of
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.release(self.of);
    }
}

/// A place in the queue, which is left when this is dropped.
#[derive(Debug)]
pub(super) struct QueueTicket<'a> {
    semaphore: &'a FairSemaphore,
    waiter: Arc<Waiter>,
    ahead: usize,
}

impl<'a> QueueTicket<'a> {
    /// How many were ahead when this one came.
    pub(super) fn ahead(&self) -> usize {
        self.ahead
    }

    /// Waits for a permit of either kind; `None` at the deadline.
    pub(super) fn wait(&self, until: Instant) -> Option<Permit<'a>> {
        let mut granted = self.waiter.granted.lock();
        self.waiter.woken.wait_while_until(&mut granted, |granted| granted.is_none(), until);
        let of = granted.take()?;
        Some(Permit { semaphore: self.semaphore, of })
    }

    /// Whether a permit came meanwhile.
    pub(super) fn is_granted(&self) -> bool {
        self.waiter.granted.lock().is_some()
    }

    /// A permit of the overflow, if there is one. The place is kept, from now on for a permit of the base only.
    pub(super) fn try_overflow(&self) -> Option<Permit<'a>> {
        let mut gate = self.semaphore.gate();
        gate.overflow = gate.overflow.checked_sub(1)?;
        self.waiter.tries_overflow.store(true, Ordering::Relaxed);
        Some(Permit { semaphore: self.semaphore, of: TierName::Overflow })
    }

    /// From now on waits for a base permit only, before all others: its overflow permit was of no use.
    pub(super) fn come_back(&self) {
        self.waiter.tries_overflow.store(true, Ordering::Relaxed);
        let mut gate = self.semaphore.gate();
        // Permits are granted under this lock, and only to queued waiters.
        if self.is_granted() || gate.queue.iter().any(|waiter| Arc::ptr_eq(waiter, &self.waiter)) {
            return;
        }
        match gate.base.checked_sub(1) {
            Some(left) => {
                gate.base = left;
                self.waiter.grant(TierName::Base);
            }
            None => gate.queue.push_front(Arc::clone(&self.waiter)),
        }
    }
}

impl Drop for QueueTicket<'_> {
    fn drop(&mut self) {
        self.semaphore.gate().queue.retain(|waiter| !Arc::ptr_eq(waiter, &self.waiter));
        // A waiter that is not queued is granted nothing; an earlier grant is passed on.
        let granted = self.waiter.granted.lock().take();
        if let Some(of) = granted {
            self.semaphore.release(of);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn now(place: &QueueTicket<'_>) -> Option<TierName> {
        // The permit is kept for good.
        place.wait(Instant::now()).map(|permit| {
            let of = permit.of();
            std::mem::forget(permit);
            of
        })
    }

    #[test]
    fn permits_go_to_those_who_wait_in_the_order_in_which_they_came() {
        let semaphore = FairSemaphore::new(1, 1);
        let held = semaphore.enter().unwrap();
        let (first, second) = (semaphore.enter().unwrap_err(), semaphore.enter().unwrap_err());
        assert_eq!((first.ahead(), second.ahead()), (0, 1));
        assert!(semaphore.try_enter().is_none());
        drop(held);
        assert_eq!((second.is_granted(), first.is_granted()), (false, true));
        assert_eq!((now(&first), now(&second)), (Some(TierName::Base), None));
    }

    #[test]
    fn a_waiter_is_woken_by_the_permit() {
        let semaphore = FairSemaphore::new(1, 0);
        let held = semaphore.enter().unwrap();
        let place = semaphore.enter().unwrap_err();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| place.wait(Instant::now() + Duration::from_mins(1)).map(|permit| permit.of()));
            drop(held);
            assert_eq!(waiting.join().unwrap(), Some(TierName::Base));
        });
    }

    #[test]
    fn who_tries_the_overflow_keeps_the_place_for_the_base() {
        let semaphore = FairSemaphore::new(1, 1);
        let held = semaphore.enter().unwrap();
        let (first, second) = (semaphore.enter().unwrap_err(), semaphore.enter().unwrap_err());
        let overflow = first.try_overflow().unwrap();
        assert!(second.try_overflow().is_none());
        drop(held);
        assert!(first.is_granted());
        // The permit of the overflow is of use to the next one only.
        drop(overflow);
        assert_eq!(now(&second), Some(TierName::Overflow));
        assert_eq!(now(&first), Some(TierName::Base));
    }

    #[test]
    fn who_leaves_the_queue_gives_on_what_was_granted_meanwhile() {
        let semaphore = FairSemaphore::new(1, 0);
        let held = semaphore.enter().unwrap();
        let (first, second, third) =
            (semaphore.enter().unwrap_err(), semaphore.enter().unwrap_err(), semaphore.enter().unwrap_err());
        drop(second);
        drop(held);
        assert!(first.is_granted());
        drop(first);
        assert!(third.is_granted());
        drop(third);
        assert!(semaphore.try_enter().is_some());
    }

    #[test]
    fn who_comes_back_is_first() {
        let semaphore = FairSemaphore::new(1, 1);
        let held = semaphore.enter().unwrap();
        let first = semaphore.enter().unwrap_err();
        let second = semaphore.enter().unwrap_err();
        drop(first.try_overflow().unwrap());
        let overflow = second.wait(Instant::now()).unwrap();
        assert_eq!(overflow.of(), TierName::Overflow);
        drop(first);
        let third = semaphore.enter().unwrap_err();
        second.come_back();
        drop(overflow);
        assert_eq!(now(&third), Some(TierName::Overflow));
        drop(held);
        let base = second.wait(Instant::now()).unwrap();
        assert_eq!(base.of(), TierName::Base);
        drop(base);
        second.come_back();
        assert_eq!(now(&second), Some(TierName::Base));
    }
}
