//! Requests for certificates: who asks is written into them, who approves and signs must be allowed
//! to for the signer that they name, and the API's own signer makes nobody a master.

use std::collections::BTreeMap;

use async_trait::async_trait;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Name};

use super::{Attributes, Operation, Plugin};
use crate::authn::MASTERS;
use crate::authz::{self, Decision, ResourceAttributes};
use crate::error::{ApiError, Result};
use crate::registry::{Object, Write};

const GROUP: &str = "certificates.k8s.io";
const REQUESTS: &str = "certificatesigningrequests";
/// The signer of certificates that clients show to this server.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// Who asks: `pkg/registry/certificates`.
pub(super) struct CertificateRequester;

/// What may be asked for: `plugin/pkg/admission/certificates/subjectrestriction`.
pub(super) struct CertificateSubjectRestriction;

/// Who may approve: `plugin/pkg/admission/certificates/approval`.
pub(super) struct CertificateApproval;

/// Who may sign: `plugin/pkg/admission/certificates/signing`.
pub(super) struct CertificateSigning;

fn created(attributes: &Attributes<'_>) -> bool {
    attributes.operation == Operation::Create && attributes.is(GROUP, REQUESTS)
}

#[async_trait]
impl Plugin for CertificateRequester {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        created(attributes)
    }

    async fn admit(
        &self,
        attributes: &Attributes<'_>,
        object: &mut dyn Object,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let Some(request) = object.downcast_mut::<CertificateSigningRequest>() else {
            return Ok(());
        };
        let caller = attributes.write.identity;
        let spec = &mut request.spec;
        let filled = |text: &String| (!text.is_empty()).then(|| text.clone());
        spec.username = filled(&caller.name);
        spec.uid = filled(&caller.uid);
        spec.groups = (!caller.groups.is_empty()).then(|| caller.groups.clone());
        let extra: BTreeMap<_, _> = caller.extra.iter().cloned().collect();
        spec.extra = (!extra.is_empty()).then_some(extra);
        Ok(())
    }
}

#[async_trait]
impl Plugin for CertificateSubjectRestriction {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        created(attributes)
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let asked = request(object);
        let Some(asked) = asked.filter(|asked| asked.spec.signer_name == CLIENT_SIGNER) else {
            return Ok(());
        };
        if organizations(&asked.spec.request.0).iter().any(|name| name == MASTERS) {
            let why = format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed");
            return Err(ApiError::forbidden(GROUP, REQUESTS, attributes.name, &why));
        }
        Ok(())
    }
}

fn updated(attributes: &Attributes<'_>, subresource: &str) -> bool {
    let Attributes { operation, write, .. } = attributes;
    let names = write.kind.names();
    *operation == Operation::Update
        && write.subresource == subresource
        && (&*names.group, &*names.plural) == (GROUP, REQUESTS)
}

fn request(object: Option<&dyn Object>) -> Option<&CertificateSigningRequest> {
    object.and_then(|object| object.downcast_ref())
}

/// Refuses callers who may not do this to the requests of a signer, by its name or by its domain.
async fn expect_permission(attributes: &Attributes<'_>, verb: &str, signer: &str) -> Result<()> {
    let Write { server, identity, .. } = attributes.write;
    let domain = signer.split('/').next().unwrap_or_default();
    for name in [signer, &format!("{domain}/*")] {
        let signers =
            ResourceAttributes { group: GROUP, resource: "signers", name, ..Default::default() };
        let asked =
            authz::Attributes { verb, resource: Some(signers), ..authz::Attributes::of(identity) };
        let decision = server.authorizer.authorize(&*server.store, &asked).await?;
        if let Decision::Allow(_) = decision {
            return Ok(());
        }
    }
    let why = format!("user not permitted to {verb} requests with signerName {signer:?}");
    Err(ApiError::forbidden(GROUP, REQUESTS, attributes.name, &why))
}

#[async_trait]
impl Plugin for CertificateApproval {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        updated(attributes, "approval")
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        _object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<()> {
        let Some(old) = request(old) else { return Ok(()) };
        expect_permission(attributes, "approve", &old.spec.signer_name).await
    }
}

#[async_trait]
impl Plugin for CertificateSigning {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        updated(attributes, "status")
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<()> {
        let (Some(new), Some(old)) = (request(object), request(old)) else { return Ok(()) };
        let answer = |request: &CertificateSigningRequest| {
            let status = request.status.clone().unwrap_or_default();
            (status.certificate, status.conditions.unwrap_or_default())
        };
        if answer(new) == answer(old) {
            return Ok(());
        }
        expect_permission(attributes, "sign", &old.spec.signer_name).await
    }
}

/// The groups that the holder of the certificate would belong to.
fn organizations(pem: &[u8]) -> Vec<String> {
    subject(pem, |subject| {
        let names = subject.iter_organization().filter_map(|name| name.as_str().ok());
        names.map(str::to_owned).collect()
    })
    .unwrap_or_default()
}

/// The name that the holder of the certificate would have.
pub(super) fn common_name(pem: &[u8]) -> Option<String> {
    subject(pem, |subject| {
        subject.iter_common_name().last().and_then(|name| name.as_str().map(str::to_owned).ok())
    })?
}

fn subject<R>(pem: &[u8], look: impl FnOnce(&X509Name<'_>) -> R) -> Option<R> {
    let block = Pem::iter_from_buffer(pem).next()?.ok()?;
    let (_, request) = X509CertificationRequest::from_der(&block.contents).ok()?;
    Some(look(&request.certification_request_info.subject))
}
