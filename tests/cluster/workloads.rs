//! What pods are promised: order, restarts, environment, volumes, places.

use anyhow::{Context, Result};
use harness::Cluster;
use serde_json::Value;

use crate::guests;

/// Where a pod that ended stands: phase and the reasons and codes of its containers.
fn ending(pod: &str) -> String {
    format!(
        "get pod {pod} -o jsonpath={{.status.phase}},\
         {{.status.containerStatuses[*].state.terminated.reason}},\
         {{.status.containerStatuses[*].state.terminated.exitCode}}"
    )
}

fn ended(printed: &str) -> bool {
    printed.starts_with("Succeeded") || printed.starts_with("Failed")
}

const INITIALISED: &str = "
apiVersion: v1
kind: Pod
metadata: {name: ordered}
spec:
  restartPolicy: Never
  initContainers:
  - {name: first, image: 'writing:v1', volumeMounts: [{name: shared, mountPath: /shared}]}
  - {name: second, image: 'reading:v1', volumeMounts: [{name: shared, mountPath: /shared}]}
  containers:
  - {name: third, image: 'reading:v1', volumeMounts: [{name: shared, mountPath: /shared}]}
  - {name: fourth, image: 'ending:v1'}
  volumes: [{name: shared, emptyDir: {}}]
---
apiVersion: v1
kind: Pod
metadata: {name: uninitialised}
spec:
  restartPolicy: Never
  initContainers:
  - {name: first, image: 'failing:v1'}
  - {name: second, image: 'ending:v1'}
  containers:
  - {name: main, image: 'ending:v1'}
---
apiVersion: v1
kind: Pod
metadata: {name: retrying}
spec:
  initContainers:
  - {name: first, image: 'failing:v1'}
  containers:
  - {name: main, image: pause}
";

#[tokio::test]
async fn init_containers_run_in_order_before_the_others() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    for (image, text) in [
        ("writing:v1", guests::writing()),
        ("reading:v1", guests::reading()),
        ("ending:v1", guests::ending_with(0)),
        ("failing:v1", guests::ending_with(3)),
    ] {
        cluster.upload_text(&text, image).await?;
    }
    kubectl.apply(INITIALISED).await?;

    let last = kubectl.until(&ending("ordered"), ended).await?;
    assert_eq!(last, "Succeeded,Completed Completed,0 0");
    assert_eq!(kubectl.run("logs ordered -c second").await?, "hello\n");
    assert_eq!(kubectl.run("logs ordered -c third").await?, "hello\n");
    let pod: Value = serde_json::from_str(&kubectl.run("get pod ordered -o json").await?)?;
    let status = &pod["status"];
    let times: Vec<&str> = status["initContainerStatuses"]
        .as_array()
        .context("init containers")?
        .iter()
        .flat_map(|container| {
            let ended = &container["state"]["terminated"];
            [ended["startedAt"].as_str(), ended["finishedAt"].as_str()]
        })
        .chain([status["containerStatuses"][0]["state"]["terminated"]["startedAt"].as_str()])
        .flatten()
        .collect();
    assert_eq!(times.len(), 5, "{status:#}");
    assert!(times.is_sorted(), "one after another: {times:?}");

    kubectl.until(&ending("uninitialised"), |phase| phase.starts_with("Failed")).await?;
    let row = kubectl.run("get pod uninitialised --no-headers").await?;
    assert!(row.contains(" Init:Error "), "{row}");
    let refused = kubectl.refused("logs uninitialised -c second").await?;
    assert!(refused.contains("is waiting to start: PodInitializing"), "{refused}");

    kubectl
        .until("get pod retrying --no-headers", |row| row.contains("Init:CrashLoopBackOff"))
        .await?;
    let conditions = kubectl
        .run("get pod retrying -o jsonpath={.status.conditions[?(@.type==\"Initialized\")].status}")
        .await?;
    assert_eq!(conditions, "False");
    Ok(())
}

