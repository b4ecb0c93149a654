//! Policies of admission and their bindings.

use std::collections::HashSet;

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::admissionregistration::v1::{
    AuditAnnotation, MatchResources, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
    Mutation, ParamKind, ParamRef, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    Validation, Variable,
};
use serde_json::json;

use super::super::all;
use super::super::selector::label_selector;
use super::{
    FAILURE_POLICIES, REINVOCATION_POLICIES, choice, expression, match_conditions, match_resources,
    required_choice,
};
use crate::admission;

const MAX_AUDIT_ANNOTATIONS: usize = 20;
const MAX_AUDIT_EXPRESSION: usize = 5 * 1024;
const ACTIONS: &[&str] = &["Audit", "Deny", "Warn"];
const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge"];
const NOT_FOUND_ACTIONS: &[&str] = &["Deny", "Allow"];
const PATCH_TYPES: &[&str] = &["ApplyConfiguration", "JSONPatch"];
/// Words that are no names in CEL.
const RESERVED: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The faults of a ValidatingAdmissionPolicy.
pub(crate) fn validating_admission_policy(policy: &ValidatingAdmissionPolicy) -> Vec<Cause> {
    let spec = policy.spec.clone().unwrap_or_default();
    let mut faults = beginning(
        spec.failure_policy.as_ref(),
        spec.param_kind.as_ref(),
        spec.match_constraints.as_ref(),
    );
    let conditions = spec.match_conditions.as_deref();
    faults.extend(match_conditions(conditions, "spec.matchConditions"));
    faults.extend(variables(spec.variables.as_deref()));
    let validations = spec.validations.as_deref().unwrap_or_default();
    let annotations = spec.audit_annotations.as_deref().unwrap_or_default();
    if validations.is_empty() && annotations.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        faults.push(Cause::required("spec.validations", detail));
        faults.push(Cause::required("spec.auditAnnotations", detail));
    }
    for (at, each) in validations.iter().enumerate() {
        faults.extend(validation(each, &format!("spec.validations[{at}]")));
    }
    let path = "spec.auditAnnotations";
    if annotations.len() > MAX_AUDIT_ANNOTATIONS {
        let detail = format!("must not have more than {MAX_AUDIT_ANNOTATIONS} auditAnnotations");
        faults.push(Cause::invalid(path, json!(annotations), &detail));
    }
    let name = policy.metadata.name.as_deref().unwrap_or_default();
    let mut keys = HashSet::new();
    for (at, each) in annotations.iter().enumerate() {
        let path = format!("{path}[{at}]");
        faults.extend(audit_annotation(each, name, &path));
        if !keys.insert(each.key.as_str()) {
            faults.push(Cause::duplicate(format!("{path}.key"), each.key.as_str()));
        }
    }
    faults.extend(admission::Validations::of(&spec).faults());
    faults
}

/// The faults of a MutatingAdmissionPolicy.
pub(crate) fn mutating_admission_policy(policy: &MutatingAdmissionPolicy) -> Vec<Cause> {
    let spec = policy.spec.clone().unwrap_or_default();
    let mut faults = beginning(
        spec.failure_policy.as_ref(),
        spec.param_kind.as_ref(),
        spec.match_constraints.as_ref(),
    );
    let conditions = spec.match_conditions.as_deref();
    faults.extend(match_conditions(conditions, "spec.matchConditions"));
    faults.extend(variables(spec.variables.as_deref()));
    let mutations = spec.mutations.as_deref().unwrap_or_default();
    if mutations.is_empty() {
        let detail = "mutations must contain at least one item";
        faults.push(Cause::required("spec.mutations", detail));
    }
    for (at, each) in mutations.iter().enumerate() {
        faults.extend(mutation(each, &format!("spec.mutations[{at}]")));
    }
    let path = "spec.reinvocationPolicy";
    match spec.reinvocation_policy.as_ref().filter(|policy| !policy.is_empty()) {
        None => faults.push(Cause::required(path, "")),
        policy => faults.extend(choice(policy, REINVOCATION_POLICIES, path)),
    }
    faults.extend(admission::Mutations::of(&spec).faults());
    faults
}

