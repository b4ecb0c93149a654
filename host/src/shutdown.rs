//! The one place that listens to signals.

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

/// Resolves at the first SIGINT or SIGTERM. A second one ends the process at once.
pub(crate) async fn requested() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        eprintln!("coracle: stopping at once");
        std::process::exit(130);
    });
    Ok(())
}
