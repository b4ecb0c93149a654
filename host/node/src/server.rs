//! The kubelet's API: container logs, the node's pods, statistics. Authentication is the business
//! of whoever serves the router.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use coracle_api::clock;
use coracle_sandbox::Stdio;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use crate::logs::{LogName, Options, Reader};
use crate::{Node, metrics};

/// The routes of the agent of `node`.
pub(crate) fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/pods", get(list_pods))
        .route("/stats/summary", get(stats))
        .route("/metrics/resource", get(resource_metrics))
        .route("/containerLogs/{namespace}/{pod}/{container}", get(container_logs))
        .with_state(node)
}

async fn list_pods(State(node): State<Arc<Node>>) -> Response {
    let pods: Vec<Arc<Pod>> = node.registry.all().into_iter().map(|known| known.pod).collect();
    let items: Vec<&Pod> = pods.iter().map(Arc::as_ref).collect();
    Json(json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
        .into_response()
}

async fn stats(State(node): State<Arc<Node>>) -> Response {
    Json(metrics::summary(&node)).into_response()
}

async fn resource_metrics(State(node): State<Arc<Node>>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics::resource(&node)).into_response()
}

/// The query of a request for logs, as `PodLogOptions` spells it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LogQuery {
    follow: Option<String>,
    previous: Option<String>,
    timestamps: Option<String>,
    tail_lines: Option<i64>,
    since_seconds: Option<i64>,
    since_time: Option<Timestamp>,
    limit_bytes: Option<i64>,
    stream: Option<String>,
}

/// A refusal of a request for logs.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, message.into())
}

/// A flag of a query: there without a value means yes.
fn flag(value: &Option<String>) -> bool {
    value.as_deref().is_some_and(|value| matches!(value, "" | "1" | "true" | "True" | "t"))
}

impl LogQuery {
    fn options(&self) -> Result<Options, Refusal> {
        let natural = |name: &str, value: Option<i64>, least: i64| match value {
            Some(value) if value < least => {
                Err(bad(format!("{name}: Invalid value: {value}: must be at least {least}")))
            }
            value => Ok(value.and_then(|value| u64::try_from(value).ok())),
        };
        if self.since_seconds.is_some() && self.since_time.is_some() {
            return Err(bad("at most one of sinceTime or sinceSeconds may be specified"));
        }
        let seconds = natural("sinceSeconds", self.since_seconds, 1)?;
        let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
        let ago = seconds
            .and_then(|seconds| clock::now().checked_sub(SignedDuration::from_secs(seconds)).ok());
        Ok(Options {
            tail: natural("tailLines", self.tail_lines, 0)?,
            since: self.since_time.or(ago),
            timestamps: flag(&self.timestamps),
            limit_bytes: natural("limitBytes", self.limit_bytes, 1)?,
            stream: match self.stream.as_deref() {
                None | Some("" | "All") => None,
                Some("Stdout") => Some(Stdio::Stdout),
                Some("Stderr") => Some(Stdio::Stderr),
                Some(other) => {
                    return Err(bad(format!("stream: Unsupported value: {other:?}")));
                }
            },
            follow: flag(&self.follow),
        })
    }
}

async fn container_logs(
    State(node): State<Arc<Node>>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Refusal> {
    let options = query.options()?;
    let known = node.registry.find(&namespace, &pod).ok_or_else(|| {
        Refusal(StatusCode::NOT_FOUND, format!("pod {pod:?} does not exist in {namespace:?}"))
    })?;
    let instance = instance(&known.pod, &container, flag(&query.previous))?;
    let uid = known.pod.metadata.uid.clone().unwrap_or_default();
    let name = LogName::new(&node.pod_directory(&uid).join(&container), instance);
    let mut reader = Reader::new(&node.logs, name, options);
    let sought = tokio::task::spawn_blocking(move || reader.seek().map(|()| reader)).await;
    let reader = match sought {
        Ok(Ok(reader)) => reader,
        Ok(Err(error)) => return Err(internal(&error)),
        Err(error) => return Err(internal(&error)),
    };
    let stream = futures::stream::try_unfold(reader, |reader| async move { reader.next().await });
    Ok(([(header::CONTENT_TYPE, "text/plain")], Body::from_stream(stream)).into_response())
}

fn internal(error: &dyn std::error::Error) -> Refusal {
    Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("reading the log: {error}"))
}

