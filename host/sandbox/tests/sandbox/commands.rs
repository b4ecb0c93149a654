//! Arguments, environment, files, and how commands end.

use coracle_api::module::Form;
use coracle_sandbox::{ExitReason, Mount};

use crate::cluster::Cluster;
use crate::wat::{command, component};

#[tokio::test]
async fn a_core_command_prints_and_completes() {
    let cluster = Cluster::new();
    let module = cluster.module(&command("(call $hello)")).await;
    assert_eq!(module.form(), Form::CoreCommand);
    assert!(module.imports().contains(&"wasi_snapshot_preview1::fd_write".to_owned()));
    let (exit, out, err) = cluster.run(&command("(call $hello)")).await;
    assert_eq!((exit.code, exit.reason), (0, ExitReason::Completed));
    assert_eq!((out.as_str(), err.as_str()), ("hello\n", ""));
    assert!(exit.started_at <= exit.finished_at);
}

#[tokio::test]
async fn exit_codes_are_the_guests_own() {
    let cluster = Cluster::new();
    for code in [1, 3, 125, 126, 200, 255] {
        let body = format!("(call $proc_exit (i32.const {code}))");
        let (exit, ..) = cluster.run(&command(&body)).await;
        assert_eq!((exit.code, exit.reason), (code, ExitReason::Error));
        assert_eq!(exit.message, None);
    }
    let (exit, ..) = cluster.run(&command("(call $proc_exit (i32.const 0))")).await;
    assert_eq!((exit.code, exit.reason), (0, ExitReason::Completed));
}

#[tokio::test]
async fn a_components_result_is_its_exit_code() {
    let cluster = Cluster::new();
    let (exit, ..) = cluster.run(&component("(i32.const 0)")).await;
    assert_eq!((exit.code, exit.reason), (0, ExitReason::Completed));
    let (exit, ..) = cluster.run(&component("(i32.const 1)")).await;
    assert_eq!((exit.code, exit.reason), (1, ExitReason::Error));
}

#[tokio::test]
async fn a_trap_says_what_and_where() {
    let cluster = Cluster::new();
    for text in [command("(unreachable)"), component("(unreachable)")] {
        let (exit, ..) = cluster.run(&text).await;
        assert_eq!((exit.code, exit.reason), (134, ExitReason::Error));
        let message = exit.message.unwrap();
        assert!(message.contains("unreachable"), "{message}");
        assert!(message.contains("backtrace"), "{message}");
    }
}

#[tokio::test]
async fn arguments_and_environment_arrive() {
    // Sizes to 16 and 20, pointers to 256, text to 512, which is then printed.
    let print = |sizes: &str, get: &str| {
        command(&format!(
            "(drop (call ${sizes} (i32.const 16) (i32.const 20)))
             (drop (call ${get} (i32.const 256) (i32.const 512)))
             (drop (call $print (i32.const 1) (i32.const 512) (i32.load (i32.const 20))))"
        ))
    };
    let cluster = Cluster::new();
    let (_, out, _) = cluster
        .run_with(&print("args_sizes_get", "args_get"), |spec| {
            spec.args = vec!["prog".to_owned(), "--flag".to_owned(), "a b".to_owned()];
        })
        .await;
    assert_eq!(out, "prog\0--flag\0a b\0");
    let (_, out, _) = cluster
        .run_with(&print("environ_sizes_get", "environ_get"), |spec| {
            spec.env = vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), String::new())];
        })
        .await;
    assert_eq!(out, "A=1\0B=\0");
}

/// Opens `file.txt` in the first mount with `flags` and `rights`; the error is the exit code.
fn open(flags: u32, rights: u64) -> String {
    command(&format!(
        "(call $proc_exit (call $path_open (i32.const 3) (i32.const 0) (i32.const 1040)
           (i32.const 8) (i32.const {flags}) (i64.const {rights}) (i64.const 0) (i32.const 0)
           (i32.const 16)))"
    ))
}

const READ: u64 = 2;
const WRITE: u64 = 64;
const CREATE: u32 = 1;

#[tokio::test]
async fn mounts_are_seen_and_read_only_ones_stay_as_they_are() {
    let cluster = Cluster::new();
    let host = cluster.dir.path().join("volume");
    std::fs::create_dir(&host).unwrap();
    std::fs::write(host.join("file.txt"), "content").unwrap();
    let run = async |text: &str, read_only: bool| {
        let mount = Mount { guest: "/data".to_owned(), host: host.clone(), read_only };
        cluster.run_with(text, |spec| spec.mounts = vec![mount]).await.0.code
    };
    assert_eq!(run(&open(0, READ), true).await, 0);
    assert_eq!(run(&open(0, READ), false).await, 0);
    assert_ne!(run(&open(0, READ | WRITE), true).await, 0);
    assert_eq!(run(&open(0, READ | WRITE), false).await, 0);
    std::fs::remove_file(host.join("file.txt")).unwrap();
    assert_ne!(run(&open(CREATE, READ | WRITE), true).await, 0);
    assert!(!host.join("file.txt").exists());
    assert_eq!(run(&open(CREATE, READ | WRITE), false).await, 0);
    assert!(host.join("file.txt").exists());
}

#[tokio::test]
async fn without_mounts_there_are_no_files() {
    let (exit, ..) = Cluster::new().run(&open(0, READ)).await;
    assert_eq!(exit.code, 8, "EBADF");
}

#[tokio::test]
async fn a_mount_that_does_not_exist_is_a_start_error() {
    let cluster = Cluster::new();
    let (mut spec, _) = cluster.spec(cluster.module(&command("")).await);
    let host = cluster.dir.path().join("nowhere");
    spec.mounts = vec![Mount { guest: "/data".to_owned(), host, read_only: false }];
    let error = cluster.engine.start(spec).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot mount"), "{error}");
}