/// What both kinds of policies begin with.
fn beginning(
    failure_policy: Option<&String>,
    param_kind: Option<&ParamKind>,
    constraints: Option<&MatchResources>,
) -> Vec<Cause> {
    let mut faults: Vec<_> =
        required_choice(failure_policy, FAILURE_POLICIES, "spec.failurePolicy")
            .into_iter()
            .collect();
    if let Some(kind) = param_kind {
        faults.extend(self::param_kind(kind));
    }
    let path = "spec.matchConstraints";
    let Some(constraints) = constraints else {
        faults.push(Cause::required(path, ""));
        return faults;
    };
    faults.extend(match_resources(constraints, path));
    if constraints.resource_rules.as_ref().is_none_or(Vec::is_empty) {
        faults.push(Cause::required(format!("{path}.resourceRules"), ""));
    }
    faults
}

fn param_kind(params: &ParamKind) -> Vec<Cause> {
    let path = "spec.paramKind.apiVersion";
    let version = params.api_version.as_deref().unwrap_or_default();
    let mut faults = vec![];
    match version.split('/').collect::<Vec<_>>()[..] {
        [""] => faults.push(Cause::required(path, "")),
        ["", ""] => faults.push(Cause::invalid(path, version, "version must be specified")),
        [version] => faults.extend(of_version(version, version, path)),
        [group, own] => {
            let complaints = meta::dns_1123_subdomain(group);
            if !group.is_empty() && !complaints.is_empty() {
                faults.push(Cause::invalid(path, group, &complaints.join(",")));
            }
            faults.extend(of_version(own, version, path));
        }
        _ => {
            let detail = format!("unexpected GroupVersion string: {version}");
            faults.push(Cause::invalid(path, version, &detail));
        }
    }
    let path = "spec.paramKind.kind";
    let kind = params.kind.as_deref().unwrap_or_default();
    let complaints = meta::dns_1035_label(&kind.to_lowercase());
    if kind.is_empty() {
        faults.push(Cause::required(path, ""));
    } else if !complaints.is_empty() {
        let complaints = complaints.join(",");
        let detail = format!("may have mixed case, but should otherwise match: {complaints}");
        faults.push(Cause::invalid(path, kind, &detail));
    }
    faults
}

fn of_version(version: &str, whole: &str, path: &str) -> Option<Cause> {
    if version.is_empty() {
        return Some(Cause::invalid(path, whole, "version must be specified"));
    }
    let complaints = meta::dns_1035_label(version);
    (!complaints.is_empty()).then(|| Cause::invalid(path, version, &complaints.join(",")))
}

fn variables(variables: Option<&[Variable]>) -> Vec<Cause> {
    let mut faults = vec![];
    for (at, variable) in variables.unwrap_or_default().iter().enumerate() {
        let path = format!("spec.variables[{at}]");
        let name = variable.name.as_str();
        let of_name = format!("{path}.name");
        if name.trim().is_empty() {
            faults.push(Cause::required(of_name, "name is not specified"));
        } else if !is_identifier(name) {
            faults.push(Cause::invalid(of_name, name, "name is not a valid CEL identifier"));
        }
        let path = format!("{path}.expression");
        let detail = "expression is not specified";
        faults.extend(expression::given(&variable.expression, detail, &path));
    }
    faults
}

fn is_identifier(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    first && name.bytes().all(inner) && !RESERVED.contains(&name)
}

fn validation(validation: &Validation, path: &str) -> Vec<Cause> {
    let at = |field: &str| format!("{path}.{field}");
    let mut faults = vec![];
    let detail = "expression is not specified";
    faults.extend(expression::given(&validation.expression, detail, &at("expression")));
    let text = validation.message_expression.as_deref().unwrap_or_default();
    if !text.is_empty() && text.trim().is_empty() {
        let detail = "must be non-empty if specified";
        faults.push(Cause::invalid(at("messageExpression"), text, detail));
    }
    let message = validation.message.as_deref().unwrap_or_default();
    if !message.is_empty() && message.trim().is_empty() {
        let detail = "message must be non-empty if specified";
        faults.push(Cause::invalid(at("message"), message, detail));
    } else if message.trim().contains(['\n', '\r']) {
        let detail = "message must not contain line breaks";
        faults.push(Cause::invalid(at("message"), message, detail));
    }
    faults.extend(choice(validation.reason.as_ref(), REASONS, &at("reason")));
    faults
}

