//! Kinds that people define, as kubectl uses them.

use anyhow::Result;
use harness::Cluster;

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What is to be run, and when.
            required: [cronSpec]
            x-kubernetes-validations:
            - {rule: "!has(self.replicas) || self.replicas <= 10", message: too many replicas}
            properties:
              cronSpec: {type: string, pattern: '^(\S+\s+){4}\S+$', description: Five fields.}
              image: {type: string, default: "cleanup:v1"}
              replicas: {type: integer, minimum: 0}
          status:
            type: object
            properties:
              replicas: {type: integer}
              selector: {type: string}
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Image, type: string, jsonPath: .spec.image, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    selectableFields:
    - jsonPath: .spec.image
"#;

const OBJECT: &str = "
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: nightly}
spec: {cronSpec: '0 3 * * *', replicas: 2}
";

#[tokio::test]
async fn kubectl_uses_a_kind_that_was_defined() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.apply(DEFINITION).await?;
    kubectl
        .run("wait --for=condition=established --timeout=30s crd/crontabs.stable.example.com")
        .await?;
    let resources =
        kubectl.run("api-resources --api-group=stable.example.com --no-headers").await?;
    assert!(
        resources.split_whitespace().eq([
            "crontabs",
            "ct",
            "stable.example.com/v1",
            "true",
            "CronTab"
        ]),
        "{resources}"
    );
    let explained = kubectl.run("explain crontab.spec.cronSpec").await?;
    assert!(explained.contains("Five fields."), "{explained}");
    let explained = kubectl.run("explain ct --recursive").await?;
    assert!(explained.contains("cronSpec\t<string> -required-"), "{explained}");

    kubectl.apply(OBJECT).await?;
    let changed = OBJECT.replace("replicas: 2", "replicas: 3");
    assert!(kubectl.apply(&changed).await?.contains("configured"));
    let shown = kubectl.run("get ct").await?;
    let mut lines = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap_or_default(), ["NAME", "SPEC", "REPLICAS", "AGE"], "{shown}");
    assert!(shown.contains("nightly   0 3 * * *   3 "), "{shown}");
    let wide = kubectl.run("get crontabs -o wide").await?;
    assert!(wide.contains("cleanup:v1"), "{wide}");
    assert!(kubectl.run("get all").await?.contains("crontab.stable.example.com/nightly"));
    let selected = kubectl.run("get ct --field-selector spec.image=cleanup:v1 -o name").await?;
    assert_eq!(selected.trim(), "crontab.stable.example.com/nightly");
    let none = kubectl.run("get ct --field-selector spec.image=other -o name").await?;
    assert_eq!(none, "");

    kubectl.run("scale --replicas=5 ct/nightly").await?;
    assert_eq!(kubectl.run("get ct nightly -o jsonpath={.spec.replicas}").await?, "5");
    let refused = kubectl.refused("scale --replicas=11 ct/nightly").await?;
    assert!(refused.contains("spec: Invalid value: too many replicas"), "{refused}");
    let refused = kubectl.feed("apply -f -", &OBJECT.replace("0 3 * * *", "daily")).await?;
    assert!(refused.stderr.contains("spec.cronSpec in body should match"), "{}", refused.stderr);
    let odd = OBJECT.replace("replicas: 2", "replica: 2");
    let refused =
        kubectl.feed("create --dry-run=server -f -", &odd.replace("nightly", "odd")).await?;
    assert!(
        refused.stderr.contains(r#"strict decoding error: unknown field "spec.replica""#),
        "{}",
        refused.stderr
    );
    kubectl
        .run("patch ct nightly --subresource=status --type=merge -p {\"status\":{\"replicas\":5}}")
        .await?;
    kubectl.run("label ct nightly a=b").await?;
    assert_eq!(kubectl.run("get ct nightly -o jsonpath={.status.replicas}").await?, "5");

    kubectl.run("delete crd crontabs.stable.example.com --timeout=60s").await?;
    let refused = kubectl.refused("get ct").await?;
    // What kubectl says depends on how old its list of kinds is.
    let gone = ["the server doesn't have a resource type", "could not find the requested resource"];
    assert!(gone.iter().any(|text| refused.contains(text)), "{refused}");
    // Defined anew, it has none of its old objects.
    kubectl.apply(DEFINITION).await?;
    kubectl
        .run("wait --for=condition=established --timeout=30s crd/crontabs.stable.example.com")
        .await?;
    assert_eq!(kubectl.run("get ct -o name").await?, "");
    Ok(())
}

#[tokio::test]
async fn custom_resources_own_and_are_owned() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.apply(DEFINITION).await?;
    kubectl
        .run("wait --for=condition=established --timeout=30s crd/crontabs.stable.example.com")
        .await?;
    kubectl.run("create namespace other").await?;
    kubectl.feed("apply -n other -f -", OBJECT).await?;
    kubectl.apply(OBJECT).await?;
    let uid = kubectl.run("get ct nightly -o jsonpath={.metadata.uid}").await?;
    kubectl
        .apply(&format!(
            "
apiVersion: v1
kind: ConfigMap
metadata:
  name: owned
  ownerReferences: [{{apiVersion: stable.example.com/v1, kind: CronTab, name: nightly, uid: {uid}}}]
"
        ))
        .await?;
    // The garbage collector knows the kind at once: its dependents are neither lost nor kept.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    kubectl.run("get configmap owned").await?;
    kubectl.run("delete ct nightly").await?;
    kubectl.until("get configmaps -o name", |names| !names.contains("owned")).await?;
    kubectl.run("delete namespace other --timeout=60s").await?;
    assert_eq!(kubectl.run("get ct -A -o name").await?, "");
    Ok(())
}
