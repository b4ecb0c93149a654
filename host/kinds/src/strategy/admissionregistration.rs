//! The kinds of `admissionregistration.k8s.io`: webhooks, and policies with their bindings.

use coracle_api::cause::Cause;
use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
    MutatingWebhookConfiguration, ParamKind, ParamRef, ServiceReference, TypeChecking,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyStatus,
    ValidatingWebhookConfiguration,
};
use serde_json::{Value, json};

use super::generation;
use super::table::{AGE, NAME, age, column, name};
use crate::{Column, Names, Part, Rules, Strategy};
use crate::{admission, validation};

const RULES: Rules = Rules { unconditional_update: false, ..Rules::USUAL };
const HTTPS: i32 = 443;
/// How long a webhook may take that says nothing else, in seconds.
const TIMEOUT: i32 = 10;

const fn names(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    status: bool,
) -> Names {
    Names {
        group: "admissionregistration.k8s.io",
        version: "v1",
        kind,
        plural,
        singular,
        short: &[],
        categories: &["api-extensions"],
        namespaced: false,
        status,
    }
}

fn fill(text: &mut Option<String>, usual: &str) {
    text.get_or_insert_with(|| usual.into());
}

fn default_service(service: Option<&mut ServiceReference>) {
    if let Some(service) = service {
        service.port.get_or_insert(HTTPS);
    }
}

fn default_match(resources: Option<&mut MatchResources>) {
    let Some(resources) = resources else { return };
    fill(&mut resources.match_policy, "Equivalent");
    resources.namespace_selector.get_or_insert_default();
    resources.object_selector.get_or_insert_default();
    let rules = [&mut resources.resource_rules, &mut resources.exclude_resource_rules];
    for rule in rules.into_iter().flatten().flatten() {
        fill(&mut rule.scope, "*");
    }
}

/// The columns of both configurations of webhooks.
const WEBHOOK_COLUMNS: &[Column] =
    &[NAME, column("Webhooks", "integer", "How many webhooks are configured."), AGE];

impl Strategy for ValidatingWebhookConfiguration {
    const NAMES: Names = names(
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        "validatingwebhookconfiguration",
        false,
    );
    const RULES: Rules = RULES;
    const COLUMNS: &'static [Column] = WEBHOOK_COLUMNS;
    const BYTES: &'static [&'static [&'static str]] =
        &[&["webhooks", "*", "clientConfig", "caBundle"]];

    fn default_fields(&mut self) {
        for hook in self.webhooks.iter_mut().flatten() {
            default_service(hook.client_config.service.as_mut());
            fill(&mut hook.failure_policy, "Fail");
            fill(&mut hook.match_policy, "Equivalent");
            hook.namespace_selector.get_or_insert_default();
            hook.object_selector.get_or_insert_default();
            hook.timeout_seconds.get_or_insert(TIMEOUT);
            hook.rules.iter_mut().flatten().for_each(|rule| fill(&mut rule.scope, "*"));
        }
    }

    fn prepare_create(&mut self) {
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, _part: Part) {
        generation::count(self, old, self.webhooks != old.webhooks);
    }

    fn validate(&self) -> Vec<Cause> {
        validation::validating_webhook_configuration(self)
    }

    fn row(&self) -> Vec<Value> {
        vec![name(self), json!(self.webhooks.as_ref().map_or(0, Vec::len)), age(self)]
    }
}

impl Strategy for MutatingWebhookConfiguration {
    const NAMES: Names = names(
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        "mutatingwebhookconfiguration",
        false,
    );
    const RULES: Rules = RULES;
    const COLUMNS: &'static [Column] = WEBHOOK_COLUMNS;
    const BYTES: &'static [&'static [&'static str]] =
        &[&["webhooks", "*", "clientConfig", "caBundle"]];

    fn default_fields(&mut self) {
        for hook in self.webhooks.iter_mut().flatten() {
            default_service(hook.client_config.service.as_mut());
            fill(&mut hook.failure_policy, "Fail");
            fill(&mut hook.match_policy, "Equivalent");
            fill(&mut hook.reinvocation_policy, "Never");
            hook.namespace_selector.get_or_insert_default();
            hook.object_selector.get_or_insert_default();
            hook.timeout_seconds.get_or_insert(TIMEOUT);
            hook.rules.iter_mut().flatten().for_each(|rule| fill(&mut rule.scope, "*"));
        }
    }

    fn prepare_create(&mut self) {
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, _part: Part) {
        generation::count(self, old, self.webhooks != old.webhooks);
    }

    fn validate(&self) -> Vec<Cause> {
        validation::mutating_webhook_configuration(self)
    }

    fn row(&self) -> Vec<Value> {
        vec![name(self), json!(self.webhooks.as_ref().map_or(0, Vec::len)), age(self)]
    }
}

fn shown_kind(kind: Option<&ParamKind>) -> Value {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let shown = kind.map(|kind| format!("{}/{}", text(&kind.api_version), text(&kind.kind)));
    json!(shown.unwrap_or_else(|| "<unset>".into()))
}

fn shown_ref(params: Option<&ParamRef>) -> Value {
    let Some(params) = params else { return json!("<unset>") };
    let name = params.name.as_deref().unwrap_or_default();
    match params.namespace.as_deref() {
        Some(namespace) if !namespace.is_empty() => json!(format!("{namespace}/{name}")),
        _ => json!(name),
    }
}

/// The status of a policy whose expressions have been looked at.
fn checked(policy: &ValidatingAdmissionPolicy) -> ValidatingAdmissionPolicyStatus {
    let warnings = policy.spec.as_ref().map(admission::warnings).unwrap_or_default();
    let expression_warnings = (!warnings.is_empty()).then_some(warnings);
    ValidatingAdmissionPolicyStatus {
        observed_generation: policy.metadata.generation,
        type_checking: Some(TypeChecking { expression_warnings }),
        ..policy.status.clone().unwrap_or_default()
    }
}

impl Strategy for ValidatingAdmissionPolicy {
    const NAMES: Names = names(
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        "validatingadmissionpolicy",
        true,
    );
    const RULES: Rules = RULES;
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Validations", "integer", "How many rules the policy has."),
        column("ParamKind", "string", "The kind of its parameters."),
        AGE,
    ];

