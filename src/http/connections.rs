//! Limits the number of open connections, in total and for each client address.
//!
//! Idle connections cannot lock other clients out: at a limit, a connection without a request in progress is closed in
//! favour of the new one, and the new one is refused only if there is none. At the limit for one address, a connection
//! of that address is closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::auth::network::ClientAddress;

/// How many idle connections an eviction chooses from. It takes the least recently used of them.
const CANDIDATES: usize = 16;

/// The limits of `Connections`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The most connections in total.
    pub total: usize,
    /// The most connections of one address.
    pub per_address: usize,
}

/// The limits that apply to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// That of its address and the total.
    OfAddress,
    /// Only the total, since the peer is a proxy with the connections of many clients.
    OfAll,
}

/// The table of open connections; shared by all clones.
#[derive(Debug, Clone)]
pub struct Connections {
    table: Arc<Mutex<Table>>,
    /// The number of connections so far. It is the clock of [`State::used_at`].
    entered: Arc<AtomicU64>,
    limits: ConnectionLimits,
}

#[derive(Debug, Default)]
struct Table {
    slots: Vec<Option<Entry>>,
    free: Vec<usize>,
    open: usize,
    of_address: HashMap<ClientAddress, usize>,
    /// The slot at which the next search for idle connections begins.
    hand: usize,
}

#[derive(Debug)]
struct Entry {
    address: ClientAddress,
    state: Arc<State>,
}

/// The state shared by a connection and the table.
#[derive(Debug, Default)]
struct State {
    is_busy: AtomicBool,
    /// When it was opened, or a request on it began or ended.
    used_at: AtomicU64,
    is_evicted: AtomicBool,
    waker: AtomicWaker,
}

/// The slot of an open connection, freed when this is dropped.
#[derive(Debug)]
pub struct ConnectionSlot {
    connections: Connections,
    slot: usize,
    state: Arc<State>,
}

impl Connections {
    /// An empty table.
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Self {
        Self { table: Arc::default(), entered: Arc::default(), limits }
    }

    /// Takes a slot for a connection; `None` if a limit is reached and every connection under it has a request in
    /// progress.
    #[must_use]
    pub fn enter(&self, address: ClientAddress, bounds: Bounds) -> Option<ConnectionSlot> {
        let (address, now) = (address.bucket(), self.entered.fetch_add(1, Ordering::Relaxed));
        let mut table = self.table.lock();
        let is_crowded = bounds == Bounds::OfAddress
            && table.of_address.get(&address).is_some_and(|open| *open >= self.limits.per_address);
        let is_full = table.open >= self.limits.total;
        if is_crowded || is_full {
            table.evict(is_crowded.then_some(address))?;
        }
        let state = Arc::new(State { used_at: now.into(), ..State::default() });
        let slot = table.insert(Entry { address, state: Arc::clone(&state) });
        Some(ConnectionSlot { connections: self.clone(), slot, state })
    }

    /// The number of open connections.
    #[cfg(test)]
    fn open(&self) -> usize {
        self.table.lock().open
    }
}

impl Table {
    fn insert(&mut self, entry: Entry) -> usize {
        self.open += 1;
        *self.of_address.entry(entry.address).or_default() += 1;
        let slot = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(slot) {
            Some(free) => *free = Some(entry),
            None => self.slots.push(Some(entry)),
        }
        slot
    }

    fn remove(&mut self, slot: usize) -> Option<Entry> {
        let entry = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot);
        self.open -= 1;
        if let Some(open) = self.of_address.get_mut(&entry.address) {
            *open -= 1;
            if *open == 0 {
                self.of_address.remove(&entry.address);
            }
        }
        Some(entry)
    }

    /// Evicts a connection without a request in progress: frees its slot, and tells it to close.
    fn evict(&mut self, address: Option<ClientAddress>) -> Option<()> {
        let slots = self.slots.len();
        let idle = (0..slots).map(|step| (self.hand + step) % slots).filter_map(|slot| {
            let Entry { address: of, state } = self.slots.get(slot)?.as_ref()?;
            let may_go = address.is_none_or(|address| *of == address) && !state.is_busy.load(Ordering::Relaxed);
            may_go.then(|| (state.used_at.load(Ordering::Relaxed), slot))
        });
        let (_, slot) = idle.take(CANDIDATES).min()?;
        self.hand = slot + 1;
        let entry = self.remove(slot)?;
        entry.state.is_evicted.store(true, Ordering::Release);
        entry.state.waker.wake();
        Some(())
    }
}