#[tokio::test]
async fn restart_policies_decide_about_exit_codes() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    for code in [0, 3] {
        cluster.upload_text(&guests::ending_with(code), &format!("ending:with-{code}")).await?;
    }
    // Name, policy, exit code, and what `kubectl get pod` says in the end.
    let table = [
        ("never-good", "Never", 0, " Completed "),
        ("never-bad", "Never", 3, " Error "),
        ("on-failure-good", "OnFailure", 0, " Completed "),
        ("on-failure-bad", "OnFailure", 3, " CrashLoopBackOff "),
        ("always-good", "Always", 0, " CrashLoopBackOff "),
        ("always-bad", "Always", 3, " CrashLoopBackOff "),
    ];
    for (name, policy, code, _) in table {
        kubectl.run(&format!("run {name} --image=ending:with-{code} --restart={policy}")).await?;
    }
    for (name, _, code, status) in table {
        let row = kubectl
            .until(&format!("get pod {name} --no-headers"), |row| row.contains(status))
            .await?;
        let state = if status.contains("BackOff") { "lastState" } else { "state" };
        let path = format!(
            "get pod {name} -o jsonpath={{.status.containerStatuses[0].{state}.terminated.exitCode}}"
        );
        assert_eq!(kubectl.run(&path).await?, code.to_string(), "{row}");
        assert_eq!(kubectl.run(&format!("logs {name}")).await?, "hello\n");
    }
    Ok(())
}

const ENVIRONMENT: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {COLOUR: green, SIZE: large, file.txt: from a config map}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {TOKEN: t0ken, file.txt: from a secret}
---
apiVersion: v1
kind: Service
metadata: {name: other}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: environment, labels: {tier: back}}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: environment:v1
    resources: {limits: {cpu: 500m, memory: 32Mi}}
    envFrom:
    - configMapRef: {name: settings}
    - {prefix: HIDDEN_, secretRef: {name: hidden}}
    env:
    - {name: PLAIN, value: plain}
    - {name: COMPOSED, value: '$(PLAIN) and $(COLOUR) not $$(PLAIN)'}
    - {name: SIZE, value: small}
    - {name: SECRET, valueFrom: {secretKeyRef: {name: hidden, key: TOKEN}}}
    - {name: MAYBE, valueFrom: {secretKeyRef: {name: hidden, key: NONE, optional: true}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: SPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: TIER, valueFrom: {fieldRef: {fieldPath: 'metadata.labels[''tier'']'}}}
    - {name: PLACE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: ADDRESS, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory}}}
---
apiVersion: v1
kind: Pod
metadata: {name: lacking}
spec:
  containers:
  - name: main
    image: environment:v1
    env: [{name: A, valueFrom: {configMapKeyRef: {name: absent, key: a}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: map-reader}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: 'reading:v1', volumeMounts: [{name: files, mountPath: /files}]}
  volumes: [{name: files, configMap: {name: settings}}]
---
apiVersion: v1
kind: Pod
metadata: {name: secret-reader}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: 'reading:v1', volumeMounts: [{name: files, mountPath: /files, readOnly: true}]}
  volumes: [{name: files, secret: {secretName: hidden}}]
";

