//! SelfSubjectAccessReview, SubjectAccessReview, LocalSubjectAccessReview: may somebody do
//! something (`pkg/apis/authorization/validation`, `pkg/registry/authorization`).

use std::collections::BTreeMap;

use coracle_api::selector::FieldSelector;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, invalid, spec};
use crate::authn::Identity;
use crate::authz::{Attributes, Decision, ResourceAttributes};
use crate::error::{ApiError, Cause, Result};
use crate::registry::ApiResource;

/// The specs of the three kinds in one.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
    resource_attributes: Option<Resource>,
    non_resource_attributes: Option<Path>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Resource {
    namespace: String,
    verb: String,
    group: String,
    resource: String,
    subresource: String,
    name: String,
    field_selector: Option<Narrowing>,
    label_selector: Option<Narrowing>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Path {
    path: String,
    verb: String,
}

/// `FieldSelectorAttributes`, `LabelSelectorAttributes`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Narrowing {
    raw_selector: String,
    requirements: Vec<Requirement>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Requirement {
    key: String,
    operator: String,
    values: Vec<String>,
}

pub(super) async fn status(
    call: &Call,
    names: &ApiResource,
    review: &mut Map<String, Value>,
) -> Result<Value> {
    let spec: Spec = spec(names, review)?;
    let own = &*names.kind == "SelfSubjectAccessReview";
    let mut causes = faults(&spec, own);
    if names.namespaced {
        causes.extend(local_faults(call, &spec, review)?);
    }
    if !causes.is_empty() {
        return Err(invalid(names, causes));
    }
    let other = (!own).then(|| Identity {
        name: spec.user,
        uid: spec.uid,
        groups: spec.groups,
        extra: spec.extra.into_iter().map(|(key, v)| (key.to_lowercase(), v)).collect(),
    });
    let identity = other.as_ref().unwrap_or(&call.identity);
    let fields = spec.resource_attributes.as_ref().and_then(|asked| asked.field_selector.as_ref());
    let fields = fields.and_then(Narrowing::fields);
    let attributes = match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(asked), _) => Attributes {
            identity,
            verb: &asked.verb,
            resource: Some(ResourceAttributes {
                group: &asked.group,
                resource: &asked.resource,
                subresource: &asked.subresource,
                namespace: &asked.namespace,
                name: &asked.name,
                fields: fields.as_ref(),
            }),
            path: "",
        },
        (None, Some(asked)) => {
            Attributes { identity, verb: &asked.verb, resource: None, path: &asked.path }
        }
        (None, None) => return Err(ApiError::bad_request("nothing is asked")),
    };
    let server = &call.server;
    let (allowed, reason) = match server.authorizer.authorize(&*server.store, &attributes).await? {
        Decision::Allow(granted) => (true, granted.to_string()),
        Decision::Refuse(reason) => (false, reason),
    };
    Ok(if reason.is_empty() {
        json!({ "allowed": allowed })
    } else {
        json!({ "allowed": allowed, "reason": reason })
    })
}

fn faults(spec: &Spec, own: bool) -> Vec<Cause> {
    let mut causes = vec![];
    match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(_), Some(asked)) => {
            let value = json!({ "path": asked.path, "verb": asked.verb });
            let detail = "cannot be specified in combination with resourceAttributes";
            causes.push(Cause::invalid("spec.nonResourceAttributes", value, detail));
        }
        (None, None) => {
            let detail =
                "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            causes.push(Cause::invalid("spec.resourceAttributes", Value::Null, detail));
        }
        _ => {}
    }
    if !own && spec.user.is_empty() && spec.groups.is_empty() {
        let detail = "at least one of user or group must be specified";
        causes.push(Cause::invalid("spec.user", "", detail));
    }
    if let Some(asked) = &spec.resource_attributes {
        let narrowings =
            [("fieldSelector", &asked.field_selector), ("labelSelector", &asked.label_selector)];
        for (field, narrowing) in narrowings {
            let path = format!("spec.resourceAttributes.{field}");
            causes.extend(narrowing.iter().flat_map(|narrowing| narrowing.faults(&path)));
        }
    }
    causes
}

/// What only a question inside a namespace can do wrong. It is about that namespace.
fn local_faults(call: &Call, spec: &Spec, review: &mut Map<String, Value>) -> Result<Vec<Cause>> {
    let namespace = &call.target.namespace;
    let metadata = review.entry("metadata").or_insert_with(|| json!({}));
    let given = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
    if !given.is_empty() && given != namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("namespace".into(), json!(namespace));
    }
    let mut causes = vec![];
    if let Some(asked) = spec.resource_attributes.as_ref()
        && asked.namespace != *namespace
    {
        let field = "spec.resourceAttributes.namespace";
        causes.push(Cause::invalid(field, &*asked.namespace, "must match metadata.namespace"));
    }
    if let Some(asked) = &spec.non_resource_attributes {
        let value = json!({ "path": asked.path, "verb": asked.verb });
        let detail = "disallowed on this kind of request";
        causes.push(Cause::invalid("spec.nonResourceAttributes", value, detail));
    }
    Ok(causes)
}

impl Narrowing {
    fn faults(&self, path: &str) -> Vec<Cause> {
        if !self.raw_selector.is_empty() && !self.requirements.is_empty() {
            let detail = "may not specified at the same time as requirements";
            return vec![Cause::invalid(
                format!("{path}.rawSelector"),
                &*self.raw_selector,
                detail,
            )];
        }
        if self.raw_selector.is_empty() && self.requirements.is_empty() {
            let detail =
                format!("when {path} is specified, requirements or rawSelector is required");
            return vec![Cause::required(format!("{path}.requirements"), &detail)];
        }
        let mut causes = vec![];
        for (at, requirement) in self.requirements.iter().enumerate() {
            let path = format!("{path}.requirements[{at}]");
            if requirement.key.is_empty() {
                causes.push(Cause::required(format!("{path}.key"), "must be specified"));
            }
            let values = requirement.values.is_empty();
            match &*requirement.operator {
                "In" | "NotIn" if values => {
                    let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                    causes.push(Cause::required(format!("{path}.values"), detail));
                }
                "Exists" | "DoesNotExist" if !values => {
                    let detail =
                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    causes.push(Cause::forbidden(format!("{path}.values"), detail));
                }
                "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
                other => {
                    let detail = "not a valid selector operator";
                    causes.push(Cause::invalid(format!("{path}.operator"), other, detail));
                }
            }
        }
        causes
    }

    /// The selector, as far as it can be understood: what is left out only asks for more.
    fn fields(&self) -> Option<FieldSelector> {
        if !self.raw_selector.is_empty() {
            return self.raw_selector.parse().ok();
        }
        let escaped =
            |text: &str| text.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
        let terms: Vec<_> = self
            .requirements
            .iter()
            .filter_map(|requirement| match requirement.values.as_slice() {
                [only] if requirement.operator == "In" => {
                    Some(format!("{}={}", requirement.key, escaped(only)))
                }
                _ => None,
            })
            .collect();
        terms.join(",").parse().ok()
    }
}
