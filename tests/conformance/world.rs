//! The shared cluster, and how a test speaks to it: plain JSON over the client's connection.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use harness::{Cluster, Options};
use http::{Method, Request, header};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

/// How often something awaited is looked for, and how many times.
const PAUSE: Duration = Duration::from_millis(100);
const TRIES: usize = 300;

/// A merge patch, a JSON patch, a strategic merge patch.
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const JSON: &str = "application/json-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// A server-side apply.
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// The kubeconfig of the process's cluster, which lives on a thread of its own: a test's runtime
/// ends with the test.
fn kubeconfig() -> Result<&'static Kubeconfig> {
    static CLUSTER: OnceLock<Result<Kubeconfig, String>> = OnceLock::new();
    let started = CLUSTER.get_or_init(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Runtime::new() else { return };
            runtime.block_on(async move {
                let options = Options { ends_with_us: true, ..Options::default() };
                let cluster = Cluster::start_with(options).await;
                let read = cluster.as_ref().map_err(|error| format!("{error:#}")).and_then(|one| {
                    Kubeconfig::read_from(one.kubeconfig()).map_err(|error| error.to_string())
                });
                let _ = sender.send(read);
                std::future::pending::<()>().await;
            });
        });
        receiver.recv().map_err(|_| "the cluster did not start".to_owned())?
    });
    started.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// `/api/v1` or `/apis/<group>/<version>`.
pub(crate) fn base(group_version: &str) -> String {
    if group_version == "v1" { "/api/v1".into() } else { format!("/apis/{group_version}") }
}

/// The path of a resource without a namespace, or across all.
pub(crate) fn all(group_version: &str, resource: &str) -> String {
    format!("{}/{resource}", base(group_version))
}

/// An answer of whatever code.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) content_type: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text).with_context(|| format!("no JSON: {self:?}"))
    }
}

/// A test's caller and its namespace.
pub(crate) struct World {
    pub(crate) client: kube::Client,
    pub(crate) namespace: String,
}

impl World {
    pub(crate) async fn new() -> Result<Self> {
        let mut config = kube::Config::from_custom_kubeconfig(
            kubeconfig()?.clone(),
            &KubeConfigOptions::default(),
        )
        .await?;
        // A refusal is an answer, also one that asks to come back.
        config.default_retry = false;
        let client = kube::Client::try_from(config)?;
        let mut world = Self { client, namespace: String::new() };
        let body = json!({"metadata": {"generateName": "conformance-"}});
        let namespace = world.post("/api/v1/namespaces", &body).await?;
        world.namespace = name(&namespace);
        // Pods are refused until the namespace has its service account.
        world.until(&world.path("v1", "serviceaccounts/default"), |_| true).await?;
        Ok(world)
    }

    /// The path of a resource in the test's namespace.
    pub(crate) fn path(&self, group_version: &str, resource: &str) -> String {
        format!("{}/namespaces/{}/{resource}", base(group_version), self.namespace)
    }

    /// A name or a group that no other test uses.
    pub(crate) fn unique(&self, name: &str) -> String {
        format!("{name}-{}", self.namespace)
    }