#[tokio::test]
async fn environment_and_files_come_from_maps_secrets_and_fields() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    cluster.upload_text(&guests::environment(), "environment:v1").await?;
    cluster.upload_text(&guests::reading(), "reading:v1").await?;
    kubectl.apply(ENVIRONMENT).await?;

    kubectl.until(&ending("environment"), ended).await?;
    let log = kubectl.run("logs environment").await?;
    let facts =
        kubectl.run("get pod environment -o jsonpath={.spec.nodeName},{.status.podIP}").await?;
    let (node, address) = facts.split_once(',').context("two facts")?;
    let service = kubectl.run("get service other -o jsonpath={.spec.clusterIP}").await?;
    for line in [
        "COLOUR=green",
        "SIZE=small",
        "HIDDEN_TOKEN=t0ken",
        "PLAIN=plain",
        "COMPOSED=plain and green not $(PLAIN)",
        "SECRET=t0ken",
        "POD=environment",
        "SPACE=default",
        "TIER=back",
        "MEMORY=33554432",
        "HOSTNAME=environment",
        "OTHER_SERVICE_PORT=80",
        &format!("PLACE={node}"),
        &format!("ADDRESS={address}"),
        &format!("OTHER_SERVICE_HOST={service}"),
    ] {
        assert!(log.lines().any(|printed| printed == line), "no {line:?} in:\n{log}");
    }
    assert!(!log.contains("MAYBE"), "{log}");

    for (pod, content) in [("map-reader", "from a config map"), ("secret-reader", "from a secret")]
    {
        let last = kubectl.until(&ending(pod), ended).await?;
        assert_eq!(last, "Succeeded,Completed,0", "{pod}");
        assert_eq!(kubectl.run(&format!("logs {pod}")).await?, format!("{content}\n"));
    }

    // What is missing is waited for, and said.
    kubectl
        .until("get pod lacking --no-headers", |row| row.contains("CreateContainerConfigError"))
        .await?;
    kubectl
        .until("get events --field-selector involvedObject.name=lacking", |events| {
            events.contains(r#"configmap "absent" not found"#)
        })
        .await?;
    kubectl.run("create configmap absent --from-literal=a=here").await?;
    kubectl.until("logs lacking", |log| log.contains("A=here\n")).await?;
    Ok(())
}

const PROBED: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: hello-http
        ports: [{name: http, containerPort: 80}]
        readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: never-ready, labels: {app: web}}
spec:
  containers:
  - name: web
    image: ticker
    readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: unhealthy}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: hello-http
    ports: [{containerPort: 80}]
    livenessProbe: {httpGet: {path: /healthz, port: 81}, periodSeconds: 1, failureThreshold: 2}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80}]}
";

#[tokio::test]
async fn probes_decide_who_is_served_and_who_is_restarted() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.apply(PROBED).await?;
    kubectl.run("rollout status deployment/web --timeout=60s").await?;
    kubectl.until("get pod never-ready --no-headers", |row| row.contains("Running")).await?;
    let addresses = "get endpoints web -o jsonpath={.subsets[0].addresses[*].targetRef.name}";
    let ready = kubectl.until(addresses, |names| names.split_whitespace().count() == 2).await?;
    assert!(!ready.contains("never-ready"), "{ready}");
    let others = kubectl
        .until(
            "get endpoints web -o jsonpath={.subsets[*].notReadyAddresses[*].targetRef.name}",
            |names| !names.is_empty(),
        )
        .await?;
    assert_eq!(others, "never-ready");
    kubectl
        .until("get events --field-selector involvedObject.name=never-ready", |events| {
            events.contains("Readiness probe failed")
        })
        .await?;
    let port = kubectl.run("get service web -o jsonpath={.spec.ports[0].nodePort}").await?;
    for _ in 0..20 {
        let answer = harness::get(&format!("http://127.0.0.1:{port}/")).await?;
        assert!(answer.starts_with("Hello from web-"), "{answer}");
    }
    kubectl
        .until(
            "get pod unhealthy -o jsonpath={.status.containerStatuses[0].restartCount}",
            |count| count.parse().is_ok_and(|count: u32| count > 0),
        )
        .await?;
    kubectl
        .until("get events --field-selector involvedObject.name=unhealthy", |events| {
            events.contains("failed liveness probe, will be restarted")
        })
        .await?;
    Ok(())
}

