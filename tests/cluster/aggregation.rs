//! Kinds that another API server serves, as kubectl uses them. The other one is a cluster of ours
//! that lets the first speak for its callers.

use anyhow::{Context, Result};
use harness::{Cluster, Options};

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: flunders.wardle.example.com}
spec:
  group: wardle.example.com
  scope: Namespaced
  names: {plural: flunders, singular: flunder, kind: Flunder, shortNames: [fl]}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              reference: {type: string, description: What it is about.}
    additionalPrinterColumns:
    - {name: Reference, type: string, jsonPath: .spec.reference}
"#;

const OBJECT: &str = "
apiVersion: wardle.example.com/v1alpha1
kind: Flunder
metadata: {name: first}
spec: {reference: a}
";

#[tokio::test]
async fn kubectl_uses_a_kind_of_another_server() -> Result<()> {
    let cluster = Cluster::start().await?;
    let authority = cluster.directory().join("pki/front-proxy-ca.crt");
    let arguments = [
        "--requestheader-client-ca-file",
        authority.to_str().context("a path that is no text")?,
        "--nodes",
        "1",
    ];
    let options = Options { arguments: arguments.map(str::to_owned).into(), ..Options::default() };
    let extension = Cluster::start_with(options).await?;
    extension.kubectl().apply(DEFINITION).await?;
    let port = extension.url().rsplit(':').next().context("a URL without a port")?.to_owned();

    let kubectl = cluster.kubectl();
    // Outside of the cluster, so that a name leads there.
    kubectl.run("create service externalname wardle --external-name=localhost").await?;
    let registration = format!(
        "
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {{name: v1alpha1.wardle.example.com}}
spec:
  group: wardle.example.com
  version: v1alpha1
  service: {{namespace: default, name: wardle, port: {port}}}
  insecureSkipTLSVerify: true
  groupPriorityMinimum: 2000
  versionPriority: 200
"
    );
    kubectl.apply(&registration).await?;
    let wait =
        "wait --for=condition=Available --timeout=30s apiservice/v1alpha1.wardle.example.com";
    kubectl.run(wait).await?;
    let shown = kubectl.run("get apiservice v1alpha1.wardle.example.com --no-headers").await?;
    assert!(shown.contains("default/wardle   True"), "{shown}");
    let versions = kubectl.run("api-versions").await?;
    assert!(versions.lines().any(|line| line == "wardle.example.com/v1alpha1"), "{versions}");

    kubectl.apply(OBJECT).await?;
    let changed = OBJECT.replace("reference: a", "reference: b");
    assert!(kubectl.apply(&changed).await?.contains("configured"));
    let shown = kubectl.run("get fl --no-headers").await?;
    assert!(shown.split_whitespace().eq(["first", "b"]), "{shown}");
    let there = extension.kubectl().run("get flunder first -o jsonpath={.spec.reference}").await?;
    assert_eq!(there, "b");
    let explained = kubectl.run("explain flunder.spec.reference").await?;
    assert!(explained.contains("What it is about."), "{explained}");
    // Roles of this cluster say who may ask, roles of the other what he may there.
    kubectl
        .run("create clusterrole f --verb=get,list --resource=flunders.wardle.example.com")
        .await?;
    kubectl.run("create clusterrolebinding f --clusterrole=f --user=jane").await?;
    let refused = kubectl.refused("get flunder first --as=jane").await?;
    assert!(refused.contains("User \"jane\" cannot get resource \"flunders\""), "{refused}");
    extension
        .kubectl()
        .run("create clusterrole f --verb=get --resource=flunders.wardle.example.com")
        .await?;
    extension.kubectl().run("create clusterrolebinding f --clusterrole=f --user=jane").await?;
    kubectl.run("get flunder first --as=jane -o name").await?;
    let refused = kubectl.refused("get flunder first --as=joe").await?;
    assert!(refused.contains("User \"joe\" cannot get resource \"flunders\""), "{refused}");
    kubectl.run("delete flunder first --timeout=30s").await?;

    extension.stop().await?;
    let gone = wait.replace("Available", "Available=False").replace("30s", "60s");
    kubectl.run(&gone).await?;
    let refused = kubectl.refused("get flunders").await?;
    assert!(refused.contains("unable to handle the request"), "{refused}");
    // What else there is does not mind.
    kubectl.run("get pods").await?;
    kubectl.run("delete apiservice v1alpha1.wardle.example.com").await?;
    Ok(())
}