fn audit_annotation(annotation: &AuditAnnotation, policy: &str, path: &str) -> Vec<Cause> {
    let of_key = format!("{path}.key");
    let mut faults = if policy.is_empty() {
        let detail = "requires metadata.name be non-empty";
        vec![Cause::invalid(of_key, annotation.key.as_str(), detail)]
    } else {
        let whole = format!("{policy}/{}", annotation.key);
        all(&of_key, &whole, meta::qualified_name(&whole))
    };
    let path = format!("{path}.valueExpression");
    let text = annotation.value_expression.as_str();
    let detail = "valueExpression is not specified";
    faults.extend(expression::given(text, detail, &path));
    if text.trim().len() > MAX_AUDIT_EXPRESSION {
        let detail = format!("must not exceed {MAX_AUDIT_EXPRESSION} bytes in length");
        faults.push(Cause::required(path, &detail));
    }
    faults
}

fn mutation(mutation: &Mutation, path: &str) -> Vec<Cause> {
    let kind = mutation.patch_type.as_str();
    let of_type = format!("{path}.patchType");
    if kind.is_empty() {
        return vec![Cause::required(of_type, "")];
    }
    if !PATCH_TYPES.contains(&kind) {
        return vec![Cause::not_supported(of_type, kind, PATCH_TYPES)];
    }
    let apply = mutation.apply_configuration.as_ref().map(|own| own.expression.clone());
    let patch = mutation.json_patch.as_ref().map(|own| own.expression.clone());
    let forms =
        [("ApplyConfiguration", "applyConfiguration", apply), ("JSONPatch", "jsonPatch", patch)];
    let mut faults = vec![];
    for (own, field, given) in forms {
        let path = format!("{path}.{field}");
        match (own == kind, given) {
            (true, None) => {
                let detail = format!("must be specified when patchType is {kind}");
                faults.push(Cause::required(path, &detail));
            }
            (true, Some(text)) => {
                let path = format!("{path}.expression");
                let detail = "expression is not specified";
                let text = text.unwrap_or_default();
                faults.extend(expression::given(&text, detail, &path));
            }
            (false, Some(_)) => {
                let detail = format!("must not be specified when patchType is {kind}");
                faults.push(Cause::invalid(path, "{}", &detail));
            }
            (false, None) => {}
        }
    }
    faults
}

/// The faults of a ValidatingAdmissionPolicyBinding.
pub(crate) fn validating_admission_policy_binding(
    binding: &ValidatingAdmissionPolicyBinding,
) -> Vec<Cause> {
    let spec = &binding.spec;
    let mut faults =
        bound(&spec.policy_name, spec.param_ref.as_ref(), spec.match_resources.as_ref());
    let path = "spec.validationActions";
    let actions = &spec.validation_actions;
    for (at, action) in actions.iter().enumerate() {
        let path = format!("{path}[{at}]");
        faults.extend(choice(Some(action), ACTIONS, &path));
        if actions[..at].contains(action) {
            faults.push(Cause::duplicate(path, action.as_str()));
        }
    }
    let has = |name: &str| actions.iter().any(|action| action == name);
    if has("Deny") && has("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure \
                      information in the API response and headers serves no purpose)";
        faults.push(Cause::invalid(path, json!(actions), detail));
    }
    if actions.is_empty() {
        faults.push(Cause::required(path, "at least one validation action is required"));
    }
    faults
}

/// The faults of a MutatingAdmissionPolicyBinding.
pub(crate) fn mutating_admission_policy_binding(
    binding: &MutatingAdmissionPolicyBinding,
) -> Vec<Cause> {
    let spec = binding.spec.clone().unwrap_or_default();
    let policy = spec.policy_name.unwrap_or_default();
    bound(&policy, spec.param_ref.as_ref(), spec.match_resources.as_ref())
}

