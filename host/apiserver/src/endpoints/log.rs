//! `log`: what a container has written, fetched from the node that runs it.

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::core::v1::Pod;

use super::Call;
use crate::error::{ApiError, Cause, Reason, Result};
use crate::registry::{Kind, key};
use crate::request::Params;

/// Bytes of a node's refusal that are passed on.
const REFUSAL: usize = 16 << 10;

pub(super) async fn get(call: &Call, kind: &dyn Kind) -> Result<Response<Body>> {
    let (names, target) = (kind.names(), &call.target);
    let entry = call.server.store.get(&key(names, &target.namespace, &target.name)).await?;
    let entry =
        entry.ok_or_else(|| ApiError::not_found(&names.group, &names.plural, &target.name))?;
    let object = kind.restore(&entry.value)?;
    let pod = object.downcast_ref::<Pod>().ok_or_else(ApiError::no_such_path)?;
    validate(&call.params)?;
    let container = container(pod, &target.name, call.params.given("container"))?;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
    if node.is_empty() {
        // Nothing runs yet, so nothing was written.
        return Ok(text(StatusCode::OK, Body::empty()));
    }
    let uri = uri(call, &container);
    let request = Request::get(uri).body(Body::empty()).map_err(ApiError::internal)?;
    let answer = call.server.kubelets.call(node, request).await.map_err(|error| {
        let message = format!("Get logs of {} from node {node:?}: {error}", target.name);
        ApiError::internal(message)
    })?;
    if answer.status().is_success() {
        return Ok(text(StatusCode::OK, answer.into_body()));
    }
    Err(refusal(answer).await)
}

/// Where a kubelet serves the log, with the options that it understands.
fn uri(call: &Call, container: &str) -> String {
    let target = &call.target;
    let mut query = form_urlencoded::Serializer::new(String::new());
    for option in ["sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream"] {
        if let Some(value) = call.params.given(option) {
            query.append_pair(option, value);
        }
    }
    for flag in ["follow", "previous", "timestamps"] {
        if call.params.flag(flag) {
            query.append_pair(flag, "true");
        }
    }
    let path = format!("/containerLogs/{}/{}/{container}", target.namespace, target.name);
    let query = query.finish();
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

fn text(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

async fn refusal(answer: Response<Body>) -> ApiError {
    let status = answer.status();
    let why = Limited::new(answer.into_body(), REFUSAL).collect().await;
    let why = why.map(|why| String::from_utf8_lossy(&why.to_bytes()).trim().to_owned());
    let why = why.unwrap_or_else(|error| error.to_string());
    match status {
        StatusCode::BAD_REQUEST => ApiError::bad_request(why),
        StatusCode::NOT_FOUND => ApiError::new(Reason::NotFound, why),
        _ => ApiError::internal(why),
    }
}

/// The container whose log is meant.
fn container(pod: &Pod, name: &str, asked: Option<&str>) -> Result<String> {
    let spec = pod.spec.as_ref();
    let regular: Vec<_> =
        spec.iter().flat_map(|spec| &spec.containers).map(|c| c.name.as_str()).collect();
    let init: Vec<_> = spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten())
        .map(|c| c.name.as_str())
        .collect();
    let ephemeral: Vec<_> = spec
        .iter()
        .flat_map(|spec| spec.ephemeral_containers.iter().flatten())
        .map(|c| c.name.as_str())
        .collect();
    match asked {
        Some(asked) => {
            if [&regular, &init, &ephemeral].into_iter().any(|names| names.contains(&asked)) {
                return Ok(asked.to_owned());
            }
            let message = format!("container {asked} is not valid for pod {name}");
            Err(ApiError::bad_request(message))
        }
        None => match regular.as_slice() {
            [only] => Ok((*only).to_owned()),
            [] => Err(ApiError::bad_request(format!(
                "a container name must be specified for pod {name}"
            ))),
            several => {
                let mut message = format!(
                    "a container name must be specified for pod {name}, choose one of: [{}]",
                    several.join(" ")
                );
                if !init.is_empty() {
                    message += &format!(" or one of the init containers: [{}]", init.join(" "));
                }
                if !ephemeral.is_empty() {
                    let names = ephemeral.join(" ");
                    message += &format!(" or one of the ephemeral containers: [{names}]");
                }
                Err(ApiError::bad_request(message))
            }
        },
    }
}

/// `ValidatePodLogOptions`.
fn validate(params: &Params) -> Result<()> {
    let mut causes = vec![];
    for (name, least) in [("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)] {
        let Some(given) = params.given(name) else { continue };
        match given.parse::<i64>() {
            Err(_) => {
                return Err(ApiError::bad_request(format!("{name}: {given:?} is no number")));
            }
            Ok(number) if number < least => {
                let detail = format!("must be greater than or equal to {least}");
                causes.push(Cause::invalid(name, number, &detail));
            }
            Ok(_) => {}
        }
    }
    if let Some(time) = params.given("sinceTime") {
        if time.parse::<jiff::Timestamp>().is_err() {
            return Err(ApiError::bad_request(format!("sinceTime: {time:?} is no RFC 3339 time")));
        }
        if params.given("sinceSeconds").is_some() {
            let detail = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            causes.push(Cause::forbidden("", detail));
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid("", "PodLogOptions", "", causes))
}
