//! Who may do what, as kubectl and the pods' own clients meet it.

use anyhow::Result;
use harness::Cluster;

use crate::guests;

#[tokio::test]
async fn kubectl_asks_and_is_told_what_it_may() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();

    kubectl.run("create serviceaccount robot").await?;
    kubectl.run("create role reader --verb=get,list --resource=pods").await?;
    kubectl.run("create rolebinding robot --role=reader --serviceaccount=default:robot").await?;
    let robot = "--as=system:serviceaccount:default:robot";
    assert_eq!(kubectl.run(&format!("auth can-i list pods {robot}")).await?.trim(), "yes");
    let refused = kubectl.refused(&format!("auth can-i list secrets {robot}")).await?;
    assert!(!refused.contains("yes"), "{refused}");
    let listed = kubectl.run(&format!("auth can-i --list {robot}")).await?;
    let pods = listed.lines().find(|line| line.starts_with("pods ")).unwrap_or_default();
    assert!(pods.contains("[get list]"), "{listed}");
    assert!(listed.contains("selfsubjectreviews.authentication.k8s.io"), "{listed}");
    let refused = kubectl.refused(&format!("get secrets {robot}")).await?;
    let expected = "secrets is forbidden: User \"system:serviceaccount:default:robot\" cannot list \
                    resource \"secrets\" in API group \"\" in the namespace \"default\"";
    assert!(refused.contains(expected), "{refused}");
    // What `view` allows is collected from its parts.
    kubectl.run("create rolebinding viewer --clusterrole=view --user=jane").await?;
    kubectl.until("auth can-i get configmaps --as=jane", |answer| answer.trim() == "yes").await?;

    let token = kubectl.run("create token robot --duration=15m").await?;
    let with_token = format!("--token={}", token.trim());
    // Without the admin's certificate, of which it would be a part otherwise.
    let plain = format!(
        "--kubeconfig=/dev/null --server={} --insecure-skip-tls-verify {with_token}",
        cluster.url()
    );
    let who = kubectl.run(&format!("auth whoami {plain}")).await?;
    assert!(who.contains("system:serviceaccount:default:robot"), "{who}");
    kubectl.run(&format!("get pods {plain} -n default")).await?;
    kubectl.refused(&format!("get nodes {plain}")).await?;
    kubectl.run("delete serviceaccount robot").await?;
    let gone = kubectl.refused(&format!("get pods {plain} -n default")).await?;
    assert!(gone.contains("Unauthorized"), "{gone}");
    let short = kubectl.refused("create token default --duration=5m").await?;
    assert!(short.contains("may not specify a duration less than 10 minutes"), "{short}");
    Ok(())
}

const WITH_TOKEN: &str = "
apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: 'reading:v1', volumeMounts: [{name: own, mountPath: /own}]}
  volumes:
  - name: own
    projected: {sources: [{serviceAccountToken: {path: file.txt, expirationSeconds: 600}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: without}
spec:
  automountServiceAccountToken: false
  restartPolicy: Never
  containers: [{name: main, image: 'reading:v1'}]
";

#[tokio::test]
async fn pods_are_given_their_service_accounts_token() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    cluster.upload_text(&guests::reading(), "reading:v1").await?;
    kubectl.until("get serviceaccount default -o name", |name| name.contains("default")).await?;
    kubectl.apply(WITH_TOKEN).await?;
    kubectl
        .until("get pod reader -o jsonpath={.status.phase}", |phase| phase == "Succeeded")
        .await?;
    // The volume that everybody gets was mounted beside the pod's own.
    let mounts = "get pod reader -o jsonpath={.spec.containers[0].volumeMounts[*].mountPath}";
    let mounts = kubectl.run(mounts).await?;
    assert_eq!(mounts, "/own /var/run/secrets/kubernetes.io/serviceaccount");
    let token = kubectl.run("logs reader").await?;
    let plain = format!(
        "--kubeconfig=/dev/null --server={} --insecure-skip-tls-verify --token={}",
        cluster.url(),
        token.trim()
    );
    // The pod has ended but is there: its token holds until it is gone.
    let who = kubectl.run(&format!("auth whoami {plain}")).await?;
    assert!(who.contains("system:serviceaccount:default:default"), "{who}");
    assert!(who.contains("authentication.kubernetes.io/pod-name"), "{who}");
    let volumes = kubectl.run("get pod without -o jsonpath={.spec.volumes}").await?;
    assert_eq!(volumes, "");
    kubectl.run("delete pod reader").await?;
    let gone = kubectl.refused(&format!("auth whoami {plain}")).await?;
    assert!(gone.contains("Unauthorized"), "{gone}");
    Ok(())
}
