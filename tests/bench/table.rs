//! Figures as rows.

use std::time::Duration;

/// Prints the heading of a group of figures.
pub(crate) fn heading(text: &str) {
    println!("\n{text}");
}

/// Prints one figure.
pub(crate) fn row(name: &str, figure: impl std::fmt::Display) {
    println!("  {name:<52} {figure}");
}

/// What a load did.
pub(crate) struct Figures {
    /// Requests answered well.
    pub(crate) count: usize,
    /// From the first to the last.
    pub(crate) elapsed: Duration,
    /// Time of each, sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Figures {
    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that `share` of the requests stayed below.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let at = (self.latencies.len() as f64 * share) as usize;
        let at = at.min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:>9.0}/s   p50 {:>8.3} ms   p99 {:>8.3} ms",
            self.rate(),
            self.quantile(0.5).as_secs_f64() * 1e3,
            self.quantile(0.99).as_secs_f64() * 1e3,
        )
    }
}

/// Prints `measured` and its share of `baseline`.
pub(crate) fn against(name: &str, measured: &Figures, baseline: &Figures) {
    row(name, format!("{measured}   {:>5.2} of baseline", measured.rate() / baseline.rate()));
}