/// The number of the container instance whose log is asked for.
fn instance(pod: &Pod, container: &str, previous: bool) -> Result<i32, Refusal> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let spec = pod.spec.as_ref();
    let mut containers = spec
        .into_iter()
        .flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    if !containers.any(|known| known.name == container) {
        let message = format!("container {container} is not valid for pod {name}");
        return Err(bad(message));
    }
    let statuses = pod.status.iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    });
    let status: Option<&ContainerStatus> =
        statuses.into_iter().find(|status| status.name == container);
    let Some(status) = status else {
        return Err(bad(format!("container {container:?} in pod {name:?} is not available")));
    };
    let state = status.state.clone().unwrap_or_default();
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    if previous {
        return match last {
            // While it waits to be restarted its count is still that of the one that ended.
            Some(_) if state.waiting.is_some() => Ok(status.restart_count),
            Some(_) => Ok(status.restart_count - 1),
            None => Err(bad(format!(
                "previous terminated container {container:?} in pod {name:?} not found"
            ))),
        };
    }
    match state.waiting {
        Some(waiting) if last.is_none() => {
            let reason = waiting.reason.unwrap_or_default();
            Err(bad(match reason.as_str() {
                "ErrImagePull" | "ImagePullBackOff" => format!(
                    "container {container:?} in pod {name:?} is waiting to start: trying and \
                     failing to pull image"
                ),
                _ => {
                    format!("container {container:?} in pod {name:?} is waiting to start: {reason}")
                }
            }))
        }
        _ => Ok(status.restart_count),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "ns"},
            "spec": {"containers": [{"name": "c"}]},
            "status": status,
        }))
        .unwrap()
    }

    fn status(state: Value, last: Value, restarts: i32) -> Value {
        json!({"containerStatuses": [{
            "name": "c", "image": "", "imageID": "", "ready": false, "restartCount": restarts,
            "state": state, "lastState": last,
        }]})
    }

    #[test]
    fn the_instance_is_the_one_that_ran_last() {
        let running = json!({"running": {}});
        let ended = json!({"terminated": {"exitCode": 1}});
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        for (state, last, restarts, previous, expected) in [
            (&running, json!({}), 0, false, Ok(0)),
            (
                &running,
                json!({}),
                0,
                true,
                Err("previous terminated container \"c\" in pod \"web\" not found"),
            ),
            (&running, ended.clone(), 3, false, Ok(3)),
            (&running, ended.clone(), 3, true, Ok(2)),
            (&waiting, ended.clone(), 3, false, Ok(3)),
            (&waiting, ended.clone(), 3, true, Ok(3)),
            (&ended, json!({}), 0, false, Ok(0)),
            (
                &json!({"waiting": {"reason": "ContainerCreating"}}),
                json!({}),
                0,
                false,
                Err("container \"c\" in pod \"web\" is waiting to start: ContainerCreating"),
            ),
        ] {
            let pod = pod(status(state.clone(), last, restarts));
            let found = instance(&pod, "c", previous).map_err(|refusal| refusal.1);
            assert_eq!(found, expected.map_err(str::to_owned), "{state} {previous}");
        }
        let unknown = instance(&pod(json!({})), "x", false).map_err(|refusal| refusal.1);
        assert_eq!(unknown, Err("container x is not valid for pod web".into()));
    }

    #[test]
    fn options_are_checked() {
        let parse = |query: &str| {
            let uri: http::Uri = format!("/?{query}").parse().unwrap();
            let query: Query<LogQuery> = Query::try_from_uri(&uri).unwrap();
            query.0.options()
        };
        let options = parse("follow=true&tailLines=5&timestamps=1&limitBytes=10").ok().unwrap();
        assert!(options.follow && options.timestamps);
        assert_eq!((options.tail, options.limit_bytes), (Some(5), Some(10)));
        let options = parse("sinceTime=2026-01-01T00:00:00Z&stream=Stderr").ok().unwrap();
        assert_eq!(options.since.unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(options.stream, Some(Stdio::Stderr));
        for wrong in ["tailLines=-1", "limitBytes=0", "sinceSeconds=0", "stream=x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
