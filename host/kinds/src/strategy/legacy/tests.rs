use serde_json::{Value, json};

use super::*;
use crate::{Conversion, Kind};

fn of(kind: &str) -> Version {
    versions().into_iter().find(|version| &*version.names.kind == kind).unwrap()
}

/// What is stored of a body, and what its version shows of that.
async fn both(kind: &str, body: Value) -> (Value, Value) {
    let version = of(kind);
    let decoded = version.decode(&serde_json::to_vec(&body).unwrap()).unwrap();
    assert_eq!(decoded.complaints, Vec::<String>::new());
    let mut object = decoded.object;
    version.default(&mut *object);
    let stored = object.json().unwrap();
    let shown = version.from_hub(vec![stored.clone().into()]).await.unwrap().remove(0);
    (serde_json::from_slice(&stored).unwrap(), serde_json::from_slice(&shown).unwrap())
}

fn template() -> Value {
    json!({ "metadata": { "labels": { "app": "a" } }, "spec": { "containers": [{ "name": "a", "image": "b" }] } })
}

#[tokio::test]
async fn pet_sets() {
    let body = json!({ "apiVersion": "apps/v1alpha1", "kind": "PetSet", "metadata": { "name": "web" },
        "spec": { "serviceName": "nginx", "replicas": 2, "template": template() } });
    let (stored, shown) = both("PetSet", body).await;
    assert_eq!(
        (&stored["apiVersion"], &stored["kind"]),
        (&json!("apps/v1"), &json!("StatefulSet"))
    );
    assert_eq!(stored["spec"]["selector"], json!({ "matchLabels": { "app": "a" } }));
    assert_eq!(stored["spec"]["updateStrategy"], json!({ "type": "OnDelete" }));
    assert_eq!((&shown["apiVersion"], &shown["kind"]), (&json!("apps/v1alpha1"), &json!("PetSet")));
    assert_eq!(shown["spec"]["replicas"], 2);
}

#[tokio::test]
async fn scheduled_jobs() {
    let body = json!({ "kind": "ScheduledJob", "metadata": { "name": "a" }, "spec": {
        "schedule": "0 0 * * *", "jobTemplate": { "spec": { "template": template() } } } });
    let (stored, shown) = both("ScheduledJob", body).await;
    assert_eq!((&stored["apiVersion"], &stored["kind"]), (&json!("batch/v1"), &json!("CronJob")));
    assert_eq!(shown["apiVersion"], "batch/v2alpha1");
    assert_eq!(shown["spec"]["concurrencyPolicy"], "Allow");
}

#[tokio::test]
async fn old_deployments() {
    let body = json!({ "metadata": { "name": "a" }, "spec": { "template": template() } });
    let (stored, shown) = both("Deployment", body.clone()).await;
    assert_eq!(stored["metadata"]["labels"], json!({ "app": "a" }));
    assert_eq!(
        stored["spec"]["strategy"],
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 1 } })
    );
    assert_eq!(stored["spec"]["progressDeadlineSeconds"], i32::MAX);
    assert_eq!(shown["apiVersion"], "extensions/v1beta1");
    let (stored, _) = both("ReplicaSet", body.clone()).await;
    assert_eq!(stored["spec"]["selector"], json!({ "matchLabels": { "app": "a" } }));
    let (stored, _) = both("DaemonSet", body).await;
    assert_eq!(stored["spec"]["updateStrategy"], json!({ "type": "OnDelete" }));
    let rolled = json!({ "metadata": { "name": "a" }, "spec": { "template": template(), "rollbackTo": { "revision": 1 } } });
    let decoded = of("Deployment").decode(&serde_json::to_vec(&rolled).unwrap()).unwrap();
    assert_eq!(decoded.complaints, ["unknown field \"spec.rollbackTo\""]);
}

#[tokio::test]
async fn old_ingresses() {
    let rules = json!([{ "host": "h", "http": { "paths": [
        { "path": "/", "backend": { "serviceName": "s", "servicePort": "http" } },
    ] } }]);
    let body = json!({ "apiVersion": "extensions/v1beta1", "kind": "Ingress", "metadata": { "name": "a" },
        "spec": { "backend": { "serviceName": "d", "servicePort": 80 }, "rules": rules } });
    let (stored, shown) = both("Ingress", body).await;
    assert_eq!(
        stored["spec"]["defaultBackend"],
        json!({ "service": { "name": "d", "port": { "number": 80 } } })
    );
    let path = &stored["spec"]["rules"][0]["http"]["paths"][0];
    assert_eq!(path["pathType"], "ImplementationSpecific");
    assert_eq!(path["backend"]["service"]["port"], json!({ "name": "http" }));
    assert_eq!(shown["spec"]["backend"], json!({ "serviceName": "d", "servicePort": 80 }));
    assert_eq!(
        shown["spec"]["rules"][0]["http"]["paths"][0]["backend"],
        json!({ "serviceName": "s", "servicePort": "http" })
    );
}
