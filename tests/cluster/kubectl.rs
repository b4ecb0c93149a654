//! kubectl in all its common verbs, as people type them.

use anyhow::{Context, Result, ensure};
use harness::Cluster;

const TWO: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: first, labels: {set: two}}
data: {key: one}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: second, labels: {set: two}}
data: {key: one}
";

fn first() -> &'static str {
    TWO.split("---\n").next().unwrap_or_default()
}

#[tokio::test]
async fn everything_is_explained() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let resources = kubectl.run("api-resources --no-headers -o name").await?;
    ensure!(resources.lines().count() > 50, "{resources}");
    for resource in resources.lines() {
        let (plural, _) = resource.split_once('.').unwrap_or((resource, ""));
        let explained = kubectl.run(&format!("explain {plural}")).await?;
        ensure!(explained.contains("KIND:") && explained.contains("FIELDS:"), "{explained}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_longer_in_a_set_is_pruned() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let fed = async |line: &str, manifest: &str| {
        let output = kubectl.feed(line, manifest).await?;
        ensure!(output.success, "kubectl {line}: {}", output.stderr);
        anyhow::Ok(output.stdout)
    };
    let by_label = "apply --prune -l set=two --prune-allowlist=core/v1/ConfigMap -f -";
    fed(by_label, TWO).await?;
    let pruned = fed(by_label, first()).await?;
    assert!(pruned.contains("configmap/first unchanged"), "{pruned}");
    assert!(pruned.contains("configmap/second pruned"), "{pruned}");
    let wrong = "diff -f -";
    let difference = kubectl.feed(wrong, TWO).await?;
    // `diff` says by its exit code that there is one.
    assert!(!difference.success && difference.stdout.contains("name: second"), "{difference:?}");
    fed("replace --force -f -", first()).await?;
    let none = kubectl.feed(wrong, first()).await?;
    assert!(none.success, "{none:?}");
    Ok(())
}

#[tokio::test]
async fn objects_are_edited_patched_and_labelled() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.apply(first()).await?;
    let mut edit = kubectl.command(["edit", "configmap/first"]);
    edit.env("KUBE_EDITOR", "sed -i s/one/edited/");
    let edited = edit.output().await.context("editing")?;
    assert!(edited.status.success(), "{edited:?}");
    for line in [
        r#"patch configmap first --type=json -p [{"op":"add","path":"/data/json","value":"1"}]"#,
        r#"patch configmap first --type=merge -p {"data":{"merge":"2"}}"#,
        r#"patch configmap first --type=strategic -p {"data":{"strategic":"3"}}"#,
        "label configmap first tier=front",
        "annotate configmap first note=kept",
    ] {
        kubectl.run(line).await?;
    }
    let shown = kubectl.run("get configmap first -o jsonpath={.data}{.metadata.labels}").await?;
    let expected =
        r#"{"json":"1","key":"edited","merge":"2","strategic":"3"}{"set":"two","tier":"front"}"#;
    assert_eq!(shown, expected);
    kubectl.run("label configmap first tier-").await?;
    let by_label = kubectl.run("get configmap -l set=two,!tier -o name").await?;
    assert_eq!(by_label.trim(), "configmap/first");
    Ok(())
}

#[tokio::test]
async fn objects_are_made_from_the_command_line() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    for line in [
        "create deployment web --image=pause --replicas=2",
        "expose deployment web --port=80 --target-port=8080",
        "autoscale deployment web --min=1 --max=3",
        "create ingress front --rule=example.com/path=web:80",
        "create service nodeport outside --tcp=80:80",
        "create quota bounds --hard=pods=50",
        "create role reader --verb=get --resource=pods",
        "create rolebinding readers --role=reader --user=jane",
        "create clusterrole nodes --verb=get --resource=nodes",
        "create clusterrolebinding viewers --clusterrole=view --serviceaccount=default:default",
        "create poddisruptionbudget some --selector=app=web --min-available=1",
        "create priorityclass high --value=10",
        "create job once --image=hello",
        "create cronjob often --image=hello --schedule=*/5_*_*_*_*",
        "create secret generic plain --from-literal=a=b",
        "create secret docker-registry pull --docker-server=x --docker-username=a --docker-password=b",
        "create serviceaccount robot",
        "create namespace other",
    ] {
        let words = line.split(' ').map(|word| word.replace('_', " "));
        kubectl.run_arguments(words).await.with_context(|| line.to_owned())?;
    }
    kubectl.run("rollout status deployment/web --timeout=60s").await?;
    kubectl
        .run("wait deployment/web --for=jsonpath={.status.readyReplicas}=2 --timeout=60s")
        .await?;
    for described in [
        "deployment/web",
        "service/web",
        "hpa/web",
        "ingress/front",
        "quota/bounds",
        "role/reader",
        "rolebinding/readers",
        "clusterrole/nodes",
        "pdb/some",
        "priorityclass/high",
        "job/once",
        "cronjob/often",
        "secret/plain",
        "sa/robot",
        "namespace/other",
        "node/node-0",
    ] {
        let text = kubectl.run(&format!("describe {described}")).await?;
        assert!(text.starts_with("Name:"), "{described}: {text}");
    }
    let all = kubectl.run("get all -o name").await?;
    let of_web = all.lines().filter(|line| line.ends_with("/web")).collect::<Vec<_>>();
    let expected =
        ["service/web", "deployment.apps/web", "horizontalpodautoscaler.autoscaling/web"];
    assert_eq!(of_web, expected, "{all}");
    kubectl.run("delete namespace other --timeout=60s").await?;
    Ok(())
}
