use bytes::Bytes;
use coracle_sandbox::Stdio;

use super::*;

fn printed(text: &str) -> Printed {
    Printed { stream: Stdio::Stdout, bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

fn started(limits: LogLimits) -> Logs {
    let (logs, writer) = Logs::new(limits);
    writer.start().unwrap();
    logs
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

async fn read(logs: &Logs, name: &LogName, options: Options) -> String {
    let mut reader = Reader::new(logs, name.clone(), options);
    reader.seek().unwrap();
    let mut text = Vec::new();
    while let Some((bytes, rest)) = reader.next().await.unwrap() {
        text.extend_from_slice(&bytes);
        reader = rest;
    }
    String::from_utf8(text).unwrap()
}

async fn write(logs: &Logs, name: &LogName, lines: impl Iterator<Item = String>) {
    let (output, pump) = logs.open(name.clone());
    for line in lines {
        output.send(printed(&line)).await.unwrap();
    }
    drop(output);
    pump.await.unwrap();
}

fn all(lines: impl Iterator<Item = u32>) -> String {
    lines.map(|n| format!("line {n}\n")).collect()
}

#[tokio::test]
async fn options_choose_lines() {
    let directory = scratch();
    let logs = started(LogLimits::default());
    let name = LogName::new(directory.path(), 0);
    write(&logs, &name, (0..100).map(|n| format!("line {n}\n"))).await;

    let whole = read(&logs, &name, Options::default()).await;
    assert_eq!(whole, all(0..100));
    let tail = |lines| Options { tail: Some(lines), ..Options::default() };
    assert_eq!(read(&logs, &name, tail(3)).await, all(97..100));
    assert_eq!(read(&logs, &name, tail(0)).await, "");
    assert_eq!(read(&logs, &name, tail(1000)).await, whole);
    let limited = Options { limit_bytes: Some(10), ..Options::default() };
    assert_eq!(read(&logs, &name, limited).await, "line 0\nlin");
    let future = clock::now() + std::time::Duration::from_secs(60);
    let since = Options { since: Some(future), ..Options::default() };
    assert_eq!(read(&logs, &name, since).await, "");
    let errors = Options { stream: Some(Stdio::Stderr), ..Options::default() };
    assert_eq!(read(&logs, &name, errors).await, "");
    let stamped = read(&logs, &name, Options { timestamps: true, ..tail(1) }).await;
    let (time, rest) = stamped.split_once(' ').unwrap();
    assert!(time.parse::<k8s_openapi::jiff::Timestamp>().is_ok() && time.len() == 30, "{time}");
    assert_eq!(rest, "line 99\n");
    assert_eq!(super::tail(&name, 2, 10).unwrap(), "8\nline 99\n");
}

#[tokio::test]
async fn a_log_that_never_was_is_empty() {
    let directory = scratch();
    let logs = started(LogLimits::default());
    let name = LogName::new(&directory.path().join("none"), 7);
    assert_eq!(read(&logs, &name, Options::default()).await, "");
    assert_eq!(read(&logs, &name, Options { tail: Some(5), ..Options::default() }).await, "");
}

#[tokio::test]
async fn rotation_keeps_the_newest_files_and_reading_crosses_them() {
    let directory = scratch();
    let limits = LogLimits { max_size: 1000, max_files: 3 };
    let logs = started(limits);
    let name = LogName::new(directory.path(), 0);
    let (output, pump) = logs.open(name.clone());
    for n in 0..500 {
        output.send(printed(&format!("line {n}\n"))).await.unwrap();
    }
    drop(output);
    pump.await.unwrap();

    let sizes: Vec<u64> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect();
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 1000), "{sizes:?}");
    let kept = read(&logs, &name, Options::default()).await;
    let first: u32 = kept.split(['\n', ' ']).nth(1).unwrap().parse().unwrap();
    assert!(first > 400);
    assert_eq!(kept, all(first..500));
    let tail = Options { tail: Some(40), ..Options::default() };
    assert_eq!(read(&logs, &name, tail).await, all(460..500), "across files");
}

#[tokio::test]
async fn followers_see_everything_until_the_container_ends() {
    let directory = scratch();
    let logs = started(LogLimits { max_size: 2000, max_files: 50 });
    let name = LogName::new(directory.path(), 0);
    let (output, pump) = logs.open(name.clone());
    output.send(printed("line 0\nline 1\nlin")).await.unwrap();
    let follower = tokio::spawn({
        let (logs, name) = (logs.clone(), name.clone());
        async move { read(&logs, &name, Options { follow: true, ..Options::default() }).await }
    });
    output.send(printed("e 2\n")).await.unwrap();
    for n in 3..400 {
        output.send(printed(&format!("line {n}\n"))).await.unwrap();
        tokio::task::yield_now().await;
    }
    drop(output);
    pump.await.unwrap();
    assert_eq!(follower.await.unwrap(), all(0..400));
    assert!(logs.live(&name).is_none());
}

#[tokio::test]
async fn a_reader_that_does_not_follow_ends_where_the_log_was_when_it_began() {
    let directory = scratch();
    let logs = started(LogLimits::default());
    let name = LogName::new(directory.path(), 0);
    write(&logs, &name, (0..10).map(|n| format!("line {n}\n"))).await;
    for (tail, expected) in [(None, all(0..10)), (Some(3), all(7..10))] {
        let options = Options { tail, ..Options::default() };
        let mut reader = Reader::new(&logs, name.clone(), options);
        reader.seek().unwrap();
        let present = files::present(&name);
        let before = std::fs::read(&present).unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).open(&present).unwrap();
        std::io::Write::write_all(&mut file, &before).unwrap();
        let mut text = Vec::new();
        while let Some((bytes, rest)) = reader.next().await.unwrap() {
            text.extend_from_slice(&bytes);
            reader = rest;
        }
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        std::fs::write(&present, before).unwrap();
    }
}
