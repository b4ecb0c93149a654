//! Tokens of a pod's service account, asked of the API and renewed before they expire.

use std::time::Duration;

use coracle_api::clock;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::Instant;

/// No token is kept longer than this.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// A token is kept this long even if its lifetime cannot be understood.
const MIN_AGE: Duration = Duration::from_secs(10);

/// A token, and when it is time for the next.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) renew: Instant,
}

/// A new token for the pod's service account, bound to the pod.
pub(super) async fn request(
    client: &Client,
    pod: &Pod,
    audience: &str,
    seconds: i64,
) -> Result<Token, kube::Error> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    let account = account.unwrap_or_else(|| "default".to_owned());
    let wanted = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: (!audience.is_empty()).then(|| vec![audience.to_owned()]),
            expiration_seconds: Some(seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Pod".into()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
        }),
        ..Default::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let given: TokenRequest =
        accounts.create_subresource("token", &account, &PostParams::default(), &wanted).await?;
    let status = given.status.unwrap_or_default();
    let expires = status.expiration_timestamp.map_or_else(clock::now, |time| time.0);
    let life = Duration::try_from(expires.duration_since(clock::now())).unwrap_or_default();
    let renew = Instant::now() + life.mul_f64(0.8).clamp(MIN_AGE, MAX_AGE);
    Ok(Token { text: status.token.unwrap_or_default(), renew })
}
