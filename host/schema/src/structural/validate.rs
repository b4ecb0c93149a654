//! Values against their schema, with the sentences of `k8s.io/kube-openapi/pkg/validation`. What was
//! wrong before and has not changed stays allowed.

use coracle_api::cause::{Cause, CauseReason};
use serde_json::Value;

use super::decimal::{self, same, shown};
use super::{Additional, Structural, child, format, listtype};

/// What Kubernetes shows in place of a path that it does not have.
const NOWHERE: &str = "<nil>";

/// The faults of `value`, which stands at `root` (empty for a whole object). Parts that are as in
/// `old` are excused.
pub fn validate(root: &str, schema: &Structural, value: &Value, old: Option<&Value>) -> Vec<Cause> {
    let outcome = node("", schema, value, old);
    let faults = outcome.faults.into_iter().map(|fault| match fault {
        Fault::At(mut cause) => {
            let name = cause.field.trim_start_matches('.');
            cause.field = match (root, name) {
                ("", "") => NOWHERE.into(),
                (root, "") => root.into(),
                (root, name) => child(root, name),
            };
            cause
        }
        Fault::Whole(text) => {
            let root = if root.is_empty() { NOWHERE } else { root };
            Cause::invalid(root, "", &text)
        }
    });
    faults.collect()
}

/// A fault of a field, or one whose place is only in its text.
enum Fault {
    At(Cause),
    Whole(String),
}

#[derive(Default)]
struct Outcome {
    faults: Vec<Fault>,
    /// How many checks applied: of several alternatives the one with the most is explained.
    matched: usize,
}

impl Outcome {
    fn merge(&mut self, other: Self) {
        self.faults.extend(other.faults);
        self.matched += other.matched;
    }

    fn invalid(&mut self, path: &str, value: &Value, detail: &str) {
        let message = format!("Invalid value: {}: {detail}", shown(value));
        let cause = Cause::new(CauseReason::FieldValueInvalid, path, message);
        self.faults.push(Fault::At(cause));
    }

    fn wrong_type(&mut self, path: &str, value: &Value, wanted: &str, found: &str) {
        let message = format!(
            "Invalid value: {}: {path} in body must be of type {wanted}: {found:?}",
            shown(value)
        );
        let cause = Cause::new(CauseReason::FieldValueTypeInvalid, path, message);
        self.faults.push(Fault::At(cause));
    }
}

fn node(path: &str, schema: &Structural, value: &Value, old: Option<&Value>) -> Outcome {
    let mut outcome = plain(path, schema, value, old);
    if !outcome.faults.is_empty() && old.is_some_and(|old| same(old, value)) {
        outcome.faults.clear();
    }
    outcome
}

fn plain(path: &str, schema: &Structural, value: &Value, old: Option<&Value>) -> Outcome {
    let mut outcome = Outcome::default();
    check_type(path, schema, value, &mut outcome);
    if !value.is_null() {
        choices(path, schema, value, old, &mut outcome);
        match value {
            Value::String(text) => string(path, schema, text, value, &mut outcome),
            Value::Number(_) => number(path, schema, value, &mut outcome),
            Value::Array(items) => list(path, schema, items, old, &mut outcome),
            _ => {}
        }
    }
    let allowed = &schema.values.r#enum;
    if !allowed.is_empty() {
        outcome.matched += 1;
        if !allowed.iter().any(|allowed| same(allowed, value)) {
            let words: Vec<_> = allowed
                .iter()
                .map(|word| match word {
                    Value::String(word) => format!("{word:?}"),
                    other => format!("{:?}", other.to_string()),
                })
                .collect();
            let message = format!(
                "Unsupported value: {}: supported values: {}",
                shown(value),
                words.join(", ")
            );
            let cause = Cause::new(CauseReason::FieldValueNotSupported, path, message);
            outcome.faults.push(Fault::At(cause));
        }
    }
    if let Value::Object(_) = value {
        object(path, schema, value, old, &mut outcome);
    }
    outcome
}

