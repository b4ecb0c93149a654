//! Requests for certificates.

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition,
};
use serde_json::json;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Rule, all};

/// A signer of former times, which nobody may name any longer.
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
/// The shortest life of a certificate that may be asked for, in seconds.
const SHORTEST: i32 = 600;
/// The longest name of a signer: a domain and a path.
const MAX_SIGNER: usize = 571;
/// Conditions that are true or not there.
const TRUE_ONLY: &[&str] = &["Approved", "Denied", "Failed"];

const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// What an update of a request is allowed to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Whatever is left to its owner.
    Nothing,
    /// The certificate.
    Certificate,
    /// Whether it is approved or denied.
    Approval,
}

/// The faults of a request for a certificate.
pub(crate) fn certificate_signing_request(request: &CertificateSigningRequest) -> Vec<Cause> {
    let mut faults = specification(request);
    faults.extend(conditions(request, None));
    faults.extend(certificate(request));
    faults
}

fn specification(request: &CertificateSigningRequest) -> Vec<Cause> {
    let spec = &request.spec;
    let mut faults = vec![];
    if let Err(why) = signed(&spec.request) {
        faults.push(Cause::invalid("spec.request", json!(spec.request), &why));
    }
    let usages = spec.usages.as_deref().unwrap_or_default();
    if usages.is_empty() {
        faults.push(Cause::required("spec.usages", ""));
    }
    for (at, usage) in usages.iter().enumerate() {
        if !USAGES.contains(&usage.as_str()) {
            faults.push(Cause::not_supported(format!("spec.usages[{at}]"), usage, USAGES));
        }
    }
    for (at, usage) in usages.iter().enumerate().filter(|(at, usage)| usages[..*at].contains(usage))
    {
        faults.push(Cause::duplicate(format!("spec.usages[{at}]"), usage.as_str()));
    }
    let path = "spec.signerName";
    if spec.signer_name == LEGACY_SIGNER {
        let detail = "the legacy signerName is not allowed via this API version";
        faults.push(Cause::invalid(path, LEGACY_SIGNER, detail));
    } else {
        faults.extend(signer_name(&spec.signer_name, path));
    }
    if let Some(seconds) = spec.expiration_seconds.filter(|seconds| *seconds < SHORTEST) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        faults.push(Cause::invalid("spec.expirationSeconds", seconds, detail));
    }
    faults
}

/// Whether these bytes are a request that was signed with the key that it is about.
fn signed(pem: &ByteString) -> Result<(), String> {
    let block = Pem::iter_from_buffer(&pem.0).next().and_then(Result::ok);
    let block = block.filter(|block| block.label == "CERTIFICATE REQUEST");
    let Some(block) = block else {
        return Err("PEM block type must be CERTIFICATE REQUEST".into());
    };
    let (_, request) = X509CertificationRequest::from_der(&block.contents)
        .map_err(|error| format!("x509: malformed certificate request: {error}"))?;
    request.verify_signature().map_err(|error| format!("x509: {error}"))
}

/// The name of a signer: `example.com/signer`.
pub(crate) fn signer_name(name: &str, path: &str) -> Vec<Cause> {
    if name.is_empty() {
        return vec![Cause::required(path, "")];
    }
    let parts: Vec<_> = name.split('/').collect();
    let [domain, rest] = parts[..] else {
        let detail =
            "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return vec![Cause::invalid(path, name, detail)];
    };
    let mut faults = vec![];
    if domain.len() > meta::SUBDOMAIN_MAX {
        faults.push(Cause::too_long(path, meta::SUBDOMAIN_MAX));
    }
    let rules: [(&str, Rule); 2] =
        [(domain, meta::dns_1123_label), (rest, meta::dns_1123_subdomain)];
    for (part, rule) in rules {
        for label in part.split('.') {
            let complaints = rule(label).into_iter();
            let complaints =
                complaints.map(|complaint| format!("validating label {label:?}: {complaint}"));
            faults.extend(all(path, part, complaints.collect()));
        }
        if part == domain && !domain.contains('.') {
            let detail = "should be a domain with at least two segments separated by dots";
            faults.push(Cause::invalid(path, domain, detail));
        }
    }
    if name.len() > MAX_SIGNER {
        faults.push(Cause::too_long(path, MAX_SIGNER));
    }
    faults
}

