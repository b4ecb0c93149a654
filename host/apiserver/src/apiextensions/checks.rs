//! What a version of a kind demands of its objects
//! (`k8s.io/apiextensions-apiserver/pkg/registry/customresource`).

use coracle_kinds::apiextensions::rules::Programs;
use coracle_schema::structural::{Structural, listtype, metadata, validate};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceSubresourceScale;
use serde_json::{Map, Value};

use super::object::CustomResource;
use crate::error::{Cause, CauseReason};
use crate::registry::{ApiResource, Part, Scale};

/// The demands of one version.
#[derive(Debug)]
pub(crate) struct Checks {
    api_version: String,
    pub(super) schema: Structural,
    scale: Option<CustomResourceSubresourceScale>,
    programs: Option<Programs>,
    pub(super) defaults: bool,
    pub(super) embeds: bool,
}

/// The names along a path such as `.spec.replicas`.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.trim_start_matches('.').split('.')
}

fn at<'a>(content: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut steps = steps(path);
    let first = content.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

impl Checks {
    pub(super) fn new(
        names: &ApiResource,
        schema: Structural,
        written: &Value,
        scale: Option<CustomResourceSubresourceScale>,
    ) -> Self {
        Self {
            api_version: names.api_version(),
            programs: Programs::new(&schema, written, true),
            defaults: schema.has_defaults(),
            embeds: metadata::embeds(&schema),
            scale,
            schema,
        }
    }

    /// The faults of an object, or of the change from `old` to it.
    pub(super) fn faults(
        &self,
        new: &CustomResource,
        old: Option<&CustomResource>,
        part: Part,
    ) -> Vec<Cause> {
        let mut tree = new.tree();
        // Objects in memory have the stored version; its rules may compare the one they came in.
        if let Value::Object(fields) = &mut tree {
            fields.insert("apiVersion".into(), self.api_version.clone().into());
        }
        let before = old.map(|old| {
            let mut tree = old.tree();
            if let Value::Object(fields) = &mut tree {
                fields.insert("apiVersion".into(), self.api_version.clone().into());
            }
            tree
        });
        let mut faults = validate::validate("", &self.schema, &tree, before.as_ref());
        if let Some(scale) = &self.scale {
            if part == Part::Main {
                replicas(&new.content, &scale.spec_replicas_path, &mut faults);
            }
            replicas(&new.content, &scale.status_replicas_path, &mut faults);
            let selector = scale.label_selector_path.as_deref();
            let selector = selector.and_then(|path| Some((path, at(&new.content, path)?)));
            if let Some((path, value)) = selector.filter(|(_, value)| !value.is_string()) {
                let detail = format!(
                    "{path} accessor error: {value} is of the type {}, expected string",
                    go_type(value)
                );
                faults.push(Cause::invalid(path, "", &detail));
            }
        }
        if self.embeds {
            faults.extend(metadata::validate(&self.schema, &mut tree));
        }
        let lists = |tree: &Value| listtype::validate("", &self.schema, tree);
        if before.as_ref().is_none_or(|before| lists(before).is_empty()) {
            faults.extend(lists(&tree));
        }
        if let Some(programs) = &self.programs {
            if faults.iter().any(blocking) {
                let message = "Invalid value: \"null\": some validation rules were not checked \
                               because the object was invalid; correct the existing errors to \
                               complete validation";
                let reason = CauseReason::FieldValueInvalid;
                faults.push(Cause::new(reason, "<nil>", message.into()));
            } else {
                programs.run(&self.schema, &tree, before.as_ref(), &mut faults);
            }
        }
        faults
    }

    pub(super) fn scale_of(&self, object: &CustomResource) -> Option<Scale> {
        let scale = self.scale.as_ref()?;
        let number = |path: &str| {
            let value = at(&object.content, path).and_then(Value::as_i64);
            value.and_then(|value| i32::try_from(value).ok()).unwrap_or_default()
        };
        let selector = scale.label_selector_path.as_deref();
        let selector = selector.and_then(|path| at(&object.content, path)?.as_str());
        Some(Scale {
            desired: number(&scale.spec_replicas_path),
            current: number(&scale.status_replicas_path),
            selector: selector.unwrap_or_default().to_owned(),
        })
    }

    /// The way to the field that `scale` changes.
    pub(super) fn scale_field(&self) -> Vec<String> {
        let path = self.scale.as_ref().map_or("", |scale| &scale.spec_replicas_path);
        steps(path).map(str::to_owned).collect()
    }

    pub(super) fn set_scale(&self, object: &mut CustomResource, desired: i32) {
        let Some(scale) = &self.scale else { return };
        let mut steps: Vec<_> = steps(&scale.spec_replicas_path).collect();
        let Some(last) = steps.pop() else { return };
        let mut fields = &mut object.content;
        for step in steps {
            let below = fields.entry(step).or_insert_with(|| Value::Object(Map::new()));
            if !below.is_object() {
                *below = Value::Object(Map::new());
            }
            let Value::Object(below) = below else { return };
            fields = below;
        }
        fields.insert(last.to_owned(), desired.into());
    }
}

/// Faults that make rules in CEL pointless.
fn blocking(cause: &Cause) -> bool {
    matches!(
        cause.reason,
        CauseReason::FieldValueNotSupported
            | CauseReason::FieldValueRequired
            | CauseReason::FieldValueTooLong
            | CauseReason::FieldValueTooMany
            | CauseReason::FieldValueTypeInvalid
    )
}

fn replicas(content: &Map<String, Value>, path: &str, faults: &mut Vec<Cause>) {
    let Some(value) = at(content, path) else { return };
    let Some(number) = value.as_i64() else {
        let detail = format!(
            "{path} accessor error: {value} is of the type {}, expected int64",
            go_type(value)
        );
        faults.push(Cause::invalid(path, 0, &detail));
        return;
    };
    if number < 0 {
        faults.push(Cause::invalid(path, number, "should be a non-negative integer"));
    } else if number > i64::from(i32::MAX) {
        let detail = format!("should be less than or equal to {}", i32::MAX);
        faults.push(Cause::invalid(path, number, &detail));
    }
}

/// What Go calls the type of a value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
