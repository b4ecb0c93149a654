//! Requests for certificates that are over are taken away
//! (`pkg/controller/certificates/cleaner`).

use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use x509_parser::pem::Pem;

use super::{conditions, issued};
use crate::context::Context;
use crate::error::{Result, While};
use crate::runner::{Key, Next, Reconcile, left};

/// How long a request is kept that was answered.
const ANSWERED: SignedDuration = SignedDuration::from_hours(1);
/// How long one waits for an answer.
const PENDING: SignedDuration = SignedDuration::from_hours(24);

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("certificate_cleaner");
    context.informers.certificate_requests.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(request) = &change.new {
                queue.add(Key::of(&**request));
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, 1, Cleaner { context: context.clone() });
    Box::pin(async move {
        waiting.informers.certificate_requests.synced().await;
        runner.run().await;
    })
}

struct Cleaner {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for Cleaner {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, .. } = &self.context;
        let Some(request) = informers.certificate_requests.get(key) else { return Ok(Next::Wait) };
        let Some(over) = over(&request) else { return Ok(Next::Wait) };
        // Waiting for a fraction of a second would wake this up before it is time.
        if let Some(left) = left(over) {
            return Ok(Next::After(left + Duration::from_secs(1)));
        }
        let only_this = Preconditions { uid: request.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
        let api = Api::<CertificateSigningRequest>::all(client.clone());
        match api.delete(&key.name, &params).await.doing("taking a certificate request away") {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(Next::Wait),
        }
    }
}

/// When nobody needs the request any longer, if that is foreseeable.
fn over(request: &CertificateSigningRequest) -> Option<Timestamp> {
    let certificate = issued(request);
    let mut moments = vec![];
    let conditions = conditions(request);
    if conditions.is_empty() {
        let made = request.metadata.creation_timestamp.as_ref();
        moments.extend(made.map(|made| made.0 + PENDING));
    }
    for condition in conditions {
        let answered = match condition.type_.as_str() {
            "Approved" => !certificate.is_empty(),
            "Denied" | "Failed" => true,
            _ => false,
        };
        let since = condition.last_update_time.as_ref().filter(|_| answered);
        moments.extend(since.map(|since| since.0 + ANSWERED));
        if condition.type_ == "Approved" {
            moments.extend(end(certificate));
        }
    }
    moments.into_iter().min()
}

/// When the certificate ends.
fn end(certificate: &[u8]) -> Option<Timestamp> {
    let block = Pem::iter_from_buffer(certificate).next()?.ok()?;
    let certificate = block.parse_x509().ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn requests_go_when_they_have_served() {
        let key = rcgen::KeyPair::generate().unwrap();
        let ending = |year: i32| {
            let mut parameters = rcgen::CertificateParams::new(vec![]).unwrap();
            parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
            ByteString(parameters.self_signed(&key).unwrap().pem().into_bytes())
        };
        let of = |status: Value| {
            let request: CertificateSigningRequest = serde_json::from_value(json!({
                "metadata": { "name": "r", "creationTimestamp": "2026-01-01T00:00:00Z" },
                "spec": { "request": "", "signerName": "example.com/s" },
                "status": status,
            }))
            .unwrap();
            over(&request).map(|moment| moment.to_string()).unwrap_or_default()
        };
        let since = |kind: &str| {
            json!([{ "type": kind, "status": "True",
                "lastUpdateTime": "2026-01-01T06:00:00Z" }])
        };
        for (status, expected) in [
            (json!({}), "2026-01-02T00:00:00Z"),
            (json!({ "conditions": since("Denied") }), "2026-01-01T07:00:00Z"),
            (json!({ "conditions": since("Failed") }), "2026-01-01T07:00:00Z"),
            (json!({ "conditions": since("Approved") }), ""),
            (
                json!({ "conditions": since("Approved"), "certificate": ending(2030) }),
                "2026-01-01T07:00:00Z",
            ),
            (
                json!({ "conditions": since("Approved"), "certificate": ending(2026) }),
                "2026-01-01T00:00:00Z",
            ),
        ] {
            assert_eq!(of(status.clone()), expected, "{status}");
        }
    }
}