fn listed(request: &CertificateSigningRequest) -> &[CertificateSigningRequestCondition] {
    request.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default()
}

fn has(request: &CertificateSigningRequest, kind: &str) -> bool {
    listed(request).iter().any(|condition| condition.type_ == kind)
}

/// The faults of conditions; an older state's are borne.
fn conditions(
    request: &CertificateSigningRequest,
    old: Option<&CertificateSigningRequest>,
) -> Vec<Cause> {
    let both_before = old.is_some_and(|old| has(old, "Approved") && has(old, "Denied"));
    let mut faults = vec![];
    let all = listed(request);
    for (at, condition) in all.iter().enumerate() {
        let path = format!("status.conditions[{at}]");
        let kind = condition.type_.as_str();
        let of_type = format!("{path}.type");
        if kind.is_empty() {
            faults.push(Cause::required(of_type.as_str(), ""));
        }
        let statuses: &[&str] =
            if TRUE_ONLY.contains(&kind) { &["True"] } else { &["False", "True", "Unknown"] };
        faults.extend(super::one_of(&format!("{path}.status"), Some(&condition.status), statuses));
        let opposite = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        let before = |kind: &str| all[..at].iter().any(|other| other.type_ == kind);
        if !both_before && !opposite.is_empty() && before(opposite) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            faults.push(Cause::invalid(of_type.as_str(), kind, detail));
        }
        if before(kind) {
            faults.push(Cause::duplicate(of_type, kind));
        }
    }
    faults
}

fn issued(request: &CertificateSigningRequest) -> &[u8] {
    let status = request.status.as_ref();
    status.and_then(|status| status.certificate.as_ref()).map_or(&[], |bytes| &bytes.0)
}

fn certificate(request: &CertificateSigningRequest) -> Option<Cause> {
    let why = certificates(issued(request)).err()?;
    Some(Cause::invalid("status.certificate", "<certificate data>", &why))
}

/// Whether these bytes are nothing, or certificates and nothing else.
fn certificates(pem: &[u8]) -> Result<(), String> {
    if pem.is_empty() {
        return Ok(());
    }
    let mut count = 0;
    for block in Pem::iter_from_buffer(pem) {
        let block = block.map_err(|error| error.to_string())?;
        if block.label != "CERTIFICATE" {
            let label = &block.label;
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {label:?}"));
        }
        X509Certificate::from_der(&block.contents)
            .map_err(|error| format!("x509: malformed certificate: {error}"))?;
        count += 1;
    }
    if count == 0 { Err("must contain at least one CERTIFICATE PEM block".into()) } else { Ok(()) }
}