fn bound(
    policy: &str,
    params: Option<&ParamRef>,
    resources: Option<&MatchResources>,
) -> Vec<Cause> {
    let path = "spec.policyName";
    let mut faults = match policy {
        "" => vec![Cause::required(path, "")],
        name => all(path, name, meta::dns_1123_subdomain(name)),
    };
    if let Some(params) = params {
        faults.extend(param_ref(params, "spec.paramRef"));
    }
    if let Some(resources) = resources {
        // Kubernetes spells the path so.
        faults.extend(match_resources(resources, "spec.matchResouces"));
    }
    faults
}

fn param_ref(params: &ParamRef, path: &str) -> Vec<Cause> {
    let name = params.name.as_deref().unwrap_or_default();
    let exclusive = "name and selector are mutually exclusive";
    let mut faults = vec![];
    if !name.is_empty() {
        let of_name = format!("{path}.name");
        faults.extend(all(&of_name, name, meta::path_segment(name)));
        if params.selector.is_some() {
            faults.push(Cause::forbidden(of_name, exclusive));
        }
    }
    match &params.selector {
        Some(selector) => {
            let of_selector = format!("{path}.selector");
            faults.extend(label_selector(selector, &of_selector));
            if !name.is_empty() {
                faults.push(Cause::forbidden(of_selector, exclusive));
            }
        }
        None if name.is_empty() => {
            faults.push(Cause::required(path, "one of name or selector must be specified"));
        }
        None => {}
    }
    let path = format!("{path}.parameterNotFoundAction");
    match params.parameter_not_found_action.as_ref().filter(|action| !action.is_empty()) {
        None => faults.push(Cause::required(path, "")),
        action => faults.extend(choice(action, NOT_FOUND_ACTIONS, &path)),
    }
    faults
}

