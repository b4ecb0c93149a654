//! Stopping.

use std::time::Duration;

use coracle_sandbox::ExitReason;

use crate::cluster::Cluster;
use crate::wat::{DEAF, PAUSE, SLEEP, SPIN, command, component};

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn endless_loops_are_killed() {
    let cluster = Cluster::new();
    for text in [command(SPIN), component(&format!("{SPIN} (i32.const 0)"))] {
        let (spec, _) = cluster.spec(cluster.module(&text).await);
        let instance = cluster.start(spec).await;
        instance.kill();
        let exit = instance.wait().await;
        assert_eq!((exit.code, exit.reason), (137, ExitReason::Stopped));
    }
}

#[tokio::test]
async fn a_loop_before_the_entry_point_can_be_stopped() {
    let cluster = Cluster::new();
    let text = "(module (func $spin (loop $l (br $l))) (func (export \"_start\")) (start $spin))";
    let (spec, _) = cluster.spec(cluster.module(text).await);
    let instance = cluster.start(spec).await;
    instance.kill();
    assert_eq!(instance.wait().await.code, 137);
}

#[tokio::test]
async fn sleepers_are_killed_at_once() {
    let cluster = Cluster::new();
    let (spec, _) = cluster.spec(cluster.module(&command(SLEEP)).await);
    let instance = cluster.start(spec).await;
    instance.stop(LONG);
    let exit = instance.wait().await;
    assert_eq!((exit.code, exit.reason), (143, ExitReason::Stopped), "it cannot hear");
}

#[tokio::test]
async fn a_guest_that_listens_ends_by_itself() {
    let cluster = Cluster::new();
    let (spec, _) = cluster.spec(cluster.module(PAUSE).await);
    let instance = cluster.start(spec).await;
    let waiter = instance.waiter();
    assert!(
        tokio::time::timeout(Duration::from_millis(50), waiter.wait()).await.is_err(),
        "it waits to be asked"
    );
    instance.stop(LONG);
    let exit = waiter.wait().await;
    assert_eq!((exit.code, exit.reason), (0, ExitReason::Completed));
}

#[tokio::test]
async fn a_guest_that_does_not_listen_is_interrupted_when_its_grace_is_over() {
    let cluster = Cluster::new();
    let (spec, _) = cluster.spec(cluster.module(DEAF).await);
    let instance = cluster.start(spec).await;
    instance.stop(Duration::from_millis(100));
    assert!(instance.waiter().exit().is_none());
    let exit = instance.wait().await;
    assert_eq!((exit.code, exit.reason), (137, ExitReason::Stopped));
    assert!(exit.message.unwrap().contains("grace"));
}

#[tokio::test]
async fn dropping_an_instance_kills_the_guest() {
    let cluster = Cluster::new();
    let (spec, _) = cluster.spec(cluster.module(&command(SPIN)).await);
    let instance = cluster.start(spec).await;
    let waiter = instance.waiter();
    drop(instance);
    assert_eq!(waiter.wait().await.code, 137);
    assert_eq!(cluster.engine.usage().running, 0);
}

#[tokio::test]
async fn guests_end_with_their_engine() {
    let cluster = Cluster::new();
    let (spec, _) = cluster.spec(cluster.module(&command(SPIN)).await);
    let instance = cluster.start(spec).await;
    drop(cluster.engine);
    let exit = instance.wait().await;
    assert_eq!((exit.code, exit.reason), (137, ExitReason::Stopped));
}