    pub(crate) async fn send(&self, request: Request<Vec<u8>>) -> Result<Answer> {
        let response = self.client.send(request.map(Body::from)).await?;
        let headers = response.headers();
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let warnings = headers.get_all(header::WARNING).iter();
        let warnings =
            warnings.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
        let code = response.status().as_u16();
        let bytes = tokio::time::timeout(Duration::from_secs(60), response.into_body().collect())
            .await
            .context("an answer did not end")??
            .to_bytes();
        Ok(Answer { code, content_type, warnings, text: String::from_utf8_lossy(&bytes).into() })
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, content_type)
            .body(body.into())?;
        self.send(request).await
    }

    async fn succeed(&self, method: Method, path: &str, kind: &str, body: &Value) -> Result<Value> {
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        let answer = self.call(method.clone(), path, kind, bytes).await?;
        ensure!(answer.code < 300, "{method} {path} {body}: {} {}", answer.code, answer.text);
        answer.json()
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.succeed(Method::GET, path, "application/json", &Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.succeed(Method::POST, path, "application/json", body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.succeed(Method::PUT, path, "application/json", body).await
    }

    pub(crate) async fn patch(&self, path: &str, kind: &str, body: Value) -> Result<Value> {
        self.succeed(Method::PATCH, path, kind, &body).await
    }

    pub(crate) async fn merge(&self, path: &str, body: Value) -> Result<Value> {
        self.patch(path, MERGE, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        self.succeed(Method::DELETE, path, "application/json", &Value::Null).await
    }

    pub(crate) async fn delete_with(&self, path: &str, options: Value) -> Result<Value> {
        self.succeed(Method::DELETE, path, "application/json", &options).await
    }

    /// The message of the `Status` that a request must be refused with.
    pub(crate) async fn refused(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        (code, reason): (u16, &str),
    ) -> Result<String> {
        let kind = if method == Method::PATCH { MERGE } else { "application/json" };
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        let answer = self.call(method.clone(), path, kind, bytes).await?;
        ensure!(answer.code == code, "{method} {path}: {} {}", answer.code, answer.text);
        let status = answer.json()?;
        ensure!(status["reason"] == reason, "{method} {path}: {status}");
        Ok(status["message"].as_str().unwrap_or_default().to_owned())
    }

    /// Changes the object at `path` as `change` says, again whenever somebody else was faster.
    pub(crate) async fn update(&self, path: &str, change: impl Fn(&mut Value)) -> Result<Value> {
        for _ in 0..20 {
            let mut object = self.get(path.trim_end_matches("/status")).await?;
            change(&mut object);
            let body = serde_json::to_vec(&object)?;
            let answer = self.call(Method::PUT, path, "application/json", body).await?;
            match answer.code {
                409 => continue,
                code if code < 300 => return answer.json(),
                _ => bail!("PUT {path} {object}: {answer:?}"),
            }
        }
        bail!("{path} changes too often to be updated")
    }

    /// What is at `path` as soon as it is there and `done`.
    pub(crate) async fn until(&self, path: &str, done: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = String::new();
        for _ in 0..TRIES {
            let answer = self.call(Method::GET, path, "application/json", "").await?;
            last = answer.text.clone();
            if answer.code == 200 {
                let value = answer.json()?;
                if done(&value) {
                    return Ok(value);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("{path} never became what was awaited: {last}")
    }

    /// Waits until there is nothing at `path`.
    pub(crate) async fn gone(&self, path: &str) -> Result<()> {
        for _ in 0..TRIES {
            if self.call(Method::GET, path, "application/json", "").await?.code == 404 {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("{path} is still there: {}", self.get(path).await?)
    }

    /// The items of a list as soon as they are `count`.
    pub(crate) async fn items(&self, path: &str, count: usize) -> Result<Vec<Value>> {
        let list = self.until(path, |list| items(list).len() == count).await?;
        Ok(items(&list).to_vec())
    }

    /// A watch of `path`, which must have a query.
    pub(crate) async fn watch(&self, path: &str) -> Result<Watch> {
        let request = Request::get(format!("{path}&watch=true")).body(Body::empty())?;
        let response = self.client.send(request).await?;
        ensure!(response.status() == 200, "watching {path}: {}", response.status());
        Ok(Watch { body: response.into_body(), buffer: Vec::new() })
    }

    /// A watch of everything at `path` that `selector` selects, from now on.
    pub(crate) async fn watch_from_now(&self, path: &str, selector: &str) -> Result<Watch> {
        let list = self.get(&format!("{path}?{selector}")).await?;
        let version = list["metadata"]["resourceVersion"].as_str().context("a version")?;
        self.watch(&format!("{path}?{selector}&resourceVersion={version}")).await
    }
}

/// The events of a watch.
pub(crate) struct Watch {
    body: Body,
    buffer: Vec<u8>,
}

impl Watch {
    /// The next event; none at the watch's end.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            let frame = tokio::time::timeout(Duration::from_secs(30), self.body.frame());
            match frame.await.context("no event came in time")? {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    /// The next event that is no bookmark: its type and its object.
    pub(crate) async fn event(&mut self) -> Result<(String, Value)> {
        loop {
            let mut event = self.next().await?.context("the watch ended")?;
            let kind = event["type"].as_str().unwrap_or_default().to_owned();
            if kind != "BOOKMARK" {
                return Ok((kind, event["object"].take()));
            }
        }
    }

    /// The object of the first event of the type `kind` that is `wanted`.
    pub(crate) async fn until(
        &mut self,
        kind: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        loop {
            let (found, object) = self.event().await?;
            if found == kind && wanted(&object) {
                return Ok(object);
            }
        }
    }
}

/// An object's name.
pub(crate) fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// A list's items.
pub(crate) fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

/// The names of a list's items.
pub(crate) fn names(list: &[Value]) -> Vec<String> {
    list.iter().map(name).collect()
}

/// A condition of an object's status.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    object["status"]["conditions"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["type"] == kind))
        .unwrap_or(&Value::Null)
}

/// A pod that runs until it is deleted.
pub(crate) fn pod(name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "pause"}]},
    })
}

/// What an object of `apps/v1` with pods that run for ever consists of.
pub(crate) fn workload(kind: &str, name: &str, replicas: i64) -> Value {
    let mut template = pod("ignored", json!({"app": name}));
    let metadata = json!({"labels": template["metadata"]["labels"].take()});
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": metadata, "spec": template["spec"].take()},
        },
    });
    match kind {
        "StatefulSet" => object["spec"]["serviceName"] = name.into(),
        "ReplicationController" => {
            object["apiVersion"] = "v1".into();
            object["spec"]["selector"] = json!({"app": name});
        }
        "DaemonSet" => {
            object["spec"].as_object_mut().map(|spec| spec.remove("replicas"));
        }
        _ => {}
    }
    object
}
