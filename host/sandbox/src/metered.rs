//! The future that drives a guest: measures it, pauses it, and lets others have their turn.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use futures::task::AtomicWaker;
use tokio::time::{Instant, Sleep};

use crate::cpu::Cpu;
use crate::meter::{FuelCounter, Meter};

/// Runs `guest` as part of a container.
pub(crate) fn metered<'a, T>(
    cpu: Arc<Cpu>,
    meter: Arc<Meter>,
    fuel: Arc<FuelCounter>,
    guest: impl Future<Output = T> + Send + 'a,
) -> Metered<'a, T> {
    let bell = Arc::new(Bell::default());
    Metered {
        guest: Box::pin(guest),
        waker: Waker::from(bell.clone()),
        bell,
        cpu,
        meter,
        fuel,
        pause: None,
    }
}

/// A guest being driven.
pub(crate) struct Metered<'a, T> {
    guest: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
    bell: Arc<Bell>,
    /// Rings `bell`.
    waker: Waker,
    cpu: Arc<Cpu>,
    meter: Arc<Meter>,
    fuel: Arc<FuelCounter>,
    /// Until when the guest may not run.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<T> Future for Metered<'_, T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        if let Some(pause) = &mut this.pause {
            ready!(pause.as_mut().poll(context));
            this.pause = None;
        }
        this.bell.outer.register(context.waker());
        let begun = Instant::now();
        let mut last = begun;
        loop {
            this.bell.begin();
            let polled = this.guest.as_mut().poll(&mut Context::from_waker(&this.waker));
            let rung = this.bell.end();
            let now = Instant::now();
            let spent = now - last;
            last = now;
            this.meter.executed(spent);
            let pause = this.cpu.charge(spent, now);
            if polled.is_ready() {
                return polled;
            }
            if rung {
                // The guest gave its thread back at the end of a fuel interval.
                this.fuel.interval();
            }
            if let Some(length) = pause {
                this.meter.paused(length);
                // Whether or not the guest has been woken: when the pause is over it is polled.
                let pause = this.pause.insert(Box::pin(tokio::time::sleep(length)));
                ready!(pause.as_mut().poll(context));
                this.pause = None;
                last = Instant::now();
                continue;
            }
            if !rung {
                return Poll::Pending;
            }
            // Without budget the runtime's own resources only pretend to be pending.
            let over = now - begun >= this.cpu.turn() || !tokio::task::coop::has_budget_remaining();
            if over {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

/// Tells a wake-up that came while the guest was being polled, which is how a guest yields, from
/// one that came later, which must wake the task.
#[derive(Default)]
struct Bell {
    state: AtomicU8,
    outer: AtomicWaker,
}

const POLLING: u8 = 1;
const RUNG: u8 = 2;

impl Bell {
    fn begin(&self) {
        self.state.store(POLLING, Ordering::Release);
    }

    /// Whether the guest was woken since [`Bell::begin`].
    fn end(&self) -> bool {
        self.state.swap(0, Ordering::AcqRel) & RUNG != 0
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(RUNG, Ordering::AcqRel) & POLLING == 0 {
            self.outer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::spec::{CpuShare, Limits};

    fn parts(cpu: Option<CpuShare>) -> (Arc<Cpu>, Arc<Meter>, Arc<FuelCounter>) {
        let meter = Arc::new(Meter::default());
        let cpu = Cpu::new(&Limits { cpu, ..Limits::default() });
        (Arc::new(cpu), meter.clone(), FuelCounter::new(meter))
    }

    /// Yields `times` times as a guest does.
    fn yielding(times: u32) -> impl Future<Output = u32> + Send {
        let mut left = times;
        std::future::poll_fn(move |context| {
            if left == 0 {
                return Poll::Ready(times);
            }
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[tokio::test]
    async fn yields_are_counted_as_fuel_and_do_not_end_the_turn() {
        let (cpu, meter, fuel) = parts(None);
        assert_eq!(metered(cpu, meter.clone(), fuel, yielding(5)).await, 5);
        assert_eq!(meter.fuel(), 5_000_000);
    }

    #[tokio::test]
    async fn a_wake_up_from_elsewhere_reaches_the_task() {
        let (cpu, meter, fuel) = parts(None);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let guest = tokio::spawn(async move { metered(cpu, meter, fuel, receiver).await });
        tokio::task::yield_now().await;
        sender.send(7).unwrap();
        assert_eq!(guest.await.unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn a_guest_that_only_spends_its_budget_lets_others_run() {
        let (cpu, meter, fuel) = parts(None);
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<u32>(1);
        let guest = async move {
            for number in 0..10_000 {
                sender.send(number).await.unwrap();
            }
        };
        let guest = tokio::spawn(async move { metered(cpu, meter, fuel, guest).await });
        let mut seen = 0;
        while receiver.recv().await.is_some() {
            seen += 1;
        }
        guest.await.unwrap();
        assert_eq!(seen, 10_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_in_debt_is_paused() {
        let (cpu, meter, fuel) = parts(Some(CpuShare { millis: 1 }));
        cpu.charge(Duration::from_secs(1), Instant::now());
        let account = crate::MemoryAccount::new(None);
        let begun = Instant::now();
        metered(cpu, meter.clone(), fuel, yielding(1)).await;
        assert!(begun.elapsed() >= Duration::from_secs(900), "{:?}", begun.elapsed());
        assert!(meter.usage(&account).throttled >= Duration::from_secs(900));
    }
}
