//! Nodes' requests for certificates that they show to the API server are granted to whoever may
//! have them: a node to itself, a bootstrap token to a new node
//! (`pkg/controller/certificates/approver`).

use async_trait::async_trait;
use futures::future::BoxFuture;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::Api;
use kube::api::PostParams;

use super::request::Requested;
use super::{KUBELET_CLIENT, has, issued, with_condition};
use crate::context::Context;
use crate::error::{Error, Result, While};
use crate::runner::{Key, Next, Reconcile};

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("certificate_approver");
    context.informers.certificate_requests.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(request) = &change.new {
                queue.add(Key::of(&**request));
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, 1, Approver { context: context.clone() });
    Box::pin(async move {
        waiting.informers.certificate_requests.synced().await;
        runner.run().await;
    })
}

struct Approver {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for Approver {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, .. } = &self.context;
        let Some(request) = informers.certificate_requests.get(key) else { return Ok(Next::Wait) };
        let decided = has(&request, "Approved") || has(&request, "Denied");
        if decided || !issued(&request).is_empty() || request.spec.signer_name != KUBELET_CLIENT {
            return Ok(Next::Wait);
        }
        let asked = Requested::read(&request.spec.request.0)?;
        let usages = request.spec.usages.as_deref().unwrap_or_default();
        if asked.check_kubelet_client(usages).is_err() {
            return Ok(Next::Wait);
        }
        let own = request.spec.username.as_deref() == Some(&*asked.common_name);
        let ways = [
            (own, "selfnodeclient", "self kubelet client certificate"),
            (true, "nodeclient", "kubelet client certificate"),
        ];
        let mut tried = vec![];
        for (applies, permission, what) in ways {
            if !applies {
                continue;
            }
            tried.push(permission);
            if !self.may(&request, permission).await? {
                continue;
            }
            let message = format!("Auto approving {what} after SubjectAccessReview.");
            let approved = with_condition(&request, "Approved", "AutoApproved", &message);
            let api = Api::<CertificateSigningRequest>::all(client.clone());
            let params = PostParams::default();
            let written = api.replace_subresource("approval", &key.name, &params, &approved).await;
            informers.certificate_requests.observe(written.doing("approving a certificate")?);
            return Ok(Next::Wait);
        }
        // A role may come: it is asked again.
        Err(Error::Unfinished(format!(
            "recognized csr {:?} as {tried:?} but subject access review was not approved",
            key.name
        )))
    }
}

impl Approver {
    /// Whether who asks for the certificate has this permission.
    async fn may(&self, request: &CertificateSigningRequest, permission: &str) -> Result<bool> {
        let spec = &request.spec;
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: spec.username.clone(),
                uid: spec.uid.clone(),
                groups: spec.groups.clone(),
                extra: spec.extra.clone(),
                resource_attributes: Some(ResourceAttributes {
                    group: Some("certificates.k8s.io".to_owned()),
                    resource: Some("certificatesigningrequests".to_owned()),
                    subresource: Some(permission.to_owned()),
                    verb: Some("create".to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api = Api::<SubjectAccessReview>::all(self.context.client.clone());
        let answer = api.create(&PostParams::default(), &review).await;
        let status = answer.doing("asking who may have a certificate")?.status;
        Ok(status.is_some_and(|status| status.allowed))
    }
}
