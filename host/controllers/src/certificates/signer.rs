//! Requests that were approved are signed with the cluster's authority, by the rules of the signer
//! that they name (`pkg/controller/certificates/signer`).

use std::time::Duration;

use async_trait::async_trait;
use coracle_api::clock;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::Api;
use kube::api::PostParams;

use super::authority::{Authority, Policy};
use super::request::Requested;
use super::{CLIENT, KUBELET_CLIENT, KUBELET_SERVING, has, issued, with_condition};
use crate::context::Context;
use crate::error::{Error, Result, While};
use crate::runner::{Key, Next, Reconcile};

/// What a certificate lives at most, and unless its request says otherwise.
const LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// What it lives at least.
const SHORTEST: Duration = Duration::from_secs(10 * 60);

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("certificate_signer");
    context.informers.certificate_requests.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(request) = &change.new {
                queue.add(Key::of(&**request));
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, 1, Signer { context: context.clone() });
    Box::pin(async move {
        waiting.informers.certificate_requests.synced().await;
        runner.run().await;
    })
}

struct Signer {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for Signer {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, options, .. } = &self.context;
        // Without an authority certificates are made by somebody else, or by nobody.
        let Some(authority) = &options.authority else { return Ok(Next::Wait) };
        let Some(request) = informers.certificate_requests.get(key) else { return Ok(Next::Wait) };
        let pending =
            has(&request, "Approved") && !has(&request, "Denied") && !has(&request, "Failed");
        let Some(rule) = rule(&request.spec.signer_name) else { return Ok(Next::Wait) };
        if !pending || !issued(&request).is_empty() {
            return Ok(Next::Wait);
        }
        let asked = Requested::read(&request.spec.request.0)?;
        let answer = match rule(&asked, request.spec.usages.as_deref().unwrap_or_default()) {
            Err(why) => with_condition(&request, "Failed", "SignerValidationFailure", &why),
            Ok(()) => signed(authority, &request, &asked)?,
        };
        let api = Api::<CertificateSigningRequest>::all(client.clone());
        let written = api.replace_status(&key.name, &PostParams::default(), &answer).await;
        informers.certificate_requests.observe(written.doing("signing a certificate")?);
        Ok(Next::Wait)
    }
}

fn signed(
    authority: &Authority,
    request: &CertificateSigningRequest,
    asked: &Requested,
) -> Result<CertificateSigningRequest> {
    let usages = request.spec.usages.as_deref().unwrap_or_default();
    let life = life(request.spec.expiration_seconds);
    let policy = Policy { usages, life, now: clock::now() };
    let certificate = authority.sign(asked, &policy);
    let certificate =
        certificate.map_err(|why| Error::Invalid(format!("error auto signing csr: {why}")))?;
    let mut changed = request.clone();
    changed.status.get_or_insert_default().certificate = Some(ByteString(certificate.into_bytes()));
    Ok(changed)
}

fn life(seconds: Option<i32>) -> Duration {
    let Some(seconds) = seconds else { return LIFE };
    Duration::from_secs(seconds.try_into().unwrap_or_default()).clamp(SHORTEST, LIFE)
}

/// Why a request is none that its signer signs.
type Rule = fn(&Requested, &[String]) -> Result<(), String>;

fn rule(signer: &str) -> Option<Rule> {
    Some(match signer {
        CLIENT => |_, usages| check_client(usages),
        KUBELET_CLIENT => Requested::check_kubelet_client,
        KUBELET_SERVING => Requested::check_kubelet_serving,
        _ => return None,
    })
}

fn check_client(usages: &[String]) -> Result<(), String> {
    let allowed = ["client auth", "digital signature", "key encipherment"];
    if let Some(usage) = usages.iter().find(|usage| !allowed.contains(&usage.as_str())) {
        return Err(format!("invalid usage for client certificate: {usage}"));
    }
    if usages.iter().any(|usage| usage == "client auth") {
        return Ok(());
    }
    Err("missing required usage for client certificate: client auth".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_certificates_are_for_clients() {
        for (usages, expected) in [
            (&["client auth"][..], None),
            (&["key encipherment", "client auth", "digital signature"], None),
            (
                &["digital signature"],
                Some("missing required usage for client certificate: client auth"),
            ),
            (
                &["client auth", "server auth"],
                Some("invalid usage for client certificate: server auth"),
            ),
        ] {
            let usages: Vec<String> = usages.iter().map(|usage| (*usage).to_owned()).collect();
            assert_eq!(check_client(&usages).err().as_deref(), expected, "{usages:?}");
        }
    }

    #[test]
    fn certificates_live_as_long_as_asked_within_bounds() {
        for (asked, seconds) in [
            (None, 365 * 24 * 3600),
            (Some(3600), 3600),
            (Some(1), 600),
            (Some(i32::MAX), 365 * 24 * 3600),
        ] {
            assert_eq!(life(asked).as_secs(), seconds, "{asked:?}");
        }
    }
}
