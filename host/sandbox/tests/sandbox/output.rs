//! Prints are taken in order, and a guest whose prints nobody takes waits.

use coracle_sandbox::Stdio;
use tokio::sync::mpsc;

use crate::cluster::Cluster;
use crate::wat::command;

const PRINT_FOREVER: &str = "(loop $l (call $hello) (br $l))";

#[tokio::test]
async fn both_streams_keep_their_order() {
    let cluster = Cluster::new();
    let body = "(call $hello)
                (drop (call $print (i32.const 2) (i32.const 1024) (i32.const 5)))
                (call $hello)";
    let (mut spec, _) = cluster.spec(cluster.module(&command(body)).await);
    let (output, mut taken) = mpsc::channel(1);
    spec.output = output;
    let instance = cluster.start(spec).await;
    for (stream, text) in
        [(Stdio::Stdout, "hello\n"), (Stdio::Stderr, "hello"), (Stdio::Stdout, "hello\n")]
    {
        let printed = taken.recv().await.unwrap();
        assert_eq!((printed.stream, &printed.bytes[..]), (stream, text.as_bytes()));
    }
    assert_eq!(instance.wait().await.code, 0);
    assert_eq!(taken.recv().await, None, "the channel closes with the guest");
}

#[tokio::test]
async fn a_guest_that_prints_forever_slows_only_itself() {
    let cluster = Cluster::new();
    let (mut spec, _) = cluster.spec(cluster.module(&command(PRINT_FOREVER)).await);
    let (output, mut taken) = mpsc::channel(4);
    spec.output = output;
    let printer = cluster.start(spec).await;
    // It comes to a stop when the channel is full: its fuel no longer grows.
    while taken.len() < 4 {
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        assert_eq!(cluster.run(&command("(call $hello)")).await.1, "hello\n");
    }
    let before = printer.usage().cpu;
    for _ in 0..20 {
        assert_eq!(cluster.run(&command("(call $hello)")).await.1, "hello\n");
    }
    assert_eq!(printer.usage().cpu, before);
    // Taking lets it go on.
    for _ in 0..1000 {
        assert_eq!(taken.recv().await.unwrap().bytes.len(), 6);
    }
    drop(taken);
    printer.kill();
    assert_eq!(printer.wait().await.code, 137);
}

#[tokio::test]
async fn a_guest_whose_output_is_closed_goes_on() {
    let cluster = Cluster::new();
    let body = "(call $proc_exit (call $print (i32.const 1) (i32.const 1024) (i32.const 6)))";
    let (mut spec, _) = cluster.spec(cluster.module(&command(body)).await);
    let (output, taken) = mpsc::channel(1);
    drop(taken);
    spec.output = output;
    let exit = cluster.start(spec).await.wait().await;
    assert_ne!(exit.code, 0, "the write fails");
    assert!(exit.code < 128, "and the guest sees it: {exit:?}");
}