impl ConnectionSlot {
    /// Sets whether a request is in progress. Busy connections are not evicted.
    pub fn set_busy(&self, is_busy: bool) {
        self.state.used_at.store(self.connections.entered.load(Ordering::Relaxed), Ordering::Relaxed);
        self.state.is_busy.store(is_busy, Ordering::Relaxed);
    }

    /// Whether the connection was evicted and has to close.
    #[must_use]
    pub fn is_evicted(&self) -> bool {
        self.state.is_evicted.load(Ordering::Acquire)
    }

    /// Registers a waker for the eviction.
    pub fn register(&self, waker: &Waker) {
        self.state.waker.register(waker);
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut table = self.connections.table.lock();
        // After an eviction the slot may belong to another connection.
        let is_own = table.slots.get(self.slot).and_then(Option::as_ref);
        if is_own.is_some_and(|entry| Arc::ptr_eq(&entry.state, &self.state)) {
            table.remove(self.slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bounds::{OfAddress, OfAll};
    use super::*;

    fn at(text: &str) -> ClientAddress {
        ClientAddress::Ip(text.parse().unwrap())
    }

    fn connections(total: usize, per_address: usize) -> Connections {
        Connections::new(ConnectionLimits { total, per_address })
    }

    #[test]
    fn an_idle_connection_gives_way_and_a_busy_one_does_not() {
        let connections = connections(3, 3);
        let mut places: Vec<ConnectionSlot> =
            (0..3).map(|_| connections.enter(at("192.0.2.1"), OfAddress).unwrap()).collect();
        places[0].set_busy(true);
        places[2].set_busy(true);
        let next = connections.enter(at("192.0.2.2"), OfAddress).unwrap();
        assert_eq!(places.iter().map(ConnectionSlot::is_evicted).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(connections.open(), 3);
        places.remove(1);
        assert_eq!(connections.open(), 3, "its place is another's");
        next.set_busy(true);
        assert!(connections.enter(at("192.0.2.3"), OfAddress).is_none());
        places[0].set_busy(false);
        assert!(connections.enter(at("192.0.2.3"), OfAddress).is_some());
    }

    #[test]
    fn an_address_that_has_many_takes_no_place_from_others() {
        let connections = connections(100, 4);
        let other = connections.enter(at("192.0.2.9"), OfAddress).unwrap();
        let many: Vec<ConnectionSlot> =
            (0..50).filter_map(|_| connections.enter(at("2001:db8::1"), OfAddress)).collect();
        assert_eq!(many.iter().filter(|place| !place.is_evicted()).count(), 4);
        assert!(!other.is_evicted());
        let exempt: Vec<ConnectionSlot> = (0..50).filter_map(|_| connections.enter(at("10.0.0.1"), OfAll)).collect();
        assert!(exempt.len() == 50 && exempt.iter().all(|place| !place.is_evicted()));
        drop((many, exempt));
        assert_eq!(connections.open(), 1);
        drop(other);
        assert!(connections.table.lock().of_address.is_empty());
    }

    #[test]
    fn one_that_is_used_stays_while_idle_ones_come_and_go() {
        let connections = connections(4, 4);
        let used = connections.enter(at("192.0.2.1"), OfAddress).unwrap();
        let mut idle = Vec::new();
        for round in 0..100 {
            if round % 3 == 0 {
                used.set_busy(true);
                used.set_busy(false);
            }
            idle.push(connections.enter(at("192.0.2.1"), OfAddress).unwrap());
            assert!(!used.is_evicted() && !idle.last().unwrap().is_evicted());
        }
        assert_eq!(idle.iter().filter(|place| !place.is_evicted()).count(), 3);
    }

    #[test]
    fn a_new_one_is_let_in_however_many_are_still_closing() {
        let connections = connections(1, 1);
        let places: Vec<ConnectionSlot> =
            (0..1_000).filter_map(|_| connections.enter(at("192.0.2.1"), OfAddress)).collect();
        assert_eq!((places.len(), connections.open()), (1_000, 1));
        assert!(!places.last().unwrap().is_evicted());
        drop(places);
        assert_eq!(connections.open(), 0);
    }
}
