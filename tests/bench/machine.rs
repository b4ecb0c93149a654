//! Boot, and what an idle cluster takes.

use std::time::Duration;

use anyhow::{Context, Result};
use harness::Cluster;
use tokio::time::Instant;

use crate::table::{heading, row};

/// Boot to the line that says the cluster is ready, on a new and on a used data directory.
pub(crate) async fn boot() -> Result<()> {
    heading("Boot to ready (as a person sees it: the process prints that it is)");
    let directory = tempfile::tempdir()?;
    for name in ["new data directory", "used data directory", "used again"] {
        let start = Instant::now();
        let cluster = Cluster::start_in(directory.path(), Default::default()).await?;
        row(name, format!("{:.3} s", start.elapsed().as_secs_f64()));
        cluster.stop().await?;
    }
    Ok(())
}

/// How long the idle cluster is watched: `CORACLE_BENCH_IDLE` seconds, else long enough to see the
/// store's lazy writes, which may wait for five minutes.
fn idle_time() -> Duration {
    let seconds = std::env::var("CORACLE_BENCH_IDLE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(600))
}

/// Memory, CPU and disk writes of a cluster that nobody uses.
pub(crate) async fn idle() -> Result<()> {
    let cluster = Cluster::start().await?;
    let pid = cluster.pid().context("the program has ended")?;
    // What starting leaves to be done is not idleness.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let time = idle_time();
    let (cpu, written) = (cpu_seconds(pid)?, written_bytes(pid)?);
    tokio::time::sleep(time).await;
    let share = (cpu_seconds(pid)? - cpu) / time.as_secs_f64();
    let hourly = (written_bytes(pid)? - written) as f64 / time.as_secs_f64() * 3600.0;
    heading(&format!("Idle, three nodes, over {} s", time.as_secs()));
    row("resident memory", format!("{:.1} MB", resident(pid)? as f64 / 1e6));
    row("CPU", format!("{:.2} % of a core", share * 100.0));
    row("written to disk", format!("{:.0} KB an hour", hourly / 1e3));
    cluster.stop().await?;
    Ok(())
}

fn field(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context("no such field")?;
    let number = line.trim_start_matches(':').split_whitespace().next().context("no number")?;
    Ok(number.parse()?)
}

/// Resident bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    Ok(field(&std::fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS")? * 1024)
}

fn written_bytes(pid: u32) -> Result<u64> {
    field(&std::fs::read_to_string(format!("/proc/{pid}/io"))?, "write_bytes")
}

fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = stat.rsplit_once(')').context("no process name")?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}
