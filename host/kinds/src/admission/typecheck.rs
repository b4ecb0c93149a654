//! What a policy's expressions would do to the types that it is for. They are compiled without
//! knowing types, so that what does not fit is no error: it is told of in the policy's status.
//! Knows the built-in kinds; what is of a kind that was defined at run time is not checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_cel::{Env, Type};
use k8s_openapi::api::admissionregistration::v1::{
    ExpressionWarning, NamedRuleWithOperations, ParamKind, ValidatingAdmissionPolicySpec,
};
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{Variables, env};
use crate::{ApiResource, Kind, table};

/// How many types a policy is checked against.
const TYPES: usize = 10;
/// What the message of an expression that cannot be compiled begins with.
const STAGE: &str = "compilation failed: ";

/// What is wrong with a policy's rules, if the objects are of the types that it names.
pub fn warnings(spec: &ValidatingAdmissionPolicySpec) -> Vec<ExpressionWarning> {
    let kinds = table();
    let types = types(spec, &kinds);
    let params = spec.param_kind.as_ref().map(|params| param_type(params, &kinds));
    let variables = spec.variables.as_deref().unwrap_or_default();
    let environments: Vec<_> = types
        .into_iter()
        .map(|(id, r#type)| {
            let known = env(params.is_some())
                .variable("object", r#type.clone())
                .variable("oldObject", r#type);
            let known = match &params {
                Some(params) => known.variable("params", params.clone()),
                None => known,
            };
            (id, Variables::new(known, variables).1)
        })
        .collect();
    let mut found = vec![];
    for (at, rule) in spec.validations.iter().flatten().enumerate() {
        let message = rule.message_expression.as_deref().unwrap_or_default();
        for (field, text) in [("expression", &*rule.expression), ("messageExpression", message)] {
            let warning = check(text, &environments);
            if !text.is_empty() && !warning.is_empty() {
                let field_ref = format!("spec.validations[{at}].{field}");
                found.push(ExpressionWarning { field_ref, warning });
            }
        }
    }
    found
}

/// What is wrong with an expression, a paragraph a type.
fn check(text: &str, environments: &[(Id, Env)]) -> String {
    let wrong = environments.iter().filter_map(|((group, version, kind), env)| {
        let why = env.compile(text, &[]).err()?.message;
        let slash = if group.is_empty() { "" } else { "/" };
        let why = why.strip_prefix(STAGE).unwrap_or(&why);
        Some(format!("{group}{slash}{version}, Kind={kind}: {why}\n"))
    });
    wrong.collect::<Vec<_>>().join("\n")
}

/// Group, version and kind.
type Id = (String, String, String);

/// The types that the rules of a policy name, without what they name by wildcards.
fn types(spec: &ValidatingAdmissionPolicySpec, kinds: &[Arc<dyn Kind>]) -> BTreeMap<Id, Type> {
    let resources = spec.match_constraints.as_ref();
    let rules = resources.and_then(|matched| matched.resource_rules.as_deref()).unwrap_or_default();
    let mut found = BTreeMap::new();
    for rule in rules {
        let named = kinds.iter().filter(|kind| names(rule, kind.names()));
        for kind in named.take(TYPES) {
            if found.len() == TYPES {
                return found;
            }
            found.extend(type_of(&**kind));
        }
    }
    found
}

fn names(rule: &NamedRuleWithOperations, names: &ApiResource) -> bool {
    let listed = |list: &Option<Vec<String>>, wanted: &str| {
        let list = list.as_deref().unwrap_or_default();
        !list.iter().any(|item| item.contains('*')) && list.iter().any(|item| item == wanted)
    };
    listed(&rule.api_groups, &names.group)
        && listed(&rule.api_versions, &names.version)
        && rule.resources.iter().flatten().any(|resource| *resource == *names.plural)
}

fn type_of(kind: &dyn Kind) -> Option<(Id, Type)> {
    let ApiResource { group, version, kind: name, .. } = kind.names();
    let mut generator = SchemaSettings::openapi3().into_generator();
    let schema = Value::from(kind.schema(&mut generator));
    let definitions = Value::Object(generator.take_definitions(true));
    let document = Arc::new(json!({ "components": { "schemas": definitions } }));
    let r#type = Type::of_schema(name, &schema, &document, true)?;
    Some(((group.to_string(), version.to_string(), name.to_string()), r#type))
}

/// The type of a policy's parameters; anything if the kind is not known here.
fn param_type(wanted: &ParamKind, kinds: &[Arc<dyn Kind>]) -> Type {
    let is = |kind: &&Arc<dyn Kind>| {
        let names = kind.names();
        wanted.api_version.as_deref() == Some(&names.api_version())
            && wanted.kind.as_deref() == Some(&names.kind)
    };
    let known = kinds.iter().find(is).and_then(|kind| type_of(&**kind));
    known.map_or(Type::Dyn, |(_, r#type)| r#type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(groups: Value, resources: Value, more: Value) -> Vec<(String, String)> {
        let mut spec = json!({
            "matchConstraints": {"resourceRules": [{"apiGroups": groups, "apiVersions": ["v1"],
                "operations": ["*"], "resources": resources}]},
        });
        json_patch::merge(&mut spec, &more);
        let spec: ValidatingAdmissionPolicySpec = serde_json::from_value(spec).unwrap();
        let found = warnings(&spec).into_iter();
        found.map(|ExpressionWarning { field_ref, warning }| (field_ref, warning)).collect()
    }

    #[test]
    fn what_does_not_fit_the_types_is_told_of() {
        let rules = json!({"validations": [
            {"expression": "object.spec.replicas > '1'"},
            {"expression": "object.spec.replicas > 1", "messageExpression": "object.nothing"},
        ]});
        let found = warned(json!(["apps"]), json!(["deployments", "deployments/scale"]), rules);
        let expected = [
            (
                "spec.validations[0].expression",
                "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for \
                 '_>_' applied to '(int, string)'\n | object.spec.replicas > '1'\n \
                 | .....................^\n",
            ),
            (
                "spec.validations[1].messageExpression",
                "apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'nothing'\n \
                 | object.nothing\n | ......^\n",
            ),
        ];
        let expected = expected.map(|(field, warning)| (field.to_owned(), warning.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn every_type_is_named() {
        let rules = json!({"validations": [{"expression": "object.spec.selector.app == 'a'"}]});
        let found = warned(json!(["apps"]), json!(["statefulsets", "deployments"]), rules);
        let kinds: Vec<_> =
            found[0].1.lines().filter_map(|line| line.split_once(": ERROR")).collect();
        let kinds: Vec<_> = kinds.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, ["apps/v1, Kind=Deployment", "apps/v1, Kind=StatefulSet"]);
    }

    #[test]
    fn what_is_not_named_or_not_known_is_not_checked() {
        let rules = json!({"validations": [{"expression": "object.nothing"}]});
        for (groups, resources) in [
            (json!(["*"]), json!(["deployments"])),
            (json!(["apps"]), json!(["*"])),
            (json!(["example.com"]), json!(["deployments"])),
        ] {
            let shown = format!("{groups} {resources}");
            assert!(warned(groups, resources, rules.clone()).is_empty(), "{shown}");
        }
    }

    #[test]
    fn parameters_and_variables_have_types_too() {
        let rules = |kind: &str| {
            json!({
                "paramKind": {"apiVersion": "v1", "kind": kind},
                "variables": [{"name": "wanted", "expression": "params.data"}],
                "validations": [{"expression": "variables.wanted == 1"}],
            })
        };
        let (groups, resources) = (json!(["apps"]), json!(["deployments"]));
        assert_eq!(warned(groups.clone(), resources.clone(), rules("ConfigMap")).len(), 1);
        assert_eq!(warned(groups, resources, rules("Unknown")).len(), 0);
    }
}
