//! Every module of `modules/` is run.

use anyhow::{Context, Result};
use harness::{Cluster, get, module};
use tokio::io::AsyncReadExt;

/// What a module that ends by itself leaves behind.
struct Finished {
    pod: &'static str,
    image: &'static str,
    arguments: &'static str,
    /// The phase, the container's reason and its exit code.
    status: &'static str,
    printed: &'static str,
}

const FINISHED: &[Finished] = &[
    Finished {
        pod: "hog-without-end",
        image: "memory-hog",
        arguments: "[]",
        status: "Failed OOMKilled 137",
        printed: "16 MiB\n",
    },
    Finished {
        pod: "hog-within",
        image: "memory-hog",
        arguments: "['16', '0']",
        status: "Succeeded Completed 0",
        printed: "released 16 MiB\n",
    },
    Finished {
        pod: "hog-misled",
        image: "memory-hog",
        arguments: "[much]",
        status: "Failed Error 2",
        printed: "usage: memory-hog",
    },
    Finished {
        pod: "burner",
        image: "cpu-burner",
        arguments: "['1']",
        status: "Succeeded Completed 0",
        printed: "done: ",
    },
    Finished {
        pod: "client",
        image: "echo-client",
        arguments: "['echo.default.svc.cluster.local:7', '100', '512']",
        status: "Succeeded Completed 0",
        printed: "100 messages of 512 bytes came back",
    },
    Finished {
        pod: "client-short",
        image: "echo-client",
        arguments: "['echo:7', '3']",
        status: "Succeeded Completed 0",
        printed: "3 messages of 64 bytes came back",
    },
    Finished {
        pod: "client-lost",
        image: "echo-client",
        arguments: "['nobody:7']",
        status: "Failed Error 1",
        printed: "nobody:7: ",
    },
];

const ECHO: &str = "
apiVersion: v1
kind: Pod
metadata: {name: echo, labels: {app: echo}}
spec:
  containers:
  - name: echo
    image: echo-server
    args: ['7000']
    readinessProbe: {tcpSocket: {port: 7000}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {selector: {app: echo}, ports: [{port: 7, targetPort: 7000}]}
";

#[tokio::test]
async fn modules_that_end_leave_their_exit_code_and_output() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.apply(ECHO).await?;
    kubectl.run("wait pod/echo --for=condition=Ready --timeout=60s").await?;
    kubectl
        .until("get endpoints echo -o jsonpath={.subsets[*].ports[*].port}", |ports| {
            ports == "7000"
        })
        .await?;
    for Finished { pod, image, arguments, .. } in FINISHED {
        let manifest = format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: {pod}}}
spec:
  restartPolicy: Never
  containers:
  - {{name: main, image: {image}, args: {arguments}, resources: {{limits: {{memory: 32Mi}}}}}}
"
        );
        kubectl.apply(&manifest).await?;
    }
    for Finished { pod, status, printed, .. } in FINISHED {
        let columns = format!(
            "get pod {pod} -o jsonpath={{.status.phase}},\
             {{.status.containerStatuses[0].state.terminated.reason}},\
             {{.status.containerStatuses[0].state.terminated.exitCode}}"
        );
        let last = kubectl
            .until(&columns, |phase| phase.starts_with("Failed") || phase.starts_with("Succeeded"))
            .await?;
        let log = kubectl.run(&format!("logs {pod}")).await?;
        assert_eq!(last, status.replace(' ', ","), "{pod}, which printed:\n{log}");
        assert!(log.contains(printed), "{pod} printed:\n{log}");
    }
    let echo = kubectl.run("logs echo").await?;
    assert_eq!(echo, "listening on port 7000\n");
    Ok(())
}

#[tokio::test]
async fn a_container_over_its_memory_is_restarted_with_growing_pauses() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl
        .apply(
            "
apiVersion: v1
kind: Pod
metadata: {name: hog}
spec:
  containers:
  - {name: hog, image: memory-hog, resources: {limits: {memory: 32Mi}}}
",
        )
        .await?;
    kubectl.until("get pods --no-headers", |pods| pods.contains("CrashLoopBackOff")).await?;
    let last = kubectl
        .run(
            "get pod hog -o jsonpath={.status.containerStatuses[0].lastState.terminated.reason},\
             {.status.containerStatuses[0].lastState.terminated.exitCode},{.status.phase}",
        )
        .await?;
    assert_eq!(last, "OOMKilled,137,Running");
    let previous = kubectl.run("logs hog --previous").await?;
    assert!(previous.contains("16 MiB"), "{previous}");
    kubectl
        .until("get events --field-selector involvedObject.name=hog,reason=BackOff", |events| {
            events.contains("Back-off restarting failed container hog in pod hog_default")
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn ticker_and_pause_run_until_they_are_asked_to_end() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl
        .apply(
            "
apiVersion: v1
kind: Pod
metadata: {name: ticker}
spec:
  containers:
  - {name: ticker, image: ticker, args: ['0.05']}
---
apiVersion: v1
kind: Pod
metadata: {name: pause}
spec:
  containers:
  - {name: pause, image: pause}
",
        )
        .await?;
    kubectl.run("wait pod/ticker pod/pause --for=condition=Ready --timeout=60s").await?;
    kubectl.until("logs ticker", |log| log.starts_with("tick 1\ntick 2\ntick 3\n")).await?;
    assert_eq!(kubectl.run("logs ticker --tail=2").await?.lines().count(), 2);
    let stamped = kubectl.run("logs ticker --timestamps --limit-bytes=60").await?;
    assert!(stamped.lines().next().is_some_and(|line| line.ends_with("Z tick 1")), "{stamped}");

    // Who follows the log reads the container's last words, and then the end.
    let mut following = kubectl.command(["logs", "-f", "ticker"]);
    let mut following = following.stdout(std::process::Stdio::piped()).spawn()?;
    let mut printed = following.stdout.take().context("what kubectl prints")?;
    let mut log = vec![0; 1];
    printed.read_exact(&mut log).await?;
    let deleted = kubectl.run("delete pod ticker pause --timeout=25s").await?;
    assert_eq!(deleted.lines().count(), 2, "{deleted}");
    printed.read_to_end(&mut log).await?;
    let log = String::from_utf8(log)?;
    assert!(following.wait().await?.success(), "{log}");
    assert!(log.ends_with("\nasked to end\n"), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_python_component_serves_http() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let uploaded = cluster.upload(&module("python-hello"), "python:v1").await?;
    assert!(uploaded.success, "{uploaded:?}");
    assert!(uploaded.stdout.contains("HttpHandler"), "{uploaded:?}");
    kubectl.run("create deployment python --image=python:v1 --port=8080").await?;
    kubectl.run("rollout status deployment/python --timeout=110s").await?;
    kubectl.run("expose deployment python --type=NodePort").await?;
    let port = kubectl.run("get service python -o jsonpath={.spec.ports[0].nodePort}").await?;
    kubectl
        .until("get endpoints python -o jsonpath={.subsets[*].addresses[*].ip}", |ips| {
            !ips.is_empty()
        })
        .await?;
    let pod = kubectl.run("get pods -l app=python -o jsonpath={.items[0].metadata.name}").await?;
    let answer = get(&format!("http://127.0.0.1:{port}/")).await?;
    assert_eq!(answer, format!("Hello from Python in {pod}\n"));
    Ok(())
}
