//! `admission.k8s.io/v1 AdmissionReview`: the question to a webhook, and its answer. Pure.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use coracle_api::dice;
use serde_json::{Value, json};

use super::super::review::Form;
use crate::error::{ApiError, Reason};

/// Warnings of one webhook beyond which none is told.
const WARNINGS: usize = 64;

/// What a webhook says.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// A JSON patch.
    pub(super) patch: Option<Vec<u8>>,
    pub(super) warnings: Vec<String>,
    /// The `Status` of a refusal.
    pub(super) refusal: Option<Box<Value>>,
}

/// The uid of the question, and the question.
pub(super) fn question(form: &Form) -> (String, Value) {
    let uid = dice::uuid();
    let mut request = form.request.clone();
    request["uid"] = json!(uid);
    request["object"] = form.object.clone();
    request["oldObject"] = form.old.clone();
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": request,
    });
    (uid, review)
}

/// Reads an answer. The error says what is wrong with it.
pub(super) fn verdict(uid: &str, answer: &[u8], mutating: bool) -> Result<Verdict, String> {
    let review: Value = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&review, "apiVersion"), text(&review, "kind"));
    if (&*version, &*kind) != ("admission.k8s.io/v1", "AdmissionReview") {
        let wanted = "admission.k8s.io/v1, Kind=AdmissionReview";
        return Err(format!("expected webhook response of {wanted}, got {version}, Kind={kind}"));
    }
    let response = &review["response"];
    if !response.is_object() {
        return Err("webhook response was absent".into());
    }
    let given = text(response, "uid");
    if given != uid {
        return Err(format!("expected response.uid={uid:?}, got {given:?}"));
    }
    let (patch, patch_type) = (text(response, "patch"), response["patchType"].as_str());
    if !mutating && (!patch.is_empty() || patch_type.is_some()) {
        let field = if patch.is_empty() { "patchType" } else { "patch" };
        return Err(format!("validating webhook may not return response.{field}"));
    }
    match (patch.is_empty(), patch_type) {
        (true, None) | (false, Some("JSONPatch")) => {}
        (true, Some(_)) => {
            return Err("webhook returned response.patchType but not response.patch".into());
        }
        (false, None) => {
            return Err("webhook returned response.patch but not response.patchType".into());
        }
        (false, Some(other)) => {
            return Err(format!("webhook returned invalid response.patchType of {other:?}"));
        }
    }
    let patch = match &*patch {
        "" => None,
        patch => Some(BASE64_STANDARD.decode(patch).map_err(|error| error.to_string())?),
    };
    let warnings = response["warnings"].as_array().into_iter().flatten();
    let warnings = warnings.filter_map(Value::as_str).take(WARNINGS).map(str::to_owned).collect();
    let allowed = response["allowed"].as_bool().unwrap_or(false);
    let refusal = (!allowed).then(|| Box::new(response["status"].clone()));
    Ok(Verdict { patch, warnings, refusal })
}

/// The answer to the caller of a write that a webhook refused, from the `Status` that it gave.
pub(super) fn refused(name: &str, given: Value) -> ApiError {
    let mut status = match given {
        Value::Object(status) => Value::Object(status),
        _ => json!({}),
    };
    let denied = format!("admission webhook {name:?} denied the request");
    let message = match (status["message"].as_str(), status["reason"].as_str()) {
        (Some(message), _) if !message.is_empty() => format!("{denied}: {message}"),
        (_, Some(reason)) if !reason.is_empty() => format!("{denied}: {reason}"),
        _ => format!("{denied} without explanation"),
    };
    let code = status["code"].as_u64().filter(|code| (400..600).contains(code)).unwrap_or(400);
    status["kind"] = json!("Status");
    status["apiVersion"] = json!("v1");
    status["metadata"] = json!({});
    status["status"] = json!("Failure");
    status["message"] = json!(message);
    status["code"] = json!(code);
    let mut error = ApiError::new(Reason::Unknown, message);
    error.refusal = Some(Box::new(status));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(response: Value) -> Vec<u8> {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
        });
        review.to_string().into_bytes()
    }

    #[test]
    fn answers() {
        let allowed = answer(json!({ "uid": "u", "allowed": true, "warnings": ["w"] }));
        let verdict = super::verdict("u", &allowed, false).unwrap();
        assert!(verdict.refusal.is_none() && verdict.patch.is_none());
        assert_eq!(verdict.warnings, ["w"]);
        let patched = answer(json!({ "uid": "u", "allowed": true, "patchType": "JSONPatch",
            "patch": BASE64_STANDARD.encode("[]") }));
        assert_eq!(super::verdict("u", &patched, true).unwrap().patch.unwrap(), b"[]");
    }

    #[test]
    fn answers_that_are_none() {
        let encoded = BASE64_STANDARD.encode("[]");
        for (given, mutating, why) in [
            (b"x".to_vec(), true, "expected value"),
            (b"{}".to_vec(), true, "expected webhook response of admission.k8s.io/v1"),
            (answer(Value::Null), true, "webhook response was absent"),
            (answer(json!({ "uid": "other" })), true, "expected response.uid=\"u\", got \"other\""),
            (
                answer(json!({ "uid": "u", "patch": encoded, "patchType": "JSONPatch" })),
                false,
                "may not return response.patch",
            ),
            (answer(json!({ "uid": "u", "patch": encoded })), true, "but not response.patchType"),
            (
                answer(json!({ "uid": "u", "patchType": "JSONPatch" })),
                true,
                "but not response.patch",
            ),
            (
                answer(json!({ "uid": "u", "patch": encoded, "patchType": "Merge" })),
                true,
                "invalid response.patchType of \"Merge\"",
            ),
        ] {
            let error = super::verdict("u", &given, mutating).unwrap_err();
            assert!(error.contains(why), "{error}, not {why}");
        }
    }

    #[test]
    fn refusals() {
        for (status, code, message) in [
            (Value::Null, 400, "admission webhook \"w\" denied the request without explanation"),
            (
                json!({ "message": "no", "code": 403, "reason": "Forbidden" }),
                403,
                "admission webhook \"w\" denied the request: no",
            ),
            (
                json!({ "reason": "Because", "code": 200 }),
                400,
                "admission webhook \"w\" denied the request: Because",
            ),
        ] {
            let error = refused("w", status.clone());
            assert_eq!((error.code().as_u16(), &*error.message), (code, message));
            let shown = error.status();
            assert_eq!(shown["reason"], status["reason"]);
            assert_eq!((&shown["message"], &shown["code"]), (&json!(message), &json!(code)));
        }
    }
}
