//! The ready-made modules that stand for well-known images: a web server and a shell.

use anyhow::{Context, Result};
use harness::{Cluster, get};
use tokio::io::AsyncReadExt;

/// Kubernetes 1.3's example of an init container, but that the page comes out of the cluster.
const ARTICLE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: pages}
data: {index.html: "<h1>from the init container</h1>\n"}
---
apiVersion: v1
kind: Pod
metadata: {name: source, labels: {app: source}}
spec:
  containers:
  - name: nginx
    image: nginx:1.27
    ports: [{containerPort: 80}]
    volumeMounts: [{name: pages, mountPath: /usr/share/nginx/html}]
  volumes: [{name: pages, configMap: {name: pages}}]
---
apiVersion: v1
kind: Service
metadata: {name: source}
spec: {selector: {app: source}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: nginx, labels: {app: nginx}}
spec:
  initContainers:
  - name: wait
    image: busybox
    command: ["sh", "-c", "until wget -q --spider http://source/; do sleep 0.2; done"]
  - name: install
    image: busybox
    command: ["wget", "-O", "/work-dir/index.html", "http://source/index.html"]
    volumeMounts: [{name: workdir, mountPath: /work-dir}]
  containers:
  - name: nginx
    image: nginx
    ports: [{containerPort: 80}]
    volumeMounts: [{name: workdir, mountPath: /usr/share/nginx/html}]
  volumes: [{name: workdir, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: nginx}
spec: {type: NodePort, selector: {app: nginx}, ports: [{port: 80}]}
"#;

#[tokio::test]
async fn a_web_server_serves_what_an_init_container_fetched() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.apply(ARTICLE).await?;
    kubectl.run("wait pod/nginx --for=condition=Ready --timeout=60s").await?;
    let installed = kubectl.run("logs nginx --container=install").await?;
    assert!(installed.contains("'/work-dir/index.html' saved"), "{installed}");
    kubectl
        .until("get endpoints nginx -o jsonpath={.subsets[*].addresses[*].ip}", |ips| {
            !ips.is_empty()
        })
        .await?;
    let port = kubectl.run("get service nginx -o jsonpath={.spec.ports[0].nodePort}").await?;
    let page = get(&format!("http://127.0.0.1:{port}/")).await?;
    assert_eq!(page, "<h1>from the init container</h1>\n");
    let missing = get(&format!("http://127.0.0.1:{port}/none")).await.unwrap_err();
    assert!(missing.to_string().contains("404"), "{missing}");
    kubectl.until("logs nginx", |log| log.contains("\"GET /\" 200")).await?;
    kubectl
        .until("get events --field-selector reason=ImageAlias", |events| {
            events.contains("image \"nginx\" stands for the ready-made module \"web-server\"")
        })
        .await?;
    Ok(())
}

/// What a script leaves behind.
struct Finished {
    pod: &'static str,
    /// What stands after `image:`.
    container: &'static str,
    /// The phase, the container's reason and its exit code.
    status: &'static str,
    printed: &'static str,
}

const FINISHED: &[Finished] = &[
    Finished {
        pod: "counts",
        container: r#"busybox, command: [sh, -c, 'for i in $(seq 1 3); do echo "turn $i of $WHO"; done']"#,
        status: "Succeeded Completed 0",
        printed: "turn 1 of me\nturn 2 of me\nturn 3 of me\n",
    },
    Finished {
        pod: "fails",
        container: r#""alpine:3", args: [sh, -ec, 'echo before; (exit 3); echo after']"#,
        status: "Failed Error 3",
        printed: "before\n",
    },
    Finished {
        pod: "misspelt",
        container: "busybox, command: [shh]",
        status: "Failed Error 127",
        printed: "shh: not found\n",
    },
    Finished {
        pod: "writes",
        container: r#"toolbox, command: [sh, -c, 'cd /data && mkdir -p a/b && date +%Y > a/b/year && echo two | tee a/two | tr a-z A-Z && ls a && wc -l < a/b/year && mv a/two . && cat two && rm -r a && ls']"#,
        status: "Succeeded Completed 0",
        printed: "TWO\nb\ntwo\n1\ntwo\ntwo\n",
    },
    Finished {
        pod: "speaks",
        container: r#"busybox, command: [sh, -c, 'until nc -z echo 7 2>/dev/null; do sleep 0.1; done; echo hello | nc echo 7; nslookup echo | grep -c Address; wget -qO- http://nobody.invalid/ 2>/dev/null || echo lost']"#,
        status: "Succeeded Completed 0",
        printed: "hello\n1\nlost\n",
    },
];

#[tokio::test]
async fn scripts_run_in_the_toolbox() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl
        .apply(
            "
apiVersion: v1
kind: Pod
metadata: {name: echo, labels: {app: echo}}
spec: {containers: [{name: echo, image: echo-server}]}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {selector: {app: echo}, ports: [{port: 7}]}
",
        )
        .await?;
    for Finished { pod, container, .. } in FINISHED {
        let manifest = format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: {pod}}}
spec:
  restartPolicy: Never
  containers:
  - {{name: main, env: [{{name: WHO, value: me}}], volumeMounts: [{{name: data, mountPath: /data}}], image: {container}}}
  volumes: [{{name: data, emptyDir: {{}}}}]
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
        assert_eq!(log, *printed, "{pod}");
    }
    Ok(())
}

#[tokio::test]
async fn a_shell_ends_when_its_pod_is_deleted() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl
        .apply(
            r#"
apiVersion: v1
kind: Pod
metadata: {name: loop}
spec:
  terminationGracePeriodSeconds: 300
  containers:
  - name: plain
    image: busybox
    command: [sh, -c, "while true; do echo turn; sleep 3600; done"]
  - name: trapped
    image: ubuntu:24.04
    command: [bash, -c, "trap 'echo bye; exit 0' TERM; echo ready; tail -f /dev/null"]
"#,
        )
        .await?;
    kubectl.run("wait pod/loop --for=condition=Ready --timeout=60s").await?;
    let mut following = kubectl.command(["logs", "-f", "loop", "-c", "trapped"]);
    let mut following = following.stdout(std::process::Stdio::piped()).spawn()?;
    let mut printed = following.stdout.take().context("what kubectl prints")?;
    let mut log = vec![0; 1];
    printed.read_exact(&mut log).await?;
    // Well before the grace period ends.
    kubectl.run("delete pod loop --timeout=60s").await?;
    printed.read_to_end(&mut log).await?;
    assert_eq!(String::from_utf8(log)?, "ready\nbye\n");
    assert!(following.wait().await?.success());
    Ok(())
}
