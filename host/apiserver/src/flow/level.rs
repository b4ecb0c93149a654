//! One priority level: how many of its requests run at once, and how the others wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::timeouts;

/// How requests of a level wait: `flowcontrol.apiserver.k8s.io/v1 QueuingConfiguration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queuing {
    pub(super) queues: usize,
    /// How many queues a flow may choose from.
    pub(super) hand: usize,
    /// How many requests wait in one queue.
    pub(super) length: usize,
}

/// Places of all levels together, so that what one leaves free another may borrow.
#[derive(Debug)]
pub(super) struct Pool {
    total: usize,
    executing: AtomicUsize,
}

impl Pool {
    pub(super) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { total, executing: AtomicUsize::new(0) })
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    fn is_full(&self) -> bool {
        self.executing.load(Ordering::Relaxed) >= self.total
    }
}

#[derive(Debug)]
pub(super) struct Level {
    pool: Arc<Pool>,
    state: Mutex<State>,
    tickets: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// Places that are always this level's.
    own: usize,
    /// Places that it may take in all while others leave theirs free.
    most: usize,
    executing: usize,
    queuing: Option<Queuing>,
    queues: Vec<VecDeque<Waiter>>,
    /// Where the next turn begins.
    turn: usize,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    go: oneshot::Sender<Seat>,
}

/// A request that the level cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    /// Nothing waits at this level, or its queues are full.
    Full,
    /// It waited for too long.
    TimedOut,
}

/// A place among the requests under way, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Level>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.leave();
        self.0.dispatch();
    }
}

/// A request's stay in a queue, ended when dropped.
struct Stay<'a> {
    level: &'a Level,
    queue: usize,
    ticket: u64,
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.level.state().queues.get_mut(self.queue) {
            queue.retain(|waiter| waiter.ticket != self.ticket);
        }
    }
}

impl Level {
    pub(super) fn new(pool: Arc<Pool>) -> Arc<Self> {
        let state = State { own: 0, most: 0, executing: 0, queuing: None, queues: vec![], turn: 0 };
        Arc::new(Self { pool, state: Mutex::new(state), tickets: AtomicU64::new(0) })
    }

    /// Takes over new settings. Who waits keeps waiting.
    pub(super) fn configure(self: &Arc<Self>, own: usize, most: usize, queuing: Option<Queuing>) {
        {
            let mut state = self.state();
            (state.own, state.most, state.queuing) = (own, most, queuing);
            let wanted = queuing.map_or(0, |queuing| queuing.queues);
            if state.queues.len() < wanted {
                state.queues.resize_with(wanted, VecDeque::new);
            }
        }
        self.dispatch();
    }

