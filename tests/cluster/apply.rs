//! Server-side apply as its clients use it: kubectl and kube-rs.

use anyhow::{Result, ensure};
use harness::Cluster;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: pause, env: [{name: A, value: '1'}]}
";

const LAST: &str = "kubectl.kubernetes.io/last-applied-configuration";

#[tokio::test]
async fn kubectl_applies_on_the_server() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let feed = async |line: &str, manifest: &str| kubectl.feed(line, manifest).await;

    let made = feed("apply --server-side -f -", DEPLOYMENT).await?;
    ensure!(made.stdout.contains("deployment.apps/web serverside-applied"), "{made:?}");
    let shown = kubectl.run("get deployment web -o yaml").await?;
    ensure!(!shown.contains("managedFields"), "{shown}");
    let shown = kubectl.run("get deployment web -o yaml --show-managed-fields").await?;
    ensure!(shown.contains("manager: kubectl\n") && shown.contains("operation: Apply"), "{shown}");
    ensure!(shown.contains(r#"k:{"name":"A"}"#), "{shown}");
    ensure!(!shown.contains(LAST), "{shown}");

    // Another's field is in the way until force is used.
    kubectl.run("scale deployment web --replicas=2").await?;
    let refused = feed("apply --server-side -f -", DEPLOYMENT).await?;
    ensure!(
        !refused.success
            && refused.stderr.contains("Apply failed with 1 conflict: conflict with \"kubectl\" with subresource \"scale\" using apps/v1: .spec.replicas"),
        "{refused:?}"
    );
    let changed = DEPLOYMENT.replace("replicas: 0", "replicas: 1");
    let other = "apply --server-side --field-manager=other -f -";
    let refused = feed(other, &changed).await?;
    ensure!(refused.stderr.contains(".spec.replicas"), "{refused:?}");
    let forced = feed(&format!("{other} --force-conflicts"), &changed).await?;
    ensure!(forced.success, "{forced:?}");
    ensure!(kubectl.run("get deployment web -o jsonpath={.spec.replicas}").await? == "1");

    let dry =
        feed("apply --server-side --dry-run=server -f - --force-conflicts", DEPLOYMENT).await?;
    ensure!(dry.stdout.contains("serverside-applied (server dry run)"), "{dry:?}");
    let same = feed("diff --server-side --field-manager=other -f -", &changed).await?;
    ensure!(same.success && same.stdout.is_empty(), "{same:?}");
    let newer = changed.replace("image: pause", "image: other");
    let diff =
        feed("diff --server-side --field-manager=other --force-conflicts -f -", &newer).await?;
    ensure!(!diff.success && diff.stdout.contains("+        image: other"), "{diff:?}");
    let unknown = changed.replace("replicas: 1", "replicas: 1\n  repliacs: 2");
    let unknown = feed(other, &unknown).await?;
    ensure!(unknown.stderr.contains(".spec.repliacs: field not declared in schema"), "{unknown:?}");
    Ok(())
}

#[tokio::test]
async fn kubectl_moves_from_the_clients_apply_to_the_servers() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.apply(DEPLOYMENT).await?;
    let last = kubectl.run("apply view-last-applied deployment/web -o json").await?;
    ensure!(last.contains("\"replicas\": 0"), "{last}");
    let shown = kubectl.run("get deployment web -o yaml --show-managed-fields").await?;
    ensure!(shown.contains("manager: kubectl-client-side-apply"), "{shown}");

    // The field that is no longer there goes, though the client's apply put it there.
    let less = DEPLOYMENT.replace("{name: web, labels: {app: web}}", "{name: web}");
    let moved = kubectl.feed("apply --server-side -f -", &less).await?;
    ensure!(moved.success, "{moved:?}");
    let shown = kubectl.run("get deployment web -o yaml --show-managed-fields").await?;
    ensure!(!shown.contains("kubectl-client-side-apply"), "{shown}");
    let labels = kubectl.run("get deployment web -o jsonpath={.metadata.labels}").await?;
    ensure!(labels.is_empty(), "{labels}");
    // And back again.
    ensure!(kubectl.apply(DEPLOYMENT).await?.contains("configured"));
    let labels = kubectl.run("get deployment web -o jsonpath={.metadata.labels.app}").await?;
    ensure!(labels == "web", "{labels}");
    Ok(())
}

#[tokio::test]
async fn kube_applies() -> Result<()> {
    let cluster = Cluster::start().await?;
    let api: Api<Deployment> = Api::default_namespaced(cluster.client().await?);
    let config = |replicas: i32| {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "main", "image": "pause" }] } },
        }})
    };
    let mine = PatchParams::apply("mine");
    let made = api.patch("web", &mine, &Patch::Apply(config(0))).await?;
    let again = api.patch("web", &mine, &Patch::Apply(config(0))).await?;
    ensure!(made.metadata.managed_fields.as_ref().is_some_and(|list| list.len() == 1));
    ensure!(again.spec == made.spec);
    let theirs = PatchParams::apply("theirs");
    let refused = api.patch("web", &theirs, &Patch::Apply(config(1))).await;
    match refused {
        Err(kube::Error::Api(status)) => {
            ensure!(status.code == 409 && status.reason == "Conflict", "{status:?}");
        }
        other => anyhow::bail!("{other:?}"),
    }
    let forced = api.patch("web", &theirs.force(), &Patch::Apply(config(1))).await?;
    ensure!(forced.spec.and_then(|spec| spec.replicas) == Some(1));
    let status = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "status": { "conditions": [{ "type": "Odd", "status": "True" }] } });
    let status =
        api.patch_status("web", &PatchParams::apply("keeper"), &Patch::Apply(status)).await?;
    let conditions = status.status.and_then(|status| status.conditions).unwrap_or_default();
    ensure!(conditions.iter().any(|condition| condition.type_ == "Odd"));
    Ok(())
}
