//! One kind in several versions: kept once, shown in each.

use serde_json::json;

use super::{Server, version};

const V1: &str = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
const V2: &str = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";

#[tokio::test(start_paused = true)]
async fn every_verb_speaks_the_version_that_it_is_asked_in() {
    let server = Server::new().await;
    let body = json!({
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "a", "labels": { "a": "b" } },
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": { "kind": "Deployment", "name": "d" },
            "targetCPUUtilizationPercentage": 50,
        },
    });
    let made = server.post(V1, body).await.is(201);
    assert_eq!(made["apiVersion"], "autoscaling/v1");
    assert_eq!(made["spec"]["targetCPUUtilizationPercentage"], 50);
    assert_eq!(made["spec"]["minReplicas"], 1);
    let stored = server.get(&format!("{V2}/a")).await.is(200);
    assert_eq!(stored["apiVersion"], "autoscaling/v2");
    assert_eq!(stored["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50);
    assert_eq!(version(&stored), version(&made));

    // A patch is about the form that its sender sees.
    let patch = json!({ "spec": { "targetCPUUtilizationPercentage": 60 } });
    let patched = server.patch(&format!("{V1}/a"), "merge-patch", patch).await.is(200);
    assert_eq!(patched["spec"]["targetCPUUtilizationPercentage"], 60);
    let list = server.get(V1).await.is(200);
    assert_eq!((&list["apiVersion"], &list["items"][0]), (&json!("autoscaling/v1"), &patched));
    assert_eq!(server.get(V2).await.is(200)["items"][0]["apiVersion"], "autoscaling/v2");

    let mut replaced = patched.clone();
    replaced["spec"]["maxReplicas"] = json!(0);
    let message = server.put(&format!("{V1}/a"), &replaced).await.fails(422, "Invalid");
    assert!(
        message.starts_with("HorizontalPodAutoscaler.autoscaling \"a\" is invalid: "),
        "{message}"
    );
    replaced["spec"]["maxReplicas"] = json!(9);
    let replaced = server.put(&format!("{V1}/a"), &replaced).await.is(200);
    assert_eq!(replaced["apiVersion"], "autoscaling/v1");

    let status = json!({ "status": { "currentReplicas": 1, "desiredReplicas": 1,
        "currentCPUUtilizationPercentage": 7 } });
    let status = server.patch(&format!("{V1}/a/status"), "merge-patch", status).await.is(200);
    assert_eq!(status["status"]["currentCPUUtilizationPercentage"], 7);

    let watched = server.get(&format!("{V1}?watch=true&timeoutSeconds=1")).await.text();
    assert!(
        watched.contains(r#""type":"ADDED""#) && watched.contains("autoscaling/v1"),
        "{watched}"
    );
    assert!(!watched.contains("autoscaling/v2"), "{watched}");
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let table = server.accept(V1, table).await.is(200);
    assert_eq!(table["rows"][0]["cells"][1], "Deployment/d");
    assert_eq!(table["rows"][0]["cells"][2], "cpu: 7%/60%");

    let wrong = server.put(&format!("{V1}/a"), &stored).await.fails(400, "BadRequest");
    assert!(wrong.contains("does not match the expected API version (autoscaling/v1)"), "{wrong}");
    let gone = server.delete(&format!("{V1}/a")).await.is(200);
    assert_eq!(gone["status"], "Success");
    server.get(&format!("{V2}/a")).await.fails(404, "NotFound");
}

#[tokio::test]
async fn discovery_prefers_the_newer_and_knows_what_is_stored() {
    let server = Server::new().await;
    let group = server.get("/apis/autoscaling").await.is(200);
    assert_eq!(group["preferredVersion"]["version"], "v2");
    let hash = async |version: &str| {
        let list = server.get(&format!("/apis/autoscaling/{version}")).await.is(200);
        list["resources"][0]["storageVersionHash"].as_str().unwrap().to_owned()
    };
    assert_eq!(hash("v1").await, hash("v2").await);
    let apps = server.get("/apis/apps/v1").await.is(200);
    let deployments = apps["resources"].as_array().unwrap().iter();
    let deployments = deployments.clone().find(|one| one["name"] == "deployments").unwrap();
    // As a Kubernetes of many years tells it.
    assert_eq!(deployments["storageVersionHash"], "8aSe+NMegvE=");
}

#[tokio::test]
async fn versions_of_old_are_forms_of_what_lives_on() {
    let server = Server::new().await;
    let pets = "/apis/apps/v1alpha1/namespaces/default/petsets";
    let template = json!({
        "metadata": { "labels": { "app": "web" }, "annotations": {
            "pod.alpha.kubernetes.io/init-containers": "[{\"name\":\"init\",\"image\":\"fetch:v1\"}]" } },
        "spec": { "containers": [{ "name": "main", "image": "hello:v1" }] },
    });
    let body = json!({ "apiVersion": "apps/v1alpha1", "kind": "PetSet", "metadata": { "name": "web" },
        "spec": { "serviceName": "nginx", "template": template } });
    let made = server.post(pets, body).await.is(201);
    assert_eq!((&made["kind"], &made["apiVersion"]), (&json!("PetSet"), &json!("apps/v1alpha1")));
    let sets = "/apis/apps/v1/namespaces/default/statefulsets/web";
    let stored = server.get(sets).await.is(200);
    assert_eq!((&stored["kind"], version(&stored)), (&json!("StatefulSet"), version(&made)));
    let pod = &stored["spec"]["template"];
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "init");
    assert!(pod["metadata"].get("annotations").is_none());
    let scale = json!({ "spec": { "replicas": 3 } });
    server.patch(&format!("{pets}/web/scale"), "merge-patch", scale).await.is(200);
    assert_eq!(server.get(&format!("{pets}/web")).await.is(200)["spec"]["replicas"], 3);
    assert_eq!(server.get(pets).await.is(200)["kind"], "PetSetList");
    server.delete(&format!("{pets}/web")).await.is(200);
    server.get(sets).await.fails(404, "NotFound");

    let wrong = json!({
        "metadata": { "name": "a", "annotations": { "pod.beta.kubernetes.io/init-containers": "[{]" } },
        "spec": { "containers": [{ "name": "main", "image": "hello:v1" }] },
    });
    let message = server.post(super::PODS, wrong).await.fails(400, "BadRequest");
    assert!(message.contains("annotation pod.beta.kubernetes.io/init-containers: "), "{message}");
    let group = server.get("/apis/apps").await.is(200);
    assert_eq!(group["preferredVersion"]["version"], "v1");
    server.get("/apis/extensions/v1beta1").await.is(200);
}