    /// A place for a request of the flow that `hash` stands for.
    pub(super) async fn enter(self: &Arc<Self>, hash: u64) -> Result<Seat, Rejected> {
        let (stay, mut called) = {
            let mut state = self.state();
            if state.has_room(&self.pool) && state.queues.iter().all(VecDeque::is_empty) {
                return Ok(self.seat(&mut state));
            }
            let Some(queuing) = state.queuing else { return Err(Rejected::Full) };
            let hand = hand(hash, queuing.queues, queuing.hand);
            let shortest = hand.into_iter().min_by_key(|queue| state.queues[*queue].len());
            let Some(queue) = shortest else { return Err(Rejected::Full) };
            if state.queues[queue].len() >= queuing.length {
                return Err(Rejected::Full);
            }
            let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
            let (go, called) = oneshot::channel();
            state.queues[queue].push_back(Waiter { ticket, go });
            (Stay { level: self, queue, ticket }, called)
        };
        let waited = tokio::time::timeout(timeouts::QUEUE, &mut called).await;
        drop(stay);
        match waited {
            Ok(Ok(seat)) => Ok(seat),
            // The call may have come with the last tick.
            _ => called.try_recv().map_err(|_| Rejected::TimedOut),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seat(self: &Arc<Self>, state: &mut State) -> Seat {
        state.executing += 1;
        self.pool.executing.fetch_add(1, Ordering::Relaxed);
        Seat(self.clone())
    }

    fn leave(&self) {
        self.state().executing -= 1;
        self.pool.executing.fetch_sub(1, Ordering::Relaxed);
    }

    /// Calls who waits, one queue after the other, while there is room.
    pub(super) fn dispatch(self: &Arc<Self>) {
        loop {
            let (waiter, seat) = {
                let mut state = self.state();
                if !state.has_room(&self.pool) {
                    return;
                }
                let Some(waiter) = state.next() else { return };
                let seat = self.seat(&mut state);
                (waiter, seat)
            };
            if let Err(seat) = waiter.go.send(seat) {
                // Nobody waits there any more; the loop itself gives the place to the next.
                let level = seat.0.clone();
                std::mem::forget(seat);
                level.leave();
            }
        }
    }
}

impl State {
    fn has_room(&self, pool: &Pool) -> bool {
        self.executing < self.own || self.executing < self.most && !pool.is_full()
    }

    fn next(&mut self) -> Option<Waiter> {
        let count = self.queues.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            if let Some(waiter) = self.queues[at].pop_front() {
                self.turn = (at + 1) % count;
                return Some(waiter);
            }
        }
        None
    }
}

/// The queues that a flow may choose from, all different (shuffle sharding: the hash is read as a
/// number whose digits each pick one of the queues that are left).
fn hand(hash: u64, queues: usize, size: usize) -> Vec<usize> {
    let mut rest = hash;
    let mut left: Vec<usize> = (0..queues).collect();
    let mut hand = Vec::with_capacity(size.min(queues));
    while hand.len() < size && !left.is_empty() {
        let radix = left.len() as u64;
        let pick = usize::try_from(rest % radix).unwrap_or_default();
        rest /= radix;
        hand.push(left.swap_remove(pick));
    }
    hand
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(own: usize, queuing: Option<Queuing>) -> Arc<Level> {
        let level = Level::new(Pool::new(own));
        level.configure(own, own, queuing);
        level
    }

    const ONE: Queuing = Queuing { queues: 1, hand: 1, length: 2 };

    #[tokio::test(start_paused = true)]
    async fn a_level_without_queues_sends_away() {
        let level = level(1, None);
        let seat = level.enter(0).await.unwrap();
        assert_eq!(level.enter(0).await.unwrap_err(), Rejected::Full);
        drop(seat);
        level.enter(0).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn requests_wait_in_order_and_not_for_ever() {
        let level = level(1, Some(ONE));
        let seat = level.enter(0).await.unwrap();
        let wait = |level: &Arc<Level>| {
            let level = level.clone();
            tokio::spawn(async move { level.enter(0).await })
        };
        let first = wait(&level);
        tokio::task::yield_now().await;
        let second = wait(&level);
        tokio::task::yield_now().await;
        assert_eq!(level.enter(0).await.unwrap_err(), Rejected::Full);
        drop(seat);
        let seat = first.await.unwrap().unwrap();
        assert_eq!(second.await.unwrap().unwrap_err(), Rejected::TimedOut);
        drop(seat);
        level.enter(0).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_leaves_his_place_in_the_queue() {
        let level = level(1, Some(ONE));
        let seat = level.enter(0).await.unwrap();
        for _ in 0..5 {
            let level = level.clone();
            let waiting = tokio::spawn(async move { level.enter(0).await });
            tokio::task::yield_now().await;
            waiting.abort();
            assert!(waiting.await.is_err());
        }
        drop(seat);
        level.enter(0).await.unwrap();
        assert_eq!(level.state().executing, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_flow_does_not_hold_up_another() {
        let queuing = Queuing { queues: 2, hand: 1, length: 50 };
        let level = level(1, Some(queuing));
        let seat = level.enter(0).await.unwrap();
        let order = Arc::new(Mutex::new(vec![]));
        let mut tasks = vec![];
        for flow in [0, 0, 0, 0, 1] {
            let (level, order) = (level.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                let seat = level.enter(flow).await.unwrap();
                order.lock().unwrap().push(flow);
                drop(seat);
            }));
            tokio::task::yield_now().await;
        }
        drop(seat);
        for task in tasks {
            task.await.unwrap();
        }
        assert!(order.lock().unwrap()[..2].contains(&1), "{order:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn idle_places_are_lent() {
        let pool = Pool::new(3);
        let (one, other) = (Level::new(pool.clone()), Level::new(pool));
        one.configure(1, 3, None);
        other.configure(2, 2, None);
        let seats = [one.enter(0).await.unwrap(), one.enter(0).await.unwrap()];
        let third = one.enter(0).await.unwrap();
        assert_eq!(one.enter(0).await.unwrap_err(), Rejected::Full);
        // What is lent does not keep the owner out.
        other.enter(0).await.unwrap();
        drop((seats, third));
    }

    #[test]
    fn hands_are_dealt_evenly() {
        let mut counts = [0_u32; 8];
        for hash in 0..8 * 7 {
            let hand = hand(hash, 8, 2);
            assert_ne!(hand[0], hand[1]);
            hand.iter().for_each(|queue| counts[*queue] += 1);
        }
        assert!(counts.iter().all(|count| *count > 0));
        assert_eq!(hand(5, 3, 10).len(), 3);
    }
}
