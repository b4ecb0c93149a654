//! Configurations of webhooks.

use std::collections::HashSet;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, ValidatingWebhook,
    ValidatingWebhookConfiguration,
};
use serde_json::json;

use super::super::all;
use super::super::selector::label_selector;
use super::super::webhook_client::{webhook_service, webhook_url};
use super::{
    FAILURE_POLICIES, MATCH_POLICIES, REINVOCATION_POLICIES, choice, match_conditions, rule,
};
use crate::admission::{Conditions, env};

const SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun"];
/// The forms of questions that webhooks may be asked in.
const REVIEW_VERSIONS: &[&str] = &["v1", "v1beta1"];
const HTTPS: i32 = 443;

/// The faults of a ValidatingWebhookConfiguration.
pub(crate) fn validating_webhook_configuration(
    configuration: &ValidatingWebhookConfiguration,
) -> Vec<Cause> {
    webhooks(configuration.webhooks.as_deref().unwrap_or_default())
}

/// The faults of a MutatingWebhookConfiguration.
pub(crate) fn mutating_webhook_configuration(
    configuration: &MutatingWebhookConfiguration,
) -> Vec<Cause> {
    let hooks = configuration.webhooks.as_deref().unwrap_or_default();
    let common: Vec<_> = hooks.iter().map(common).collect();
    let mut faults = vec![];
    for (at, hook) in hooks.iter().enumerate() {
        let path = format!("webhooks[{at}].reinvocationPolicy");
        faults.extend(choice(hook.reinvocation_policy.as_ref(), REINVOCATION_POLICIES, &path));
    }
    faults.extend(webhooks(&common));
    faults
}

/// What a mutating webhook has in common with a validating one.
fn common(hook: &MutatingWebhook) -> ValidatingWebhook {
    let MutatingWebhook {
        admission_review_versions,
        client_config,
        failure_policy,
        match_conditions,
        match_policy,
        name,
        namespace_selector,
        object_selector,
        reinvocation_policy: _,
        rules,
        side_effects,
        timeout_seconds,
    } = hook.clone();
    ValidatingWebhook {
        admission_review_versions,
        client_config,
        failure_policy,
        match_conditions,
        match_policy,
        name,
        namespace_selector,
        object_selector,
        rules,
        side_effects,
        timeout_seconds,
    }
}

fn webhooks(hooks: &[ValidatingWebhook]) -> Vec<Cause> {
    let mut faults = vec![];
    let mut names = HashSet::new();
    for (at, hook) in hooks.iter().enumerate() {
        let path = format!("webhooks[{at}]");
        faults.extend(webhook(hook, &path));
        let of_conditions = format!("{path}.matchConditions");
        let conditions = hook.match_conditions.as_ref();
        let conditions = Conditions::new(&env(false), conditions);
        faults.extend(conditions.faults(&of_conditions));
        let of_versions = format!("{path}.admissionReviewVersions");
        faults.extend(review_versions(&hook.admission_review_versions, &of_versions));
        let name = hook.name.as_str();
        if !name.is_empty() && !names.insert(name) {
            faults.push(Cause::duplicate(format!("{path}.name"), name));
        }
    }
    faults
}

fn webhook(hook: &ValidatingWebhook, path: &str) -> Vec<Cause> {
    let at = |field: &str| format!("{path}.{field}");
    let mut faults = fully_qualified(&hook.name, &at("name"));
    for (index, each) in hook.rules.iter().flatten().enumerate() {
        faults.extend(rule(each, &format!("{}[{index}]", at("rules"))));
    }
    faults.extend(choice(hook.failure_policy.as_ref(), FAILURE_POLICIES, &at("failurePolicy")));
    faults.extend(choice(hook.match_policy.as_ref(), MATCH_POLICIES, &at("matchPolicy")));
    if hook.side_effects.is_empty() {
        let detail = format!("must specify one of {}", SIDE_EFFECTS.join(", "));
        faults.push(Cause::required(at("sideEffects"), &detail));
    } else {
        faults.extend(choice(Some(&hook.side_effects), SIDE_EFFECTS, &at("sideEffects")));
    }
    if let Some(seconds) = hook.timeout_seconds.filter(|seconds| !(1..=30).contains(seconds)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        faults.push(Cause::invalid(at("timeoutSeconds"), seconds, detail));
    }
    let selectors = [
        ("namespaceSelector", &hook.namespace_selector),
        ("objectSelector", &hook.object_selector),
    ];
    for (field, selector) in selectors {
        faults.extend(selector.iter().flat_map(|own| label_selector(own, &at(field))));
    }
    let client = &hook.client_config;
    match (&client.url, &client.service) {
        (Some(url), None) => faults.extend(webhook_url(url, &at("clientConfig.url"))),
        (None, Some(own)) => {
            let port = own.port.unwrap_or(HTTPS);
            let path = at("clientConfig.service");
            let place = own.path.as_deref();
            faults.extend(webhook_service(&own.name, &own.namespace, place, port, &path));
        }
        _ => {
            let detail = "exactly one of url or service is required";
            faults.push(Cause::required(at("clientConfig"), detail));
        }
    }
    let conditions = hook.match_conditions.as_deref();
    faults.extend(match_conditions(conditions, &at("matchConditions")));
    faults
}