/// The type of a value as JSON schemas call it.
pub(crate) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_type(path: &str, schema: &Structural, value: &Value, outcome: &mut Outcome) {
    let wanted = if schema.int_or_string { "integer,string" } else { &schema.r#type };
    if wanted.is_empty() {
        return;
    }
    outcome.matched += 1;
    let found = type_of(value);
    let has = |name: &str| wanted.split(',').any(|wanted| wanted == name);
    let fits = match found {
        "null" => schema.nullable,
        "integer" => has("integer") || has("number"),
        "number" => {
            let whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
            has("number") || has("integer") && whole
        }
        found => has(found),
    };
    if !fits {
        let value = if value.is_null() { Value::Null } else { Value::from(found) };
        outcome.wrong_type(path, &value, wanted, found);
    }
}

/// `anyOf`, `oneOf`, `allOf`, `not`.
fn choices(
    path: &str,
    schema: &Structural,
    value: &Value,
    old: Option<&Value>,
    outcome: &mut Outcome,
) {
    let rules = &schema.values;
    let tried = |schemas: &[Structural]| -> (usize, Option<Outcome>, Option<Outcome>) {
        let (mut valid, mut success, mut failure) = (0, None, None::<Outcome>);
        for schema in schemas {
            let found = plain(path, schema, value, old);
            if found.faults.is_empty() {
                valid += 1;
                success = success.or(Some(found));
            } else if failure.as_ref().is_none_or(|best| found.matched > best.matched) {
                failure = Some(found);
            }
        }
        (valid, success, failure)
    };
    if !rules.any_of.is_empty() {
        let (valid, success, failure) = tried(&rules.any_of);
        if valid == 0 {
            let text = format!("{path:?} must validate at least one schema (anyOf)");
            outcome.faults.push(Fault::Whole(text));
            outcome.merge(failure.unwrap_or_default());
        } else {
            outcome.merge(success.unwrap_or_default());
        }
    }
    if !rules.one_of.is_empty() {
        let (valid, success, failure) = tried(&rules.one_of);
        if valid == 1 {
            outcome.merge(success.unwrap_or_default());
        } else {
            let why = match valid {
                0 => "Found none valid".to_owned(),
                valid => format!("Found {valid} valid alternatives"),
            };
            let text = format!("{path:?} must validate one and only one schema (oneOf). {why}");
            outcome.faults.push(Fault::Whole(text));
            if valid == 0 {
                outcome.merge(failure.unwrap_or_default());
            }
        }
    }
    if !rules.all_of.is_empty() {
        let mut valid = 0;
        for schema in &rules.all_of {
            let found = plain(path, schema, value, old);
            valid += usize::from(found.faults.is_empty());
            outcome.merge(found);
        }
        if valid < rules.all_of.len() {
            let more = if valid == 0 { ". None validated" } else { "" };
            let text = format!("{path:?} must validate all the schemas (allOf){more}");
            outcome.faults.push(Fault::Whole(text));
        }
    }
    if let Some(not) = &rules.not
        && plain(path, not, value, old).faults.is_empty()
    {
        let text = format!("{path:?} must not validate the schema (not)");
        outcome.faults.push(Fault::Whole(text));
    }
    outcome.matched += 1;
}

fn string(path: &str, schema: &Structural, text: &str, value: &Value, outcome: &mut Outcome) {
    let rules = &schema.values;
    outcome.matched += 1;
    let length = || i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if let Some(max) = rules.max_length.filter(|max| length() > *max) {
        let max = usize::try_from(max).unwrap_or_default();
        outcome.faults.push(Fault::At(Cause::too_long(path, max)));
    } else if let Some(min) = rules.min_length.filter(|min| length() < *min) {
        let detail = format!("{path} in body should be at least {min} chars long");
        outcome.invalid(path, value, &detail);
    } else if let Some(pattern) = rules.pattern.as_ref().filter(|p| !p.matches(text)) {
        let detail = format!("{path} in body should match '{}'", pattern.source());
        outcome.invalid(path, value, &detail);
    }
    if !rules.format.is_empty() && format::is(&rules.format, text) == Some(false) {
        outcome.wrong_type(path, value, &rules.format, text);
    }
}

fn number(path: &str, schema: &Structural, value: &Value, outcome: &mut Outcome) {
    let rules = &schema.values;
    let Some(number) = value.as_f64() else { return };
    outcome.matched += 1;
    let show = decimal::float;
    if let Some(step) = rules.multiple_of
        && (number / step).fract() != 0.0
    {
        let detail = format!("{path} in body should be a multiple of {}", show(step));
        outcome.invalid(path, value, &detail);
    }
    if let Some(min) = rules.minimum {
        let strict = rules.exclusive_minimum;
        if number < min || strict && number == min {
            let words = if strict { "greater than" } else { "greater than or equal to" };
            let detail = format!("{path} in body should be {words} {}", show(min));
            outcome.invalid(path, value, &detail);
        }
    }
    if let Some(max) = rules.maximum {
        let strict = rules.exclusive_maximum;
        if number > max || strict && number == max {
            let words = if strict { "less than" } else { "less than or equal to" };
            let detail = format!("{path} in body should be {words} {}", show(max));
            outcome.invalid(path, value, &detail);
        }
    }
}

fn list(
    path: &str,
    schema: &Structural,
    items: &[Value],
    old: Option<&Value>,
    outcome: &mut Outcome,
) {
    let rules = &schema.values;
    outcome.matched += 1;
    if let Some(below) = &schema.items {
        let before = old.and_then(Value::as_array);
        for (at, item) in items.iter().enumerate() {
            let old = before.and_then(|before| correlated(schema, before, at, item));
            outcome.merge(node(&format!("{path}[{at}]"), below, item, old));
        }
    }
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let Some(min) = rules.min_items.filter(|min| length < *min) {
        let detail = format!("{path} in body should have at least {min} items");
        outcome.invalid(path, &length.into(), &detail);
    }
    if let Some(max) = rules.max_items.filter(|max| length > *max) {
        let max = usize::try_from(max).unwrap_or_default();
        outcome.faults.push(Fault::At(Cause::too_many(path, items.len(), max)));
    }
}

/// The item of the old list that a new one came from.
pub fn correlated<'a>(
    schema: &Structural,
    before: &'a [Value],
    at: usize,
    item: &Value,
) -> Option<&'a Value> {
    match schema.list_type.as_deref() {
        Some("map") => {
            let key = listtype::key(schema, item);
            before.iter().find(|before| listtype::key(schema, before) == key)
        }
        Some("set" | "atomic") => None,
        _ => before.get(at),
    }
}