const PLACED: &str = "
apiVersion: v1
kind: Pod
metadata: {name: too-large}
spec:
  containers: [{name: main, image: pause, resources: {requests: {cpu: 1k}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: choosy}
spec:
  nodeSelector: {disk: fast}
  containers: [{name: main, image: pause}]
---
apiVersion: v1
kind: Pod
metadata: {name: tolerant}
spec:
  nodeSelector: {kubernetes.io/hostname: node-2}
  tolerations: [{key: kept, operator: Exists}]
  containers: [{name: main, image: pause}]
---
apiVersion: v1
kind: Pod
metadata: {name: intolerant}
spec:
  nodeSelector: {kubernetes.io/hostname: node-2}
  containers: [{name: main, image: pause}]
";

#[tokio::test]
async fn pods_are_placed_where_they_fit_and_may_be() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.run("taint node node-2 kept=for-others:NoSchedule").await?;
    kubectl.apply(PLACED).await?;
    kubectl.run("wait pod/tolerant --for=condition=Ready --timeout=60s").await?;
    for (pod, why) in [
        ("too-large", "0/3 nodes are available: "),
        ("too-large", "Insufficient cpu"),
        ("choosy", "1 node(s) had untolerated taint"),
        ("choosy", "2 node(s) didn't match Pod's node affinity/selector"),
        ("intolerant", "1 node(s) had untolerated taint"),
    ] {
        kubectl
            .until(&format!("describe pod {pod}"), |described| {
                described.contains("FailedScheduling") && described.contains(why)
            })
            .await?;
    }
    let condition = kubectl
        .run("get pod choosy -o jsonpath={.status.conditions[0].reason},{.status.phase}")
        .await?;
    assert_eq!(condition, "Unschedulable,Pending");

    // A change of the nodes lets those in who wait for it.
    kubectl.run("label node node-1 disk=fast").await?;
    kubectl.run("wait pod/choosy --for=condition=Ready --timeout=60s").await?;
    assert_eq!(kubectl.run("get pod choosy -o jsonpath={.spec.nodeName}").await?, "node-1");
    kubectl.run("taint node node-2 kept-").await?;
    kubectl.run("wait pod/intolerant --for=condition=Ready --timeout=60s").await?;
    assert_eq!(kubectl.run("get pod intolerant -o jsonpath={.spec.nodeName}").await?, "node-2");

    // A taint that evicts does so, and spares who tolerates it.
    kubectl.run("taint node node-2 kept=now:NoExecute").await?;
    kubectl.until("get pods -o name", |names| !names.contains("/intolerant")).await?;
    assert_eq!(kubectl.run("get pod tolerant -o jsonpath={.status.phase}").await?, "Running");
    Ok(())
}

#[tokio::test]
async fn a_node_is_drained_and_comes_back() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.run("create deployment spread --image=pause --replicas=6").await?;
    kubectl.run("rollout status deployment/spread --timeout=60s").await?;
    let nodes = "get pods -l app=spread -o jsonpath={.items[*].spec.nodeName}";
    let before = kubectl.run(nodes).await?;
    for node in ["node-0", "node-1", "node-2"] {
        assert_eq!(before.matches(node).count(), 2, "evenly spread: {before}");
    }
    let drained = kubectl.run("drain node-1 --timeout=60s").await?;
    assert!(drained.contains("node/node-1 drained"), "{drained}");
    let row = kubectl.run("get node node-1 --no-headers").await?;
    assert!(row.contains("Ready,SchedulingDisabled"), "{row}");
    kubectl.run("rollout status deployment/spread --timeout=60s").await?;
    let after = kubectl.until(nodes, |nodes| nodes.split_whitespace().count() == 6).await?;
    assert!(!after.contains("node-1"), "{after}");
    kubectl.run("uncordon node-1").await?;
    kubectl.run("scale deployment spread --replicas=8").await?;
    kubectl.run("rollout status deployment/spread --timeout=60s").await?;
    let filled = kubectl.run(nodes).await?;
    assert_eq!(filled.matches("node-1").count(), 2, "the empty node is filled first: {filled}");
    Ok(())
}