/// A domain of at least three parts.
fn fully_qualified(name: &str, path: &str) -> Vec<Cause> {
    if name.is_empty() {
        return vec![Cause::required(path, "")];
    }
    let complaints = meta::dns_1123_subdomain(name);
    if !complaints.is_empty() {
        return vec![Cause::invalid(path, name, &complaints.join(","))];
    }
    if name.split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        return vec![Cause::invalid(path, name, detail)];
    }
    vec![]
}

fn review_versions(versions: &[String], path: &str) -> Vec<Cause> {
    let known = REVIEW_VERSIONS.join(", ");
    if versions.is_empty() {
        return vec![Cause::required(path, &format!("must specify one of {known}"))];
    }
    let mut faults = vec![];
    for (at, version) in versions.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if versions[..at].contains(version) {
            faults.push(Cause::invalid(path, version.as_str(), "duplicate version"));
            continue;
        }
        faults.extend(all(&path, version, meta::dns_1035_label(version)));
    }
    if !versions.iter().any(|version| REVIEW_VERSIONS.contains(&version.as_str())) {
        let detail = format!("must include at least one of {known}");
        faults.push(Cause::invalid(path, json!(versions), &detail));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{lines, object};
    use super::*;
    use crate::Strategy;
    use serde_json::Value;

    fn of(change: Value) -> Vec<String> {
        let mut hook = json!({"name": "a.example.com", "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "clientConfig": {"url": "https://a/b"},
            "rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"],
                "resources": ["*"]}]});
        json_patch::merge(&mut hook, &change);
        let mut configuration: MutatingWebhookConfiguration = object(json!({"webhooks": [hook]}));
        configuration.default_fields();
        lines(mutating_webhook_configuration(&configuration))
    }

    #[test]
    fn configurations() {
        for (change, expected) in [
            (json!({}), &[][..]),
            (
                json!({"clientConfig": {"url": null, "service": {"name": "a", "namespace": "b"}}}),
                &[],
            ),
            (json!({"name": ""}), &["webhooks[0].name: Required value"]),
            (
                json!({"name": "a.b"}),
                &[
                    "webhooks[0].name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots",
                ],
            ),
            (
                json!({"sideEffects": null}),
                &[
                    "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
                ],
            ),
            (
                json!({"sideEffects": "Some"}),
                &[
                    "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
                ],
            ),
            (
                json!({"timeoutSeconds": 31}),
                &[
                    "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
                ],
            ),
            (
                json!({"clientConfig": {"url": null}}),
                &[
                    "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
                ],
            ),
            (
                json!({"reinvocationPolicy": "X", "failurePolicy": "Y", "matchPolicy": "Z"}),
                &[
                    "webhooks[0].reinvocationPolicy: Unsupported value: \"X\": supported values: \"IfNeeded\", \"Never\"",
                    "webhooks[0].failurePolicy: Unsupported value: \"Y\": supported values: \"Fail\", \"Ignore\"",
                    "webhooks[0].matchPolicy: Unsupported value: \"Z\": supported values: \"Equivalent\", \"Exact\"",
                ],
            ),
            (
                json!({"admissionReviewVersions": []}),
                &[
                    "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
                ],
            ),
            (
                json!({"admissionReviewVersions": ["v2", "v2"]}),
                &[
                    "webhooks[0].admissionReviewVersions[1]: Invalid value: \"v2\": duplicate version",
                    "webhooks[0].admissionReviewVersions: Invalid value: [\"v2\",\"v2\"]: must include at least one of v1, v1beta1",
                ],
            ),
        ] {
            assert_eq!(of(change.clone()), expected, "{change}");
        }
    }
}