/// The faults of a change of a request.
pub(crate) fn certificate_signing_request_update(
    new: &CertificateSigningRequest,
    old: &CertificateSigningRequest,
    setting: Setting,
) -> Vec<Cause> {
    let path = "status.conditions";
    let mut faults = conditions(new, Some(old));
    let changed = issued(new) != issued(old);
    if changed {
        faults.extend(certificate(new));
    }
    let of = |request: &CertificateSigningRequest, kind: &str| -> Vec<_> {
        let all = listed(request).iter();
        all.filter(|condition| condition.type_ == kind).cloned().collect()
    };
    for kind in TRUE_ONLY {
        let (now, before) = (of(new, kind), of(old, kind));
        let done = if now.len() < before.len() {
            "remove"
        } else if setting == Setting::Approval || *kind == "Failed" {
            continue;
        } else if now.len() > before.len() {
            "add"
        } else if now != before {
            "modify"
        } else {
            continue;
        };
        let detail = format!("updates may not {done} a condition of type {kind:?}");
        faults.push(Cause::forbidden(path, &detail));
    }
    if changed {
        let detail = match setting {
            Setting::Certificate if issued(old).is_empty() => None,
            Setting::Certificate => Some("updates may not modify existing certificate content"),
            Setting::Nothing | Setting::Approval => Some("updates may not set certificate content"),
        };
        faults.extend(detail.map(|detail| Cause::forbidden("status.certificate", detail)));
    }
    faults
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::Value;

    /// A request for a certificate, as clients make it.
    pub(crate) fn pem() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec![]).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "jane");
        parameters.serialize_request(&key).unwrap().pem().unwrap()
    }

    /// A request in YAML's words, with bytes in place of text.
    pub(crate) fn request(spec: Value) -> Value {
        let mut whole = json!({
            "request": ByteString(pem().into_bytes()),
            "usages": ["client auth"],
            "signerName": "example.com/signer",
        });
        json_patch::merge(&mut whole, &spec);
        json!({ "metadata": { "name": "csr" }, "spec": whole })
    }

    fn of(spec: Value) -> Vec<String> {
        lines(certificate_signing_request(&object(request(spec))))
    }

    #[test]
    fn what_a_request_must_say() {
        assert_eq!(of(json!({})), Vec::<String>::new());
        for (spec, expected) in [
            (
                json!({"request": "aGVsbG8="}),
                "spec.request: Invalid value: \"aGVsbG8=\": PEM block type must be CERTIFICATE REQUEST",
            ),
            (json!({"usages": []}), "spec.usages: Required value"),
            (
                json!({"usages": ["client auth", "client auth"]}),
                "spec.usages[1]: Duplicate value: \"client auth\"",
            ),
            (json!({"signerName": null}), "spec.signerName: Required value"),
            (
                json!({"signerName": "a"}),
                "spec.signerName: Invalid value: \"a\": must be a fully qualified domain and path of the form 'example.com/signer-name'",
            ),
            (
                json!({"signerName": "a/b"}),
                "spec.signerName: Invalid value: \"a\": should be a domain with at least two segments separated by dots",
            ),
            (
                json!({"signerName": "kubernetes.io/legacy-unknown"}),
                "spec.signerName: Invalid value: \"kubernetes.io/legacy-unknown\": the legacy signerName is not allowed via this API version",
            ),
            (
                json!({"expirationSeconds": 5}),
                "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 600 seconds (10 minutes)",
            ),
        ] {
            assert_eq!(of(spec.clone()), [expected], "{spec}");
        }
        let unknown = of(json!({"usages": ["x"]}));
        assert!(unknown[0].starts_with(
            "spec.usages[0]: Unsupported value: \"x\": supported values: \"any\", \"cert sign\""
        ));
        // A request that somebody changed after it was signed.
        let mut bent = Pem::iter_from_buffer(pem().as_bytes()).next().unwrap().unwrap().contents;
        let at = bent.windows(4).position(|window| window == b"jane").unwrap();
        bent[at] = b'J';
        use base64::Engine;
        let bent = base64::engine::general_purpose::STANDARD.encode(bent);
        let bent = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{bent}\n-----END CERTIFICATE REQUEST-----\n"
        );
        let found = of(json!({ "request": ByteString(bent.into_bytes()) }));
        assert!(found[0].contains("x509: "), "{found:?}");
    }

    #[test]
    fn what_updates_may_say() {
        let with = |status: Value| {
            let mut whole = request(json!({"request": "eA=="}));
            whole["status"] = status;
            object::<CertificateSigningRequest>(whole)
        };
        let none = with(json!({}));
        let approved = with(json!({"conditions": [{"type": "Approved", "status": "True"}]}));
        let check =
            |new, old, setting| lines(certificate_signing_request_update(new, old, setting));
        assert_eq!(check(&approved, &none, Setting::Approval), Vec::<String>::new());
        assert_eq!(
            check(&approved, &none, Setting::Certificate),
            ["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""]
        );
        assert_eq!(
            check(&none, &approved, Setting::Approval),
            [
                "status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""
            ]
        );
        let both = with(json!({"conditions": [{"type": "Approved", "status": "True"},
            {"type": "Denied", "status": "False"}]}));
        assert_eq!(
            check(&both, &approved, Setting::Approval),
            [
                "status.conditions[1].status: Unsupported value: \"False\": supported values: \"True\"",
                "status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive",
            ]
        );
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().pem();
        let made = with(json!({"certificate": ByteString(pem.into_bytes())}));
        assert_eq!(check(&made, &none, Setting::Certificate), Vec::<String>::new());
        assert_eq!(
            check(&made, &none, Setting::Nothing),
            ["status.certificate: Forbidden: updates may not set certificate content"]
        );
        assert_eq!(
            check(&none, &made, Setting::Certificate),
            ["status.certificate: Forbidden: updates may not modify existing certificate content"]
        );
        let wrong = with(json!({"certificate": "eA=="}));
        assert_eq!(
            check(&wrong, &none, Setting::Certificate),
            [
                "status.certificate: Invalid value: \"<certificate data>\": must contain at least one CERTIFICATE PEM block"
            ]
        );
    }
}
