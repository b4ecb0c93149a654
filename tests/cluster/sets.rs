//! StatefulSets, DaemonSets and disruption budgets, as people use them.

use anyhow::Result;
use harness::Cluster;

const STATEFUL: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  replicas: 2
  serviceName: web
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: pause}]
";

#[tokio::test]
async fn a_stateful_set_is_scaled_and_rolled() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.apply(STATEFUL).await?;
    let rolled = kubectl.run("rollout status statefulset/web --timeout=60s").await?;
    assert!(rolled.contains("complete"), "{rolled}");
    let names =
        "get pods -l app=web --sort-by=.metadata.name -o jsonpath={.items[*].metadata.name}";
    assert_eq!(kubectl.run(names).await?, "web-0 web-1");
    let ready = "get statefulset web --no-headers";
    kubectl.until(ready, |line| line.contains("2/2")).await?;
    let host = "get pod web-1 -o jsonpath={.spec.hostname}.{.spec.subdomain}";
    assert_eq!(kubectl.run(host).await?, "web-1.web");

    kubectl.run("scale statefulset web --replicas=4").await?;
    kubectl.until(ready, |line| line.contains("4/4")).await?;
    kubectl.run("scale statefulset/web --replicas=2").await?;
    kubectl.until(names, |names| names == "web-0 web-1").await?;

    kubectl.run("set env statefulset/web ROUND=two").await?;
    kubectl.run("rollout status statefulset/web --timeout=60s").await?;
    let env = "get pods -l app=web -o jsonpath={.items[*].spec.containers[0].env[0].value}";
    assert_eq!(kubectl.run(env).await?, "two two");
    let history = kubectl.run("rollout history statefulset/web").await?;
    let revisions = history.lines().filter(|line| line.starts_with(char::is_numeric)).count();
    assert_eq!(revisions, 2, "{history}");
    let first = kubectl.run("rollout history statefulset/web --revision=1").await?;
    assert!(!first.contains("ROUND"), "{first}");
    let undone = kubectl.run("rollout undo statefulset/web").await?;
    assert!(undone.contains("rolled back"), "{undone}");
    kubectl.run("rollout status statefulset/web --timeout=60s").await?;
    kubectl.until(env, str::is_empty).await?;
    kubectl.run("rollout restart statefulset/web").await?;
    kubectl.run("rollout status statefulset/web --timeout=60s").await?;

    kubectl.run("delete statefulset web").await?;
    kubectl.until(names, str::is_empty).await?;
    kubectl.until("get controllerrevisions -o name", str::is_empty).await?;
    Ok(())
}

const DAEMONS: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: pause}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: pause}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
";

#[tokio::test]
async fn a_drain_leaves_daemons_and_obeys_budgets() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.apply(DAEMONS).await?;
    kubectl.run("rollout status daemonset/agent --timeout=60s").await?;
    kubectl.run("rollout status deployment/web --timeout=60s").await?;
    let agents = "get pods -l app=agent -o jsonpath={.items[*].spec.nodeName}";
    let nodes = kubectl.run(agents).await?;
    assert_eq!(nodes.split_whitespace().count(), 3, "{nodes}");
    let allowed = "get pdb web -o jsonpath={.status.disruptionsAllowed}/{.status.currentHealthy}";
    kubectl.until(allowed, |seen| seen == "1/4").await?;

    let node = kubectl.run("get pods -l app=web -o jsonpath={.items[0].spec.nodeName}").await?;
    let refused = kubectl.refused(&format!("drain {node} --timeout=20s")).await?;
    assert!(refused.contains("DaemonSet-managed Pods"), "{refused}");
    let drained = kubectl.run(&format!("drain {node} --ignore-daemonsets --timeout=60s")).await?;
    assert!(drained.contains("drained"), "{drained}");
    let here = format!("get pods --field-selector=spec.nodeName={node} -o name");
    let left = kubectl.run(&here).await?;
    assert!(left.contains("agent-") && !left.contains("web-"), "{left}");
    kubectl.until(allowed, |seen| seen == "1/4").await?;

    // A budget that allows nothing holds a drain up.
    kubectl.run("patch pdb web --type=merge -p {\"spec\":{\"maxUnavailable\":0}}").await?;
    kubectl.until(allowed, |seen| seen == "0/4").await?;
    let node = kubectl.run("get pods -l app=web -o jsonpath={.items[0].spec.nodeName}").await?;
    let stuck = kubectl.refused(&format!("drain {node} --ignore-daemonsets --timeout=3s")).await?;
    assert!(stuck.contains("global timeout reached"), "{stuck}");
    kubectl.until(allowed, |seen| seen == "0/4").await?;

    kubectl.run("set env daemonset/agent ROUND=two").await?;
    kubectl.run("rollout status daemonset/agent --timeout=60s").await?;
    let env = "get pods -l app=agent -o jsonpath={.items[*].spec.containers[0].env[0].value}";
    kubectl.until(env, |values| values == "two two two").await?;
    let undone = kubectl.run("rollout undo daemonset/agent").await?;
    assert!(undone.contains("rolled back"), "{undone}");
    kubectl.run("rollout status daemonset/agent --timeout=60s").await?;
    kubectl.until(env, str::is_empty).await?;
    Ok(())
}
