//! Which endpoint a client went to before (`sessionAffinity: ClientIP`).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

/// Clients remembered per port of a service; beyond that the longest idle are forgotten.
const MAX_CLIENTS: usize = 8192;

#[derive(Debug, Default)]
pub(super) struct Affinity {
    clients: HashMap<IpAddr, (SocketAddr, Instant)>,
}

impl Affinity {
    /// The endpoint that `client` used within `timeout`.
    pub(super) fn remembered(&self, client: IpAddr, timeout: Duration) -> Option<SocketAddr> {
        let (endpoint, used) = self.clients.get(&client)?;
        (used.elapsed() < timeout).then_some(*endpoint)
    }

    /// Notes that `client` uses `endpoint` now.
    pub(super) fn remember(&mut self, client: IpAddr, endpoint: SocketAddr) {
        if self.clients.len() >= MAX_CLIENTS && !self.clients.contains_key(&client) {
            self.forget_half();
        }
        self.clients.insert(client, (endpoint, Instant::now()));
    }

    fn forget_half(&mut self) {
        let mut uses: Vec<Instant> = self.clients.values().map(|(_, used)| *used).collect();
        let middle = uses.len() / 2;
        let (_, median, _) = uses.select_nth_unstable(middle);
        let mut surplus = MAX_CLIENTS / 2;
        let median = *median;
        self.clients.retain(|_, (_, used)| {
            let forget = *used <= median && surplus > 0;
            surplus -= usize::from(forget);
            !forget
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn forgets_after_the_timeout_and_stays_bounded() {
        let endpoint = SocketAddr::from(([10, 244, 0, 2], 80));
        let timeout = Duration::from_secs(60);
        let mut affinity = Affinity::default();
        let client = IpAddr::from([10, 244, 1, 2]);
        affinity.remember(client, endpoint);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(affinity.remembered(client, timeout), Some(endpoint));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(affinity.remembered(client, timeout), None);
        for n in 0..20_000u32 {
            affinity.remember(std::net::Ipv4Addr::from_bits(n).into(), endpoint);
            assert!(affinity.clients.len() <= MAX_CLIENTS);
        }
    }
}