    fn default_fields(&mut self) {
        let Some(spec) = &mut self.spec else { return };
        fill(&mut spec.failure_policy, "Fail");
        default_match(spec.match_constraints.as_mut());
    }

    fn prepare_create(&mut self) {
        generation::start(self);
        self.status = None;
        self.status = Some(checked(self));
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        if part == Part::Main {
            self.status = old.status.clone();
            generation::count(self, old, self.spec != old.spec);
            if self.metadata.generation != old.metadata.generation {
                self.status = Some(checked(self));
            }
        } else {
            self.spec = old.spec.clone();
            generation::count(self, old, false);
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::validating_admission_policy(self)
    }

    fn validate_update(&self, _old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => vec![],
            _ => validation::validating_admission_policy_status(self),
        }
    }

    fn row(&self) -> Vec<Value> {
        let spec = self.spec.as_ref();
        let validations = spec.and_then(|spec| spec.validations.as_ref());
        vec![
            name(self),
            json!(validations.map_or(0, Vec::len)),
            shown_kind(spec.and_then(|spec| spec.param_kind.as_ref())),
            age(self),
        ]
    }
}

impl Strategy for MutatingAdmissionPolicy {
    const NAMES: Names = names(
        "MutatingAdmissionPolicy",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicy",
        false,
    );
    const RULES: Rules = RULES;
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Mutations", "integer", "How many changes the policy makes."),
        column("ParamKind", "string", "The kind of its parameters."),
        AGE,
    ];

    fn default_fields(&mut self) {
        let Some(spec) = &mut self.spec else { return };
        fill(&mut spec.failure_policy, "Fail");
        default_match(spec.match_constraints.as_mut());
    }

    fn prepare_create(&mut self) {
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, _part: Part) {
        generation::count(self, old, self.spec != old.spec);
    }

    fn validate(&self) -> Vec<Cause> {
        validation::mutating_admission_policy(self)
    }

    fn row(&self) -> Vec<Value> {
        let spec = self.spec.as_ref();
        let mutations = spec.and_then(|spec| spec.mutations.as_ref());
        vec![
            name(self),
            json!(mutations.map_or(0, Vec::len)),
            shown_kind(spec.and_then(|spec| spec.param_kind.as_ref())),
            age(self),
        ]
    }
}

/// The columns of both kinds of bindings.
const BINDING_COLUMNS: &[Column] = &[
    NAME,
    column("PolicyName", "string", "The policy that is put to use."),
    column("ParamRef", "string", "Its parameters."),
    AGE,
];

impl Strategy for ValidatingAdmissionPolicyBinding {
    const NAMES: Names = names(
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        "validatingadmissionpolicybinding",
        false,
    );
    const RULES: Rules = RULES;
    const COLUMNS: &'static [Column] = BINDING_COLUMNS;

    fn default_fields(&mut self) {
        default_match(self.spec.match_resources.as_mut());
    }

    fn prepare_create(&mut self) {
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, _part: Part) {
        generation::count(self, old, self.spec != old.spec);
    }

    fn validate(&self) -> Vec<Cause> {
        validation::validating_admission_policy_binding(self)
    }

    fn row(&self) -> Vec<Value> {
        let params = shown_ref(self.spec.param_ref.as_ref());
        vec![name(self), json!(self.spec.policy_name), params, age(self)]
    }
}

impl Strategy for MutatingAdmissionPolicyBinding {
    const NAMES: Names = names(
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        "mutatingadmissionpolicybinding",
        false,
    );
    const RULES: Rules = RULES;
    const COLUMNS: &'static [Column] = BINDING_COLUMNS;

    fn default_fields(&mut self) {
        default_match(self.spec.as_mut().and_then(|spec| spec.match_resources.as_mut()));
    }

    fn prepare_create(&mut self) {
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, _part: Part) {
        generation::count(self, old, self.spec != old.spec);
    }

    fn validate(&self) -> Vec<Cause> {
        validation::mutating_admission_policy_binding(self)
    }

    fn row(&self) -> Vec<Value> {
        let spec = self.spec.as_ref();
        let policy = spec.and_then(|spec| spec.policy_name.as_deref()).unwrap_or_default();
        let params = shown_ref(spec.and_then(|spec| spec.param_ref.as_ref()));
        vec![name(self), json!(policy), params, age(self)]
    }
}
