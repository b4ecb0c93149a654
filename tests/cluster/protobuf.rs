//! Protobuf, judged by the Go client in kubectl: its typed commands send it and ask for it.

use anyhow::{Result, ensure};
use harness::{Cluster, Kubectl};
use serde_json::Value;

/// Runs a command that must speak protobuf both ways; what it printed.
async fn spoken(kubectl: &Kubectl, line: &str) -> Result<String> {
    let output = kubectl.feed(&format!("{line} -v=8"), "").await?;
    ensure!(output.success, "{line}: {}", output.stderr);
    let answered = "Content-Type: application/vnd.kubernetes.protobuf";
    ensure!(output.stderr.contains(answered), "{line}: {}", output.stderr);
    Ok(output.stdout)
}

/// What is created by a typed command is what the same command says it would create.
async fn created(kubectl: &Kubectl, line: &str, kind: &str) -> Result<()> {
    let meant = kubectl.run(&format!("create {line} --dry-run=client -o json")).await?;
    spoken(kubectl, &format!("create {line}")).await?;
    let mut meant: Value = serde_json::from_str(&meant)?;
    // Controllers are at work on the status by now.
    meant.as_object_mut().and_then(|meant| meant.remove("status"));
    let name = meant["metadata"]["name"].as_str().unwrap_or_default();
    let made = kubectl.run(&format!("get {kind} {name} -o json")).await?;
    includes(&serde_json::from_str(&made)?, &meant, kind)
}

/// Checks that `made` has everything that `meant` has; the server may know more.
fn includes(made: &Value, meant: &Value, path: &str) -> Result<()> {
    match (made, meant) {
        (Value::Object(made), Value::Object(meant)) => {
            for (key, meant) in meant {
                let empty = matches!(meant, Value::Null)
                    || meant.as_object().is_some_and(serde_json::Map::is_empty);
                if !empty {
                    includes(
                        made.get(key).unwrap_or(&Value::Null),
                        meant,
                        &format!("{path}.{key}"),
                    )?;
                }
            }
        }
        (Value::Array(made), Value::Array(meant)) => {
            ensure!(made.len() == meant.len(), "{path}: {made:?} instead of {meant:?}");
            for (at, (made, meant)) in made.iter().zip(meant).enumerate() {
                includes(made, meant, &format!("{path}[{at}]"))?;
            }
        }
        _ => ensure!(made == meant, "{path} is {made} instead of {meant}"),
    }
    Ok(())
}

#[tokio::test]
async fn typed_commands_of_kubectl_speak_protobuf() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    for (line, kind) in [
        ("configmap settings --from-literal=a=1", "configmap"),
        ("secret generic hidden --from-literal=token=s3cret", "secret"),
        ("serviceaccount robot", "serviceaccount"),
        ("deployment web --image=pause --replicas=2 --port=8080", "deployment"),
        ("job once --image=pause", "job"),
        ("quota bounds --hard=pods=20,secrets=30", "resourcequota"),
        ("role reader --verb=get,list --resource=pods,deployments.apps", "role"),
        ("rolebinding readers --role=reader --serviceaccount=default:robot", "rolebinding"),
        ("clusterrole nodereader --verb=get --resource=nodes", "clusterrole"),
        ("service clusterip front --tcp=80:http", "service"),
        ("ingress way --rule=example.com/*=front:80", "ingress"),
        ("poddisruptionbudget kept --selector=app=web --min-available=50%", "pdb"),
        ("priorityclass high --value=1000", "priorityclass"),
    ] {
        created(&kubectl, line, kind).await?;
    }
    // A schedule has spaces, which lines are split at.
    let arguments = ["create", "cronjob", "nightly", "--image=pause", "--schedule=30 2 * * *"];
    kubectl.run_arguments(arguments).await?;
    kubectl.run("rollout status deployment/web --timeout=60s").await?;
    for (line, expected) in [
        ("describe configmap settings", "a:\n----\n1\n"),
        ("describe secret hidden", "token:  6 bytes"),
        (
            "describe deployment web",
            "2 desired | 2 updated | 2 total | 2 available | 0 unavailable",
        ),
        ("describe pods -l app=web", "Image:          pause"),
        ("describe job once", "Parallelism:"),
        ("describe cronjob nightly", "Schedule:                      30 2 * * *"),
        ("describe quota bounds", "Used  Hard\n"),
        ("describe role reader", "deployments.apps  []                 []              [get list]"),
        ("describe rolebinding readers", "ServiceAccount  robot  default"),
        ("describe service front", "TargetPort:               http/TCP"),
        ("describe ingress way", "front:80"),
        ("describe pdb kept", "Min available:  50%"),
        ("describe namespace default", "bounds"),
        ("describe nodes", "Allocated resources:"),
        ("auth can-i create pods", "yes"),
    ] {
        let printed = spoken(&kubectl, line).await?;
        ensure!(printed.contains(expected), "{line}: {printed}");
    }
    kubectl.run("wait deployment/web --for=condition=Available --timeout=60s").await?;
    kubectl.run("scale deployment/web --replicas=3").await?;
    kubectl.run("rollout restart deployment/web").await?;
    kubectl.run("rollout status deployment/web --timeout=60s").await?;
    kubectl.run("rollout undo deployment/web").await?;
    let node = kubectl.run("get nodes -o name").await?;
    spoken(&kubectl, &format!("cordon {}", node.trim())).await?;
    let printed = kubectl.run(&format!("describe {}", node.trim())).await?;
    ensure!(printed.contains("Unschedulable:      true"), "{printed}");
    spoken(&kubectl, &format!("uncordon {}", node.trim())).await?;
    Ok(())
}

#[tokio::test]
async fn the_old_schema_is_explained_from_its_protobuf_form() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let line = "explain deployment.spec.strategy.rollingUpdate --output=plaintext-openapiv2";
    let printed = kubectl.run(line).await?;
    ensure!(printed.contains("maxUnavailable"), "{printed}");
    Ok(())
}
