//! Deployments from one version to the next.

use anyhow::Result;
use harness::{Cluster, module};

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  progressDeadlineSeconds: 5
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web:v1
        readinessProbe: {httpGet: {path: /healthz, port: 80}, periodSeconds: 1}
";

async fn cluster() -> Result<Cluster> {
    let cluster = Cluster::start().await?;
    for tag in ["v1", "v2"] {
        let uploaded = cluster.upload(&module("hello-http"), &format!("web:{tag}")).await?;
        assert!(uploaded.success, "{uploaded:?}");
    }
    cluster.kubectl().apply(DEPLOYMENT).await?;
    cluster.kubectl().run("rollout status deployment/web --timeout=60s").await?;
    Ok(cluster)
}

#[tokio::test]
async fn a_bad_image_does_not_take_the_old_pods_down() -> Result<()> {
    let cluster = cluster().await?;
    let kubectl = cluster.kubectl();
    let uids = "get pods -l app=web --sort-by=.metadata.name \
                --field-selector=status.phase=Running -o jsonpath={.items[*].metadata.uid}";
    let before = kubectl.run(uids).await?;
    assert_eq!(before.split_whitespace().count(), 4, "{before}");
    kubectl.run("set image deployment/web web=web:v9").await?;
    let stuck = kubectl.refused("rollout status deployment/web --timeout=60s").await?;
    assert!(stuck.contains("exceeded its progress deadline"), "{stuck}");
    let pods = kubectl.run("get pods -l app=web --no-headers").await?;
    assert_eq!(pods.lines().count(), 5, "one more than wanted, as maxSurge says:\n{pods}");
    assert!(pods.contains("ImagePullBackOff") || pods.contains("ErrImagePull"), "{pods}");
    assert_eq!(kubectl.run(uids).await?, before, "the old pods are untouched");

    let undone = kubectl.run("rollout undo deployment/web").await?;
    assert!(undone.contains("rolled back"), "{undone}");
    kubectl.run("rollout status deployment/web --timeout=60s").await?;
    kubectl.until("get pods -l app=web --no-headers", |pods| pods.lines().count() == 4).await?;
    assert_eq!(kubectl.run(uids).await?, before);

    // An upload under the missing name heals a rollout that waits for it.
    kubectl.run("set image deployment/web web=web:v9").await?;
    kubectl
        .until("get pods --no-headers", |pods| {
            pods.contains("ErrImagePull") || pods.contains("ImagePullBackOff")
        })
        .await?;
    let uploaded = cluster.upload(&module("hello-http"), "web:v9").await?;
    assert!(uploaded.success, "{uploaded:?}");
    kubectl
        .until("get deployment web -o jsonpath={.status.updatedReplicas},{.status.replicas},{.status.readyReplicas}", |status| {
            status == "4,4,4"
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_paused_rollout_waits() -> Result<()> {
    let cluster = cluster().await?;
    let kubectl = cluster.kubectl();
    kubectl.run("rollout pause deployment/web").await?;
    kubectl.run("set image deployment/web web=web:v2").await?;
    kubectl
        .until(
            "get deployment web -o jsonpath={.status.observedGeneration}/{.metadata.generation}",
            |seen| seen.split_once('/').is_some_and(|(observed, wanted)| observed == wanted),
        )
        .await?;
    let sets = kubectl.run("get replicasets -l app=web --no-headers").await?;
    assert_eq!(sets.lines().count(), 1, "nothing is rolled out: {sets}");
    // A scale still holds while paused.
    kubectl.run("scale deployment/web --replicas=2").await?;
    kubectl.until("get pods -l app=web --no-headers", |pods| pods.lines().count() == 2).await?;
    kubectl.run("rollout resume deployment/web").await?;
    kubectl.run("rollout status deployment/web --timeout=60s").await?;
    kubectl
        .until("get pods -l app=web -o jsonpath={.items[*].spec.containers[0].image}", |images| {
            images == "web:v2 web:v2"
        })
        .await?;
    kubectl.run("rollout restart deployment/web").await?;
    kubectl.run("rollout status deployment/web --timeout=60s").await?;
    let history = kubectl.run("rollout history deployment/web").await?;
    let revisions = history.lines().filter(|line| line.starts_with(char::is_numeric)).count();
    assert_eq!(revisions, 3, "{history}");
    let second = kubectl.run("rollout history deployment/web --revision=2").await?;
    assert!(second.contains("web:v2"), "{second}");
    Ok(())
}

#[tokio::test]
async fn a_rollout_never_leaves_the_service_without_an_answer() -> Result<()> {
    let cluster = cluster().await?;
    let kubectl = cluster.kubectl();
    kubectl.run("expose deployment web --port=80 --type=NodePort").await?;
    let port = kubectl.run("get service web -o jsonpath={.spec.ports[0].nodePort}").await?;
    kubectl
        .until("get endpoints web -o jsonpath={.subsets[0].addresses[*].ip}", |ips| {
            ips.split_whitespace().count() == 4
        })
        .await?;
    let url = format!("http://127.0.0.1:{port}/");
    let rolling = async {
        kubectl.run("set image deployment/web web=web:v2").await?;
        kubectl.run("rollout status deployment/web --timeout=60s").await
    };
    tokio::pin!(rolling);
    let mut answered = 0;
    loop {
        tokio::select! {
            rolled = &mut rolling => {
                rolled?;
                break;
            }
            answer = harness::get(&url) => {
                let answer = answer.map_err(|error| error.context(format!("after {answered} answers")))?;
                assert!(answer.starts_with("Hello from web-"), "{answer}");
                answered += 1;
            }
        };
    }
    assert!(answered > 0);
    Ok(())
}

#[tokio::test]
async fn a_replica_set_keeps_its_number() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl
        .apply(
            "
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: set}
spec:
  replicas: 2
  selector: {matchLabels: {app: set}}
  template:
    metadata: {labels: {app: set}}
    spec: {containers: [{name: main, image: pause}]}
",
        )
        .await?;
    let ready = "get replicaset set -o jsonpath={.status.replicas},{.status.readyReplicas}";
    kubectl.until(ready, |status| status == "2,2").await?;
    kubectl.run("scale replicaset set --replicas=5").await?;
    kubectl.until(ready, |status| status == "5,5").await?;
    // Who is deleted is replaced, and who loses the label is released and replaced.
    let name = kubectl.run("get pods -l app=set -o jsonpath={.items[0].metadata.name}").await?;
    kubectl.run(&format!("delete pod {name}")).await?;
    let name = kubectl.run("get pods -l app=set -o jsonpath={.items[0].metadata.name}").await?;
    kubectl.run(&format!("label pod {name} app=free --overwrite")).await?;
    kubectl
        .until(&format!("get pod {name} -o jsonpath={{.metadata.ownerReferences}}"), str::is_empty)
        .await?;
    kubectl.until("get pods -l app=set --no-headers", |pods| pods.lines().count() == 5).await?;
    kubectl.until(ready, |status| status == "5,5").await?;
    kubectl.run("scale replicaset set --replicas=0").await?;
    kubectl.until("get pods -l app=set --no-headers", str::is_empty).await?;
    assert_eq!(
        kubectl.run(&format!("get pod {name} -o jsonpath={{.status.phase}}")).await?,
        "Running"
    );
    Ok(())
}
