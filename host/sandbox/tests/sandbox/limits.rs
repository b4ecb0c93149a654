//! Memory and instruction limits.

use coracle_sandbox::{ExitReason, Limits, MemoryAccount};

use crate::cluster::Cluster;
use crate::wat::{SLEEP, SPIN, command, component};

/// Grows by a page until that fails, then returns.
const HOG: &str = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))";
const MIB: u64 = 1 << 20;

fn memory(memory: u64) -> Limits {
    Limits { memory: Some(memory), ..Limits::default() }
}

#[tokio::test]
async fn beyond_its_memory_a_guest_is_killed() {
    let cluster = Cluster::new();
    for text in [command(HOG), component(&format!("{HOG} (i32.const 0)"))] {
        let (mut spec, _) = cluster.spec(cluster.module(&text).await);
        spec.limits = memory(16 * MIB);
        let instance = cluster.start(spec).await;
        let exit = instance.wait().await;
        assert_eq!((exit.code, exit.reason), (137, ExitReason::OomKilled));
        assert!(exit.message.unwrap().contains("16777216"));
        let usage = instance.usage();
        assert_eq!((usage.memory, usage.memory_peak), (0, 16 * MIB));
        assert_eq!(usage.oom_kills, 1);
    }
}

#[tokio::test]
async fn a_module_that_begins_too_large_is_killed_at_once() {
    let cluster = Cluster::new();
    let text =
        command("").replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 300)");
    let (exit, ..) = cluster.run_with(&text, |spec| spec.limits = memory(16 * MIB)).await;
    assert_eq!((exit.code, exit.reason), (137, ExitReason::OomKilled));
}

#[tokio::test]
async fn a_modules_own_maximum_is_no_limit_of_the_host() {
    let cluster = Cluster::new();
    let text =
        command(HOG).replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 1 8)");
    let (exit, ..) = cluster.run_with(&text, |spec| spec.limits = memory(16 * MIB)).await;
    assert_eq!((exit.code, exit.reason), (0, ExitReason::Completed));
}

#[tokio::test]
async fn guests_of_a_group_share_its_memory() {
    let cluster = Cluster::new();
    let pod = MemoryAccount::new(Some(16 * MIB));
    let grown = command(&format!("(drop (memory.grow (i32.const 159))) {SLEEP}"));
    let (mut spec, _) = cluster.spec(cluster.module(&grown).await);
    spec.limits.pod_memory = pod.clone();
    let sleeper = cluster.start(spec).await;
    while pod.held() < 10 * MIB {
        tokio::task::yield_now().await;
    }
    let (exit, ..) = cluster.run_with(&grown, |spec| spec.limits.pod_memory = pod.clone()).await;
    assert_eq!(exit.reason, ExitReason::OomKilled);
    assert!(exit.message.unwrap().contains("pod's"));
    assert_eq!(sleeper.waiter().exit(), None, "the other goes on");
    sleeper.kill();
    sleeper.wait().await;
    assert_eq!(pod.held(), 0);
}

#[tokio::test]
async fn a_budget_of_instructions_is_exact() {
    let cluster = Cluster::new();
    let run = async |fuel: u64| {
        let (mut spec, _) = cluster.spec(cluster.module(&command(SPIN)).await);
        spec.limits.fuel = Some(fuel);
        let instance = cluster.start(spec).await;
        (instance.wait().await, instance.usage().fuel)
    };
    for fuel in [1, 1000, 2_500_000] {
        let (exit, burnt) = run(fuel).await;
        assert_eq!((exit.code, exit.reason), (137, ExitReason::FuelExhausted));
        assert_eq!(burnt, fuel);
    }
}

#[tokio::test]
async fn the_same_work_takes_the_same_instructions() {
    let cluster = Cluster::new();
    // Three million iterations, across yields.
    let text = command(
        "(local $i i32) (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $i) (i32.const 3000000))))",
    );
    let module = cluster.module(&text).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (spec, _) = cluster.spec(module.clone());
        let instance = cluster.start(spec).await;
        assert_eq!(instance.wait().await.code, 0);
        seen.push(instance.usage().fuel);
    }
    assert!(seen[0] > 10_000_000 && seen.iter().all(|fuel| *fuel == seen[0]), "{seen:?}");
    let (mut spec, _) = cluster.spec(module.clone());
    spec.limits.fuel = Some(seen[0]);
    assert_eq!(cluster.start(spec).await.wait().await.code, 0);
    let (mut spec, _) = cluster.spec(module);
    spec.limits.fuel = Some(seen[0] - 100);
    assert_eq!(cluster.start(spec).await.wait().await.reason, ExitReason::FuelExhausted);
}
