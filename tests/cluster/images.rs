//! Modules: what is refused, what is missing, and the registry as OCI clients use it.

use std::process::Stdio;

use anyhow::{Context, Result};
use harness::{Cluster, module, repository};
use tokio::io::AsyncWriteExt;

use crate::guests;

#[tokio::test]
async fn uploads_are_refused_with_the_reason() -> Result<()> {
    let cluster = Cluster::start().await?;
    let good = std::fs::read(module("pause"))?;
    let files: &[(&str, Vec<u8>, &str)] = &[
        ("empty", Vec::new(), "empty"),
        ("text", b"hello\n".to_vec(), "it is not WebAssembly but text"),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), "it is not WebAssembly but a gzip file"),
        ("elf", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(), "it is not WebAssembly but"),
        ("cut", good[..good.len() / 2].to_vec(), "it is not valid WebAssembly"),
        ("foreign", wat::parse_str(guests::foreign())?, "env"),
        ("foreign", wat::parse_str(guests::foreign())?, "launch"),
        ("foreign", wat::parse_str(guests::foreign())?, "fd_fly"),
        ("nothing", wat::parse_str("(module (memory (export \"memory\") 1))")?, "_start"),
    ];
    for (name, bytes, reason) in files {
        let path = cluster.directory().join(format!("{name}.wasm"));
        std::fs::write(&path, bytes)?;
        let answer = cluster.upload(&path, &format!("{name}:v1")).await?;
        assert!(!answer.success, "{name}: {answer:?}");
        assert!(answer.stdout.contains(r#""reason":"BadRequest""#), "{name}: {answer:?}");
        assert!(answer.stdout.contains(reason), "{name}, expected {reason:?}: {answer:?}");
    }
    for (image, code) in [("Not_A_Name:v1", 400), ("good:-", 400), ("good:v1", 201)] {
        let path = module("pause").display().to_string();
        let answer = cluster.curl(&["-T", &path], &format!("/upload/default/{image}")).await?;
        assert_eq!(answer.code, code, "{image}: {answer:?}");
    }
    let path = module("pause").display().to_string();
    let answer = cluster.curl(&["-T", &path], "/upload/nowhere/good:v1").await?;
    assert_eq!(answer.code, 404, "{answer:?}");
    let modules = cluster.kubectl().run("get modules -o name").await?;
    assert_eq!(modules, "module.coracle.dev/good\n", "what was refused is not there");
    Ok(())
}

#[tokio::test]
async fn a_module_over_the_limit_is_refused() -> Result<()> {
    let cluster = Cluster::start().await?;
    let path = cluster.directory().join("large.wasm");
    // A sparse file: a header of WebAssembly, and then nothing for a long way.
    let file = std::fs::File::create(&path)?;
    std::io::Write::write_all(&mut &file, b"\0asm\x01\0\0\0")?;
    file.set_len(300 << 20)?;
    let path = path.display().to_string();
    for protocol in ["--http1.1", "--http2"] {
        let answer = cluster.curl(&[protocol, "-T", &path], "/upload/default/large:v1").await?;
        assert_eq!(answer.code, 413, "{protocol}: {answer:?}");
        assert!(answer.body.contains("it is larger than the limit of"), "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_image_that_is_missing_is_waited_for() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.run("run late --image=late:v1").await?;
    kubectl.until("get pod late --no-headers", |row| row.contains("ImagePullBackOff")).await?;
    kubectl
        .until("get events --field-selector involvedObject.name=late", |events| {
            events.contains(r#"Failed to pull image "late:v1""#)
                && events.contains(r#"there is no module "late" in namespace "default""#)
                && events.contains(r#"Back-off pulling image "late:v1""#)
        })
        .await?;
    let waiting = kubectl.refused("logs late").await?;
    assert!(waiting.contains("is waiting to start"), "{waiting}");
    let uploaded = cluster.upload(&module("pause"), "late:v1").await?;
    assert!(uploaded.success, "{uploaded:?}");
    kubectl.run("wait pod/late --for=condition=Ready --timeout=60s").await?;

    // kubectl run would judge the name by itself.
    kubectl
        .apply(
            "
apiVersion: v1
kind: Pod
metadata: {name: misnamed}
spec: {containers: [{name: main, image: 'Not:A:Name'}]}
",
        )
        .await?;
    kubectl.until("get pod misnamed --no-headers", |row| row.contains("InvalidImageName")).await?;
    kubectl.run("run never --image=absent:v1 --image-pull-policy=Never").await?;
    kubectl.until("get pod never --no-headers", |row| row.contains("ErrImageNeverPull")).await?;
    Ok(())
}

#[tokio::test]
async fn an_oci_client_pushes_what_pods_run() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let python = repository().join(".tools/python/bin/python");
    assert!(python.exists(), "{} is missing: run `make oras`", python.display());
    let out = tempfile::tempdir()?;
    let mut child = tokio::process::Command::new(python)
        .arg(repository().join("tests/cluster/oci.py"))
        .arg(cluster.url().trim_start_matches("https://"))
        .args(["anybody", "default/pushed:v3"])
        .arg(module("hello-http"))
        .arg(cluster.ca())
        .arg(out.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("stdin")?;
    stdin.write_all(cluster.token()?.as_bytes()).await?;
    drop(stdin);
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), child.wait_with_output());
    let output = harness::Output::from(output.await??);
    assert!(output.success, "{output:?}");
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!((lines[0], lines.last()), ("pushed 201", Some(&"tags v3")), "{output:?}");
    let pulled = std::fs::read_dir(out.path())?.next().context("nothing was pulled")??.path();
    assert_eq!(std::fs::read(pulled)?, std::fs::read(module("hello-http"))?);

    kubectl.run("create deployment pushed --image=pushed:v3").await?;
    kubectl.run("rollout status deployment/pushed --timeout=60s").await?;
    let row = kubectl.run("get module pushed --no-headers").await?;
    assert!(row.contains("v3") && row.contains("HttpHandler"), "{row}");

    for (path, code) in [("/v2/", 200), ("/v2/default/pushed/manifests/v9", 404)] {
        assert_eq!(cluster.curl(&[], path).await?.code, code, "{path}");
    }
    let stranger = cluster.anonymous(&["--include"], "/v2/").await?;
    assert_eq!(stranger.code, 401);
    assert!(stranger.body.to_lowercase().contains("www-authenticate: basic"), "{stranger:?}");
    Ok(())
}

#[tokio::test]
async fn a_namespace_sees_its_own_modules_and_the_ready_made() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let uploaded = cluster.upload(&module("pause"), "own:v1").await?;
    assert!(uploaded.success, "{uploaded:?}");
    kubectl.run("create namespace other").await?;
    kubectl
        .until("get serviceaccounts -n other -o name", |names| names.contains("default"))
        .await?;
    for (pod, image) in [("own", "own:v1"), ("ready-made", "pause"), ("latest", "pause:latest")] {
        kubectl.run(&format!("run {pod} -n other --image={image}")).await?;
    }
    kubectl
        .run("wait pod/ready-made pod/latest -n other --for=condition=Ready --timeout=60s")
        .await?;
    kubectl
        .until("get pod own -n other --no-headers", |row| row.contains("ImagePullBackOff"))
        .await?;
    // A new upload under the same tag is what new pods run.
    kubectl.run("run before --image=own:v1").await?;
    kubectl.run("wait pod/before --for=condition=Ready --timeout=60s").await?;
    let uploaded = cluster.upload(&module("ticker"), "own:v1").await?;
    assert!(uploaded.success, "{uploaded:?}");
    kubectl.run("run after --image=own:v1 --image-pull-policy=Always").await?;
    kubectl.until("logs after", |log| log.starts_with("tick 1\n")).await?;
    let ids = kubectl
        .run("get pods before after -o jsonpath={.items[*].status.containerStatuses[0].imageID}")
        .await?;
    let ids: Vec<&str> = ids.split_whitespace().collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    Ok(())
}
