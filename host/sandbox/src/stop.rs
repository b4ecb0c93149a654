//! How a guest hears that it is to end, and what happens when it does not listen.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::instance::{Ended, ExitReason};

/// Longer graces than this are as good as none.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The starter's end: asks for a stop.
#[derive(Clone, Debug)]
pub(crate) struct StopHandle {
    deadline: watch::Sender<Option<Instant>>,
}

/// The guest's end: hears of a stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    deadline: watch::Receiver<Option<Instant>>,
}

pub(crate) fn channel() -> (StopHandle, Stop) {
    let (sender, receiver) = watch::channel(None);
    (StopHandle { deadline: sender }, Stop { deadline: receiver })
}

impl StopHandle {
    /// Asks for a stop within `grace`; an earlier deadline stays.
    pub(crate) fn stop(&self, grace: Duration) {
        let wanted = Instant::now() + grace.min(FOREVER);
        self.deadline.send_if_modified(|deadline| {
            let sooner = deadline.is_none_or(|set| wanted < set);
            if sooner {
                *deadline = Some(wanted);
            }
            sooner
        });
    }
}

impl Stop {
    /// Whether the guest has been asked to end.
    pub(crate) fn requested(&self) -> bool {
        self.deadline.borrow().is_some()
    }

    /// Returns when the guest is asked to end.
    pub(crate) async fn asked(&mut self) {
        if self.deadline.wait_for(Option::is_some).await.is_err() {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
    }

    /// Returns when the guest, asked to end, has had its time.
    pub(crate) async fn overdue(&mut self) {
        self.asked().await;
        loop {
            let Some(deadline) = *self.deadline.borrow_and_update() else { return };
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return,
                changed = self.deadline.changed() => if changed.is_err() {
                    tokio::time::sleep_until(deadline).await;
                    return;
                },
            }
        }
    }

    /// Returns when the guest must be interrupted, and with which end: one that `hears` of stops
    /// at its deadline, one that does not as soon as it is asked.
    pub(crate) async fn interrupted(&mut self, hears: bool) -> Ended {
        self.asked().await;
        let killed = self.deadline.borrow().is_none_or(|deadline| deadline <= Instant::now());
        if !hears && !killed {
            let message = Some("ended: it does not listen for shutdown requests".to_owned());
            return Ended { code: 143, reason: ExitReason::Stopped, message };
        }
        self.overdue().await;
        let message = (!killed).then(|| "interrupted: its grace period was over".to_owned());
        Ended { code: 137, reason: ExitReason::Stopped, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_stop_can_only_shorten_the_grace() {
        let (handle, stop) = channel();
        let begun = Instant::now();
        handle.stop(Duration::from_secs(30));
        handle.stop(Duration::from_secs(60));
        let mut waiting = stop.clone();
        waiting.overdue().await;
        assert_eq!(begun.elapsed().as_secs(), 30);

        let (handle, mut stop) = channel();
        let begun = Instant::now();
        handle.stop(Duration::from_secs(30));
        let shortening = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            handle.stop(Duration::from_secs(1));
        };
        tokio::join!(stop.overdue(), shortening);
        assert_eq!(begun.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_that_hears_has_its_grace_and_another_does_not() {
        let (handle, mut stop) = channel();
        handle.stop(Duration::from_secs(30));
        assert_eq!(stop.clone().interrupted(false).await.code, 143);
        let begun = Instant::now();
        assert_eq!(stop.interrupted(true).await.code, 137);
        assert_eq!(begun.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kill_is_a_kill_for_everybody() {
        let (handle, mut stop) = channel();
        handle.stop(Duration::ZERO);
        assert_eq!(stop.interrupted(false).await.code, 137);
    }
}