/// The faults of a ValidatingAdmissionPolicy's status.
pub(crate) fn validating_admission_policy_status(policy: &ValidatingAdmissionPolicy) -> Vec<Cause> {
    let checked = policy.status.as_ref().and_then(|status| status.type_checking.as_ref());
    let warnings = checked.and_then(|own| own.expression_warnings.as_deref()).unwrap_or_default();
    let mut faults = vec![];
    for (at, warning) in warnings.iter().enumerate() {
        let path = format!("status.typeChecking.expressionWarnings[{at}]");
        if warning.warning.is_empty() {
            faults.push(Cause::required(format!("{path}.warning"), ""));
        }
        if warning.field_ref.trim().is_empty() {
            faults.push(Cause::required(format!("{path}.fieldRef"), ""));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{lines, object};
    use super::*;
    use crate::Strategy;
    use serde_json::Value;

    fn constraints() -> Value {
        json!({"resourceRules": [{"operations": ["CREATE"], "apiGroups": ["apps"],
            "apiVersions": ["v1"], "resources": ["deployments"]}]})
    }

    fn of(change: Value) -> Vec<String> {
        let mut spec = json!({"matchConstraints": constraints(),
            "validations": [{"expression": "object.spec.replicas <= 5"}]});
        json_patch::merge(&mut spec, &change);
        let mut policy: ValidatingAdmissionPolicy =
            object(json!({"metadata": {"name": "p.example.com"}, "spec": spec}));
        policy.default_fields();
        lines(validating_admission_policy(&policy))
    }

    #[test]
    fn validating_policies() {
        for (change, expected) in [
            (json!({}), &[][..]),
            (
                json!({"paramKind": {"apiVersion": "rules.example.com/v1", "kind": "ReplicaLimit"},
                    "variables": [{"name": "x", "expression": "1"}],
                    "auditAnnotations": [{"key": "k", "valueExpression": "'a'"}]}),
                &[],
            ),
            (json!({"matchConstraints": null}), &["spec.matchConstraints: Required value"]),
            (
                json!({"matchConstraints": {"resourceRules": []}}),
                &["spec.matchConstraints.resourceRules: Required value"],
            ),
            (
                json!({"validations": null}),
                &[
                    "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
                    "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
                ],
            ),
            (
                json!({"validations": [{"expression": " ", "message": "a\nb", "messageExpression": " ", "reason": "X"}]}),
                &[
                    "spec.validations[0].expression: Required value: expression is not specified",
                    "spec.validations[0].messageExpression: Invalid value: \" \": must be non-empty if specified",
                    "spec.validations[0].message: Invalid value: \"a\\nb\": message must not contain line breaks",
                    "spec.validations[0].reason: Unsupported value: \"X\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\"",
                ],
            ),
            (
                json!({"variables": [{"name": "while", "expression": ""}]}),
                &[
                    "spec.variables[0].name: Invalid value: \"while\": name is not a valid CEL identifier",
                    "spec.variables[0].expression: Required value: expression is not specified",
                ],
            ),
            (
                json!({"paramKind": {"apiVersion": "a/b/c"}}),
                &[
                    "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
                    "spec.paramKind.kind: Required value",
                ],
            ),
            (
                json!({"auditAnnotations": [{"key": "k", "valueExpression": "'a'"},
                    {"key": "k", "valueExpression": ""}]}),
                &[
                    "spec.auditAnnotations[1].valueExpression: Required value: valueExpression is not specified",
                    "spec.auditAnnotations[1].key: Duplicate value: \"k\"",
                ],
            ),
        ] {
            assert_eq!(of(change.clone()), expected, "{change}");
        }
    }

    #[test]
    fn mutating_policies() {
        let of = |mutations: Value| {
            let mut policy: MutatingAdmissionPolicy = object(json!({"spec": {
                "matchConstraints": constraints(), "mutations": mutations,
                "reinvocationPolicy": "Never"}}));
            policy.default_fields();
            lines(mutating_admission_policy(&policy))
        };
        assert_eq!(
            of(json!([{"patchType": "JSONPatch",
                "jsonPatch": {"expression": "[JSONPatch{op: 'remove', path: '/a'}]"}}])),
            Vec::<String>::new()
        );
        assert_eq!(
            of(json!([])),
            ["spec.mutations: Required value: mutations must contain at least one item"]
        );
        assert_eq!(
            of(json!([{"patchType": "X"}, {"patchType": "JSONPatch", "applyConfiguration": {}}])),
            [
                "spec.mutations[0].patchType: Unsupported value: \"X\": supported values: \"ApplyConfiguration\", \"JSONPatch\"",
                "spec.mutations[1].applyConfiguration: Invalid value: \"{}\": must not be specified when patchType is JSONPatch",
                "spec.mutations[1].jsonPatch: Required value: must be specified when patchType is JSONPatch",
            ]
        );
    }

    #[test]
    fn bindings() {
        let of = |change: Value| {
            let mut spec = json!({"policyName": "p", "validationActions": ["Deny"]});
            json_patch::merge(&mut spec, &change);
            let mut binding: ValidatingAdmissionPolicyBinding = object(json!({ "spec": spec }));
            binding.default_fields();
            lines(validating_admission_policy_binding(&binding))
        };
        let named = json!({"name": "a", "parameterNotFoundAction": "Deny"});
        assert_eq!(of(json!({"paramRef": named, "matchResources": {}})), Vec::<String>::new());
        for (change, expected) in [
            (json!({"policyName": ""}), &["spec.policyName: Required value"][..]),
            (
                json!({"validationActions": []}),
                &[
                    "spec.validationActions: Required value: at least one validation action is required",
                ],
            ),
            (
                json!({"validationActions": ["Deny", "Warn", "Warn"]}),
                &[
                    "spec.validationActions[2]: Duplicate value: \"Warn\"",
                    "spec.validationActions: Invalid value: [\"Deny\",\"Warn\",\"Warn\"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)",
                ],
            ),
            (
                json!({"paramRef": {}}),
                &[
                    "spec.paramRef: Required value: one of name or selector must be specified",
                    "spec.paramRef.parameterNotFoundAction: Required value",
                ],
            ),
            (
                json!({"paramRef": {"name": "a", "selector": {}, "parameterNotFoundAction": "Deny"}}),
                &[
                    "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
                    "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
                ],
            ),
        ] {
            assert_eq!(of(change.clone()), expected, "{change}");
        }
    }
}
