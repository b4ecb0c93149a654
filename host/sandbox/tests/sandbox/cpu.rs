//! Processor limits, measured by the share of time that the guest was allowed to run.

use std::time::Duration;

use coracle_sandbox::CpuShare;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::wat::{SPIN, command};

/// The processor time that `SPIN` gets under `millis` per time.
async fn share(cluster: &Cluster, millis: u32) -> f64 {
    let (mut spec, _) = cluster.spec(cluster.module(&command(SPIN)).await);
    spec.limits.cpu = Some(CpuShare { millis });
    let instance = cluster.start(spec).await;
    // What is saved up at the start is not part of the rate.
    while instance.usage().throttled.is_zero() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (begun, before) = (Instant::now(), instance.usage().cpu);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let spent = instance.usage().cpu - before;
    spent.as_secs_f64() / begun.elapsed().as_secs_f64()
}

#[tokio::test]
async fn limits_hold() {
    let cluster = Cluster::new();
    for millis in [50, 200] {
        let share = share(&cluster, millis).await;
        let wanted = f64::from(millis) / 1000.0;
        // On a busy machine a guest may get less than its limit, never more.
        assert!(share < wanted * 1.1, "{millis}m: {share}");
        assert!(share > wanted * 0.5, "{millis}m: {share}");
    }
}

#[tokio::test]
async fn weights_share_a_thread() {
    let cluster = Cluster::threads(1);
    let module = cluster.module(&command(SPIN)).await;
    let mut instances = Vec::new();
    for cpu_weight in [100, 400] {
        let (mut spec, _) = cluster.spec(module.clone());
        spec.limits.cpu_weight = cpu_weight;
        instances.push(cluster.start(spec).await);
    }
    while cluster.engine.usage().cpu < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let spent = |number: usize| instances[number].usage().cpu.as_secs_f64();
    let ratio = spent(1) / spent(0);
    assert!((2.5..6.0).contains(&ratio), "{ratio}");
}
