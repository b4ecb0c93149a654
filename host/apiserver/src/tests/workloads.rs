//! Workloads and what bounds them: made, scaled, reported on.

use serde_json::{Value, json};

use super::Server;

const CORE: &str = "/api/v1/namespaces/default";
const APPS: &str = "/apis/apps/v1/namespaces/default";
const BATCH: &str = "/apis/batch/v1/namespaces/default";

fn template(policy: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "restartPolicy": policy, "containers": [{ "name": "main", "image": "hello:v1" }] },
    })
}

fn workload(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "web" } },
            "serviceName": "web",
            "template": template("Always"),
        },
    })
}

#[tokio::test]
async fn what_has_replicas_is_scaled() {
    let server = Server::new().await;
    let mut controller = workload("a");
    controller["spec"]["selector"] = json!({ "app": "web" });
    for (path, body) in [
        (format!("{CORE}/replicationcontrollers"), controller),
        (format!("{APPS}/replicasets"), workload("a")),
        (format!("{APPS}/statefulsets"), workload("a")),
        (format!("{APPS}/deployments"), workload("a")),
    ] {
        let made = server.post(&path, body).await.is(201);
        assert_eq!(made["metadata"]["generation"], 1, "{path}");
        let scale = server.get(&format!("{path}/a/scale")).await.is(200);
        assert_eq!(
            (&scale["spec"]["replicas"], &scale["status"]["selector"]),
            (&json!(2), &json!("app=web"))
        );
        let patch = json!({ "spec": { "replicas": 5 } });
        server.patch(&format!("{path}/a/scale"), "merge-patch", patch).await.is(200);
        let scaled = server.get(&format!("{path}/a")).await.is(200);
        assert_eq!(
            (&scaled["spec"]["replicas"], &scaled["metadata"]["generation"]),
            (&json!(5), &json!(2))
        );
        let status = json!({ "status": { "replicas": 1, "readyReplicas": 2 } });
        let status = server.patch(&format!("{path}/a/status"), "merge-patch", status).await;
        let message = status.fails(422, "Invalid");
        assert!(
            message.contains(
                "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"
            ),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_controller_takes_its_labels_from_its_template() {
    let server = Server::new().await;
    let path = format!("{CORE}/replicationcontrollers");
    let body = json!({ "metadata": { "name": "a" }, "spec": { "template": template("Always") } });
    let made = server.post(&path, body).await.is(201);
    assert_eq!(made["spec"]["selector"], json!({ "app": "web" }));
    assert_eq!(made["metadata"]["labels"], json!({ "app": "web" }));
    assert_eq!(made["spec"]["replicas"], 1);
    let bare = json!({ "metadata": { "name": "b" }, "spec": {} });
    let message = server.post(&path, bare).await.fails(422, "Invalid");
    assert_eq!(
        message,
        "ReplicationController \"b\" is invalid: [spec.selector: Required value, spec.template: Required value]"
    );
}

#[tokio::test]
async fn daemon_sets_count_their_templates() {
    let server = Server::new().await;
    let path = format!("{APPS}/daemonsets");
    let count = |set: &Value| {
        let annotations = &set["metadata"]["annotations"];
        annotations["deprecated.daemonset.template.generation"].as_str().unwrap().to_owned()
    };
    let mut body = workload("a");
    body["spec"]
        .as_object_mut()
        .unwrap()
        .retain(|field, _| matches!(&**field, "selector" | "template"));
    let made = server.post(&path, body).await.is(201);
    assert_eq!(
        made["spec"]["updateStrategy"],
        json!({ "type": "RollingUpdate",
        "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 1 } })
    );
    assert_eq!(count(&made), "1");
    let path = format!("{path}/a");
    let patch = json!({ "spec": { "minReadySeconds": 5 } });
    let patched = server.patch(&path, "merge-patch", patch).await.is(200);
    assert_eq!((count(&patched), &patched["metadata"]["generation"]), ("1".into(), &json!(2)));
    let patch = json!({ "spec": { "template": { "spec": { "nodeSelector": { "a": "b" } } } } });
    let patched = server.patch(&path, "merge-patch", patch).await.is(200);
    assert_eq!((count(&patched), &patched["metadata"]["generation"]), ("2".into(), &json!(3)));
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let table = server.accept(&path, table).await.is(200);
    assert_eq!(table["rows"][0]["cells"][6], "a=b");
}

#[tokio::test]
async fn a_stateful_set_keeps_its_claims() {
    let server = Server::new().await;
    let path = format!("{APPS}/statefulsets");
    let mut body = workload("web");
    body["spec"]["volumeClaimTemplates"] = json!([{ "metadata": { "name": "www" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1024Mi" } } } }]);
    let mount = json!([{ "name": "www", "mountPath": "/www" }]);
    body["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = mount;
    let made = server.post(&path, body).await.is(201);
    let claim = &made["spec"]["volumeClaimTemplates"][0];
    assert_eq!(
        (&claim["kind"], &claim["status"]["phase"]),
        (&json!("PersistentVolumeClaim"), &json!("Pending"))
    );
    assert_eq!(
        (&claim["spec"]["volumeMode"], &claim["spec"]["resources"]["requests"]["storage"]),
        (&json!("Filesystem"), &json!("1Gi"))
    );
    assert_eq!(
        made["spec"]["persistentVolumeClaimRetentionPolicy"],
        json!({ "whenDeleted": "Retain", "whenScaled": "Retain" })
    );
    assert_eq!(made["spec"]["podManagementPolicy"], "OrderedReady");
    let patch = json!({ "spec": { "serviceName": "other" } });
    let message =
        server.patch(&format!("{path}/web"), "merge-patch", patch).await.fails(422, "Invalid");
    assert!(
        message.contains("spec: Forbidden: updates to statefulset spec for fields other than"),
        "{message}"
    );
}

#[tokio::test]
async fn jobs_select_their_own_pods() {
    let server = Server::new().await;
    let path = format!("{BATCH}/jobs");
    let body =
        json!({ "metadata": { "generateName": "j-" }, "spec": { "template": template("Never") } });
    let made = server.post(&path, body).await.is(201);
    let (name, uid) = (&made["metadata"]["name"], &made["metadata"]["uid"]);
    let labels = &made["spec"]["template"]["metadata"]["labels"];
    assert_eq!((&labels["job-name"], &labels["batch.kubernetes.io/job-name"]), (name, name));
    assert_eq!(
        (&labels["controller-uid"], &labels["batch.kubernetes.io/controller-uid"]),
        (uid, uid)
    );
    assert_eq!(
        made["spec"]["selector"]["matchLabels"],
        json!({ "batch.kubernetes.io/controller-uid": uid })
    );
    for (field, value) in [
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("completions", json!(1)),
        ("manualSelector", json!(false)),
        ("parallelism", json!(1)),
        ("podReplacementPolicy", json!("TerminatingOrFailed")),
        ("suspend", json!(false)),
    ] {
        assert_eq!(made["spec"][field], value, "{field}");
    }
    let path = format!("{path}/{}", name.as_str().unwrap());
    let patch = json!({ "spec": { "completions": 4 } });
    let message = server.patch(&path, "merge-patch", patch).await.fails(422, "Invalid");
    assert!(
        message.ends_with("spec.completions: Invalid value: 4: field is immutable"),
        "{message}"
    );
    let list =
        server.get(&format!("{BATCH}/jobs?fieldSelector=status.successful%3D0")).await.is(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let table = server.accept(&path, "application/json;as=Table;v=v1;g=meta.k8s.io").await.is(200);
    assert_eq!(
        table["rows"][0]["cells"].as_array().unwrap()[1..3],
        [json!("Running"), json!("0/1")]
    );
}

#[tokio::test]
async fn cron_jobs_have_schedules() {
    let server = Server::new().await;
    let path = format!("{BATCH}/cronjobs");
    let cron = |schedule: &str| {
        json!({ "metadata": { "name": "c" }, "spec": { "schedule": schedule,
            "jobTemplate": { "spec": { "template": template("OnFailure") } } } })
    };
    let message = server.post(&path, cron("61 * * * *")).await.fails(422, "Invalid");
    assert_eq!(
        message,
        "CronJob.batch \"c\" is invalid: spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59): 61"
    );
    let made = server.post(&path, cron("*/5 * * * *")).await.is(201);
    assert_eq!(made["spec"]["concurrencyPolicy"], "Allow");
    assert_eq!(
        (&made["spec"]["successfulJobsHistoryLimit"], &made["spec"]["failedJobsHistoryLimit"]),
        (&json!(3), &json!(1))
    );
    let table = server.accept(&path, "application/json;as=Table;v=v1;g=meta.k8s.io").await.is(200);
    assert_eq!(
        table["rows"][0]["cells"].as_array().unwrap()[..6],
        [
            json!("c"),
            json!("*/5 * * * *"),
            json!("<none>"),
            json!("False"),
            json!(0),
            json!("<none>")
        ]
    );
}

#[tokio::test]
async fn a_quantity_that_is_none_is_no_fault_but_nonsense() {
    let server = Server::new().await;
    let mut body = workload("a");
    let resources = json!({ "requests": { "cpu": "lots" } });
    body["spec"]["template"]["spec"]["containers"][0]["resources"] = resources;
    let message = server.post(&format!("{APPS}/deployments"), body).await.fails(400, "BadRequest");
    assert_eq!(
        message,
        "Deployment in version \"v1\" cannot be handled as a Deployment: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    );
}

#[tokio::test]
async fn budgets_and_bounds() {
    let server = Server::new().await;
    let path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let body = json!({ "metadata": { "name": "b" }, "spec": { "minAvailable": "50%" } });
    let made = server.post(path, body).await.is(201);
    assert_eq!(made["status"]["disruptionsAllowed"], 0);
    let mut stale = made.clone();
    stale["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    server.put(&format!("{path}/b"), &stale).await.fails(422, "Invalid");
    let path = format!("{CORE}/limitranges");
    let body = json!({ "metadata": { "name": "l" }, "spec": { "limits": [{ "type": "Container", "max": { "cpu": "1" } }] } });
    let made = server.post(&path, body).await.is(201);
    assert_eq!(made["spec"]["limits"][0]["defaultRequest"], json!({ "cpu": "1" }));
    let path = format!("{CORE}/resourcequotas");
    let body = json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": "2" } }, "status": { "hard": { "pods": "9" } } });
    let made = server.post(&path, body).await.is(201);
    assert_eq!(made["status"], json!({}));
    let status = json!({ "status": { "hard": { "pods": "2" }, "used": { "pods": "1" } } });
    server.patch(&format!("{path}/q/status"), "merge-patch", status).await.is(200);
    let table = server.accept(&path, "application/json;as=Table;v=v1;g=meta.k8s.io").await.is(200);
    assert_eq!(table["rows"][0]["cells"][1], "pods: 1/2");
    let path = format!("{APPS}/controllerrevisions");
    let body = json!({ "metadata": { "name": "r" }, "revision": 1, "data": { "a": 1 } });
    server.post(&path, body).await.is(201);
    let message = server
        .patch(&format!("{path}/r"), "merge-patch", json!({ "data": { "a": 2 } }))
        .await
        .fails(422, "Invalid");
    assert!(message.ends_with("data: Invalid value: {\"a\":2}: field is immutable"), "{message}");
    let path = format!("{CORE}/podtemplates");
    let body = json!({ "metadata": { "name": "t" }, "template": template("Always") });
    let made = server.post(&path, body).await.is(201);
    assert_eq!(made["template"]["spec"]["dnsPolicy"], "ClusterFirst");
}
