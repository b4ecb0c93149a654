//! CertificateSigningRequest. Who asks is written into it by admission.

use coracle_api::cause::Cause;
use coracle_api::{clock, duration};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, name, or_none};
use crate::validation::{self, Setting};
use crate::{Column, Names, Part, Strategy, seconds};

impl Strategy for CertificateSigningRequest {
    const NAMES: Names = Names {
        group: "certificates.k8s.io",
        version: "v1",
        kind: "CertificateSigningRequest",
        plural: "certificatesigningrequests",
        singular: "certificatesigningrequest",
        short: &["csr"],
        categories: &[],
        namespaced: false,
        status: true,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        AGE,
        column("SignerName", "string", "Who is to sign."),
        column("Requestor", "string", "Who asks."),
        column("RequestedDuration", "string", "For how long."),
        column("Condition", "string", "Whether it was approved, and signed."),
    ];
    const SELECTABLE: &'static [&'static str] = &["spec.signerName"];
    const BYTES: &'static [&'static [&'static str]] =
        &[&["spec", "request"], &["status", "certificate"]];

    fn prepare_create(&mut self) {
        self.status = Some(Default::default());
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        self.spec = old.spec.clone();
        match part {
            Part::Main => self.status = old.status.clone(),
            Part::Status => date_conditions(self, old),
        }
    }

    fn prepare_subresource(&mut self, old: &Self, _name: &str) -> Vec<Cause> {
        self.spec = old.spec.clone();
        let sent = self.status.take().and_then(|status| status.conditions);
        self.status = old.status.clone();
        self.status.get_or_insert_default().conditions = sent;
        date_conditions(self, old);
        validation::certificate_signing_request_update(self, old, Setting::Approval)
    }

    fn validate_create(&self) -> Vec<Cause> {
        validation::certificate_signing_request(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        let setting = match part {
            Part::Main => Setting::Nothing,
            Part::Status => Setting::Certificate,
        };
        validation::certificate_signing_request_update(self, old, setting)
    }

    fn validate_name(name: &str) -> Vec<String> {
        validation::path_segment(name)
    }

    fn select(&self) -> Vec<String> {
        vec![self.spec.signer_name.clone()]
    }

    fn row(&self) -> Vec<Value> {
        let seconds = self.spec.expiration_seconds.map(|seconds| duration::human(seconds.into()));
        vec![
            name(self),
            age(self),
            json!(self.spec.signer_name),
            json!(self.spec.username.as_deref().unwrap_or_default()),
            json!(or_none(seconds.as_deref())),
            json!(state(self)),
        ]
    }
}

/// Gives conditions that say nothing of it the time of their last update and transition.
fn date_conditions(new: &mut CertificateSigningRequest, old: &CertificateSigningRequest) {
    let now = Time(seconds(clock::now()));
    let before = old.status.as_ref().and_then(|status| status.conditions.as_deref());
    let conditions = new.status.as_mut().and_then(|status| status.conditions.as_mut());
    for condition in conditions.into_iter().flatten() {
        condition.last_update_time.get_or_insert_with(|| now.clone());
        let same = before
            .unwrap_or_default()
            .iter()
            .find(|other| other.type_ == condition.type_ && other.status == condition.status);
        let since = same.and_then(|other| other.last_transition_time.clone());
        condition.last_transition_time.get_or_insert_with(|| since.unwrap_or_else(|| now.clone()));
    }
}

/// `Approved,Issued`.
fn state(request: &CertificateSigningRequest) -> String {
    let status = request.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let has = |kind: &str| conditions.iter().any(|condition| condition.type_ == kind);
    let mut text = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    }
    .to_owned();
    if has("Failed") {
        text.push_str(",Failed");
    }
    let certificate = status.and_then(|status| status.certificate.as_ref());
    if certificate.is_some_and(|bytes| !bytes.0.is_empty()) {
        text.push_str(",Issued");
    }
    text
}
