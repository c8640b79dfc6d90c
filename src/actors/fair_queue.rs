//! A fair queue by client address: slots are given out round-robin, so that many waiters from one address do not delay
//! those from another.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::auth::network::ClientAddress;

/// The limits of a [`FairQueue`].
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// The most that run at the same time.
    pub running: usize,
    /// The most that wait from one address.
    pub per_address: usize,
    /// The most that wait in total.
    pub waiting: usize,
}

/// A queue for a limited number of slots; shared by all clones.
#[derive(Debug, Clone)]
pub struct FairQueue {
    turns: Arc<Mutex<Turns>>,
    limits: QueueLimits,
}

#[derive(Debug, Default)]
struct Turns {
    running: usize,
    waiting: usize,
    /// The waiters of each address that has some, in order of arrival.
    queues: HashMap<ClientAddress, VecDeque<oneshot::Sender<Running>>>,
    /// The addresses that have waiters, the next one first.
    order: VecDeque<ClientAddress>,
}

/// A slot; it is given to the next waiter when this is dropped.
#[derive(Debug)]
pub struct Running(Option<FairQueue>);

/// The address, or the whole queue, has reached its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are queued")]
pub struct QueueFull;

impl FairQueue {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: QueueLimits) -> Self {
        Self { turns: Arc::default(), limits }
    }

    /// Waits for a slot. If the whole queue is full, the newest waiter of the address with the most waiters is refused.
    pub async fn wait(&self, address: ClientAddress) -> Result<Running, QueueFull> {
        match self.enter(address.bucket())? {
            Entered::Running(running) => Ok(running),
            Entered::Waiting(turn) => turn.await.map_err(|_| QueueFull),
        }
    }

    fn enter(&self, address: ClientAddress) -> Result<Entered, QueueFull> {
        let mut turns = self.turns();
        if turns.running < self.limits.running {
            turns.running += 1;
            return Ok(Entered::Running(Running(Some(self.clone()))));
        }
        let own = turns.queues.get(&address).map_or(0, VecDeque::len);
        if own >= self.limits.per_address {
            return Err(QueueFull);
        }
        // The displaced waiter gets its error when its sender is dropped.
        let pushed_out =
            if turns.waiting >= self.limits.waiting { Some(turns.push_out(own).ok_or(QueueFull)?) } else { None };
        let (told, turn) = oneshot::channel();
        turns.push(address, told);
        drop((turns, pushed_out));
        Ok(Entered::Waiting(turn))
    }

    /// Gives the slot to the next waiter, or frees it.
    fn hand_on(&self) {
        loop {
            let next = {
                let mut turns = self.turns();
                let next = turns.pop();
                if next.is_none() {
                    turns.running -= 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Running(Some(self.clone()))) {
                Ok(()) => return,
                // The waiter has gone; the slot goes to the next one.
                Err(mut running) => drop(running.0.take()),
            }
        }
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock()
    }
}

enum Entered {
    Running(Running),
    Waiting(oneshot::Receiver<Running>),
}

impl Turns {
    fn push(&mut self, address: ClientAddress, told: oneshot::Sender<Running>) {
        let queue = self.queues.entry(address).or_default();
        if queue.is_empty() {
            self.order.push_back(address);
        }
        queue.push_back(told);
        self.waiting += 1;
    }

    fn pop(&mut self) -> Option<oneshot::Sender<Running>> {
        let address = self.order.pop_front()?;
        let queue = self.queues.get_mut(&address)?;
        let next = queue.pop_front()?;
        self.waiting -= 1;
        if queue.is_empty() {
            self.queues.remove(&address);
        } else {
            self.order.push_back(address);
        }
        Some(next)
    }

    /// Removes the newest waiter of the address with the most waiters, if that has more than `own` + 1.
    fn push_out(&mut self, own: usize) -> Option<oneshot::Sender<Running>> {
        let (_, queue) = self.queues.iter_mut().max_by_key(|(_, queue)| queue.len())?;
        if queue.len() <= own + 1 {
            return None;
        }
        self.waiting -= 1;
        queue.pop_back()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.hand_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use futures_util::FutureExt as _;

    use super::*;

    /// The waiter's result so far.
    fn poll<F: Future + Unpin>(turn: &mut F) -> Option<F::Output> {
        turn.now_or_never()
    }

    fn at(last: u8) -> ClientAddress {
        ClientAddress::Ip([192, 0, 2, last].into())
    }

    fn queue(running: usize, per_address: usize, waiting: usize) -> FairQueue {
        FairQueue::new(QueueLimits { running, per_address, waiting })
    }

    #[actix_web::test]
    async fn addresses_take_turns() {
        let queue = queue(1, 100, 100);
        let first = queue.wait(at(1)).await.unwrap();
        let mut waiting: Vec<_> =
            [1, 1, 1, 1, 2, 3, 2].map(|from| (from, queue.wait(at(from)).boxed_local())).into_iter().collect();
        for (_, turn) in &mut waiting {
            assert!(poll(turn).is_none());
        }
        let (mut running, mut order) = (first, Vec::new());
        while !waiting.is_empty() {
            drop(running);
            let mut next = None;
            for (nth, (from, turn)) in waiting.iter_mut().enumerate() {
                if let Some(turn) = poll(turn) {
                    order.push(*from);
                    next = Some((nth, turn.unwrap()));
                    break;
                }
            }
            let (nth, turn) = next.unwrap();
            drop(waiting.remove(nth));
            running = turn;
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 1, 1]);
    }

    #[actix_web::test]
    async fn one_address_has_only_so_many_and_makes_way_for_others() {
        let queue = queue(1, 4, 6);
        let _running = queue.wait(at(9)).await.unwrap();
        let mut waiting = Vec::new();
        for from in [1, 1, 1, 1, 2, 2] {
            waiting.push(queue.wait(at(from)).boxed_local());
            assert!(poll(waiting.last_mut().unwrap()).is_none());
        }
        assert_eq!(queue.wait(at(1)).await.unwrap_err(), QueueFull);
        let mut third = queue.wait(at(3)).boxed_local();
        assert!(poll(&mut third).is_none());
        assert!(matches!(poll(&mut waiting[3]), Some(Err(QueueFull))), "the last of those who have most");
        assert!(poll(&mut waiting[2]).is_none());
    }

    #[actix_web::test]
    async fn who_goes_away_keeps_nobody_waiting() {
        let queue = queue(1, 4, 8);
        let running = queue.wait(at(1)).await.unwrap();
        let mut gone = queue.wait(at(2)).boxed_local();
        let mut stays = queue.wait(at(3)).boxed_local();
        assert!(poll(&mut gone).is_none() && poll(&mut stays).is_none());
        drop(gone);
        drop(running);
        let running = stays.await.unwrap();
        let mut granted = queue.wait(at(2)).boxed_local();
        assert!(poll(&mut granted).is_none());
        drop(running);
        // It has been given a slot, and leaves without taking it.
        drop(granted);
        assert!(matches!(poll(&mut queue.wait(at(1)).boxed_local()), Some(Ok(_))));
        assert_eq!(queue.turns().waiting, 0);
    }
}
