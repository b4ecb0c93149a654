//! Writes into a request for a certificate who asks, and keeps the API's own signer from making
//! anybody a master.

use std::collections::BTreeMap;

use async_trait::async_trait;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

use super::{Attributes, Operation, Plugin};
use crate::authn::MASTERS;
use crate::error::{ApiError, Result};
use crate::registry::Object;

const GROUP: &str = "certificates.k8s.io";
const REQUESTS: &str = "certificatesigningrequests";
/// The signer of certificates that clients show to this server.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// Who asks: `pkg/registry/certificates`.
pub(super) struct CertificateRequester;

/// What may be asked for: `plugin/pkg/admission/certificates/subjectrestriction`.
pub(super) struct CertificateSubjectRestriction;

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
        let request = object.and_then(|object| object.downcast_ref::<CertificateSigningRequest>());
        let Some(request) = request.filter(|request| request.spec.signer_name == CLIENT_SIGNER)
        else {
            return Ok(());
        };
        if organizations(&request.spec.request.0).iter().any(|name| name == MASTERS) {
            let why = format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed");
            return Err(ApiError::forbidden(GROUP, REQUESTS, attributes.name, &why));
        }
        Ok(())
    }
}

/// The groups that the holder of the certificate would belong to.
fn organizations(pem: &[u8]) -> Vec<String> {
    let Some(Ok(block)) = Pem::iter_from_buffer(pem).next() else { return vec![] };
    let Ok((_, request)) = X509CertificationRequest::from_der(&block.contents) else {
        return vec![];
    };
    let subject = &request.certification_request_info.subject;
    let names = subject.iter_organization().filter_map(|name| name.as_str().ok());
    names.map(str::to_owned).collect()
}
