//! What is written down of requests.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{CONFIGMAPS, Server};
use crate::{Audit, AuditPolicy, AuditSink, Config};

#[derive(Debug, Default)]
struct Lines(Mutex<Vec<Value>>);

impl AuditSink for Lines {
    fn write(&self, event: Vec<u8>) {
        self.0.lock().unwrap().push(serde_json::from_slice(&event).unwrap());
    }
}

impl Lines {
    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: RequestResponse
  omitManagedFields: true
  omitStages: [RequestReceived]
  resources: [{group: '', resources: [configmaps]}]
- level: Metadata
  namespaces: [default]
";

#[tokio::test]
async fn requests_are_written_down_as_the_policy_says() {
    let lines = Arc::new(Lines::default());
    let policy = Arc::new(AuditPolicy::read(POLICY).unwrap());
    let audit = Some(Audit { policy, sink: lines.clone() });
    let server = Server::with(Config { audit, ..Config::default() }).await;
    let written = lines.take();
    let resources: Vec<_> = written.iter().map(|event| &event["objectRef"]["resource"]).collect();
    assert_eq!(resources, ["serviceaccounts", "serviceaccounts"], "namespaces are not told of");

    let map = json!({ "metadata": { "name": "a" }, "data": { "k": "v" } });
    let created = server.post(CONFIGMAPS, map).await;
    created.is(201);
    let written = lines.take();
    let [event] = &written[..] else { panic!("{written:?}") };
    assert_eq!(event["auditID"], created.headers["audit-id"].to_str().unwrap());
    let shown = ["kind", "apiVersion", "level", "stage", "verb", "requestURI", "objectRef"];
    assert_eq!(
        shown.map(|part| event[part].clone()),
        [
            json!("Event"),
            json!("audit.k8s.io/v1"),
            json!("RequestResponse"),
            json!("ResponseComplete"),
            json!("create"),
            json!(CONFIGMAPS),
            json!({ "resource": "configmaps", "namespace": "default", "apiVersion": "v1" }),
        ]
    );
    assert_eq!(event["requestObject"]["data"], json!({ "k": "v" }));
    assert_eq!(event["responseObject"]["metadata"]["uid"], created.json()["metadata"]["uid"]);
    assert_eq!(event["responseStatus"]["code"], 201);
    assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "allow");

    server.get("/api/v1/namespaces/default/pods/none").await.fails(404, "NotFound");
    let written = lines.take();
    let stages: Vec<_> = written.iter().map(|event| event["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["RequestReceived", "ResponseComplete"]);
    let status = json!({
        "metadata": {}, "code": 404, "status": "Failure", "reason": "NotFound",
        "message": "pods \"none\" not found", "details": { "name": "none", "kind": "pods" },
    });
    assert_eq!(written[1]["responseStatus"], status);
    assert!(written[1].get("responseObject").is_none());

    server.get("/api/v1/nodes").await.is(200);
    assert_eq!(lines.take(), Vec::<Value>::new());

    let watch = server.get(&format!("{CONFIGMAPS}?watch=1&timeoutSeconds=1")).await;
    assert_eq!(watch.status, 200);
    let stages: Vec<_> = lines.take().iter().map(|event| event["stage"].clone()).collect();
    assert_eq!(stages, ["ResponseStarted", "ResponseComplete"]);
}