fn object(
    path: &str,
    schema: &Structural,
    value: &Value,
    old: Option<&Value>,
    outcome: &mut Outcome,
) {
    let Value::Object(fields) = value else { return };
    let rules = &schema.values;
    outcome.matched += 1;
    let count = i64::try_from(fields.len()).unwrap_or(i64::MAX);
    if let Some(min) = rules.min_properties.filter(|min| count < *min) {
        let detail = format!("{path} in body should have at least {min} properties");
        outcome.invalid(path, &count.into(), &detail);
        return;
    }
    if let Some(max) = rules.max_properties.filter(|max| count > *max) {
        let max = usize::try_from(max).unwrap_or_default();
        outcome.faults.push(Fault::At(Cause::too_many(path, fields.len(), max)));
        return;
    }
    for (name, value) in fields {
        let old = || old.and_then(|old| old.get(name));
        if let Some(property) = schema.properties.get(name) {
            outcome.merge(node(&child(path, name), property, value, old()));
            continue;
        }
        match &schema.additional {
            Some(Additional::Schema(additional)) => {
                outcome.merge(node(&child(path, name), additional, value, old()));
            }
            Some(Additional::Any(false)) => {
                let detail = format!("{path}.{name} in body is a forbidden property");
                outcome.invalid(path, &Value::from(""), &detail);
            }
            Some(Additional::Any(true)) | None => {}
        }
    }
    for name in &rules.required {
        let defaulted = schema.properties.get(name).is_some_and(|p| p.default.is_some());
        if !fields.contains_key(name) && !defaulted {
            outcome.faults.push(Fault::At(Cause::required(child(path, name), "")));
        }
    }
}
