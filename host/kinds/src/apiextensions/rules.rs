//! Rules in CEL (`x-kubernetes-validations`): compiled once for a version of a kind, run over each
//! of its objects within one budget (`k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel`).

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_api::cause::{Cause, CauseReason};
use coracle_cel::{
    Activation, Budget, CompileError, Env, EvalError, Fault, Program, RUNTIME_LIMIT, Type,
    Value as CelValue,
};
use coracle_schema::structural::{Structural, decimal, definition, path, validate};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::ValidationRule;
use serde_json::{Value, json};

const SELF: &str = "self";
const OLD_SELF: &str = "oldSelf";
/// Bytes of a message that an expression makes.
const MESSAGE_MAX: usize = 5 << 10;
/// What Kubernetes shows in place of a path that it does not have.
const NOWHERE: &str = "<nil>";
const SPENT: &str = "validation failed due to running out of cost budget, no further validation \
                     rules will be run";

/// The compiled rules of a schema and of what is below it.
#[derive(Debug)]
pub struct Programs {
    r#type: Type,
    rules: Vec<Rule>,
    properties: BTreeMap<String, Programs>,
    additional: Option<Box<Programs>>,
    items: Option<Box<Programs>>,
}

/// One rule; one that does not compile says so of every object.
#[derive(Debug)]
struct Rule {
    said: ValidationRule,
    program: Result<Program, String>,
    message: Option<Program>,
    uses_old: bool,
    /// Where its fault is shown, below the place of the rule.
    field: String,
}

/// What a rule is compiled with.
fn environment(r#type: &Type, rule: &ValidationRule) -> Env {
    let old = match rule.optional_old_self {
        Some(true) => Type::optional(r#type.clone()),
        _ => r#type.clone(),
    };
    Env::new().variable(SELF, r#type.clone()).variable(OLD_SELF, old)
}

fn type_of(json: &Value, resource: bool) -> Type {
    Type::of_schema(SELF, json, &Arc::new(Value::Null), resource).unwrap_or(Type::Dyn)
}

impl Rule {
    fn new(said: &ValidationRule, schema: &Structural, r#type: &Type) -> Self {
        let environment = environment(r#type, said);
        let program = environment.compile(&said.rule, &[Type::Bool]);
        let message = said.message_expression.as_deref().filter(|text| !text.is_empty());
        let message = message.and_then(|text| environment.compile(text, &[Type::String]).ok());
        let field = said.field_path.as_deref().filter(|field| !field.is_empty());
        let field = field.and_then(|field| path::resolve(field, schema, true).ok());
        Self {
            uses_old: program.as_ref().is_ok_and(|program| program.uses(OLD_SELF)),
            program: program.map_err(|error| error.to_string()),
            message,
            field: field.map(|(steps, _)| path::text(&steps)).unwrap_or_default(),
            said: said.clone(),
        }
    }

    /// The rule as errors show it.
    fn shown(&self) -> &str {
        let message = self.said.message.as_deref().unwrap_or_default().trim();
        if message.is_empty() { self.said.rule.trim() } else { message }
    }
}

impl Programs {
    /// Compiles the rules of `schema`, if it has any; `json` is the same schema as it was written.
    pub fn new(schema: &Structural, json: &Value, resource: bool) -> Option<Self> {
        if !schema.has_rules() {
            return None;
        }
        let r#type = type_of(json, resource);
        let below = |schema: &Structural, json: Option<&Value>| {
            Self::new(schema, json.unwrap_or(&Value::Null), schema.embedded_resource)
        };
        let properties = schema.properties.iter().filter_map(|(name, property)| {
            let json = json.get("properties").and_then(|all| all.get(name));
            Some((name.clone(), below(property, json)?))
        });
        let additional = schema.additional_schema();
        let additional = additional.and_then(|s| below(s, json.get("additionalProperties")));
        let items = schema.items.as_deref().and_then(|s| below(s, json.get("items")));
        Some(Self {
            rules: schema.rules.iter().map(|rule| Rule::new(rule, schema, &r#type)).collect(),
            properties: properties.collect(),
            additional: additional.map(Box::new),
            items: items.map(Box::new),
            r#type,
        })
    }

    /// Runs every rule over `value` and what it was before. Faults of what has not changed are
    /// excused, unless a rule is about the change.
    pub fn run(
        &self,
        schema: &Structural,
        value: &Value,
        old: Option<&Value>,
        faults: &mut Vec<Cause>,
    ) {
        let mut run = Run { faults, budget: Budget::new(RUNTIME_LIMIT) };
        let unchanged = Unchanged { here: old, around: None };
        // An error is a fault that has been added, after which nothing more is run.
        let _ = run.node(self, schema, "", value, old, unchanged);
    }
}

/// What decides whether a value is as it was: what it came from, or else what surrounds it.
#[derive(Clone, Copy)]
struct Unchanged<'a> {
    here: Option<&'a Value>,
    around: Option<(&'a Value, &'a Value)>,
}

impl<'a> Unchanged<'a> {
    fn holds(self, value: &Value) -> bool {
        match (self.here, self.around) {
            (Some(old), _) => decimal::same(old, value),
            (None, Some((new, old))) => decimal::same(old, new),
            (None, None) => false,
        }
    }

    /// The same for a part of `value`.
    fn below(self, value: &'a Value, part: impl FnOnce(&'a Value) -> Option<&'a Value>) -> Self {
        match self.here {
            Some(old) => Self { here: part(old), around: Some((value, old)) },
            None => self,
        }
    }
}

/// No more rules are run.
struct Stop;

struct Run<'f> {
    faults: &'f mut Vec<Cause>,
    budget: Budget,
}

fn place(path: &str, below: &str) -> String {
    match (path, below) {
        ("", "") => NOWHERE.into(),
        ("", below) => below.into(),
        (path, "") => path.into(),
        (path, below) => format!("{path}.{below}"),
    }
}

impl Run<'_> {
    fn fault(&mut self, path: &str, schema: &Structural, detail: &str) {
        self.faults.push(Cause::invalid(place(path, ""), schema.r#type.as_str(), detail));
    }

    fn node<'a>(
        &mut self,
        programs: &Programs,
        schema: &Structural,
        path: &str,
        value: &'a Value,
        old: Option<&'a Value>,
        unchanged: Unchanged<'a>,
    ) -> Result<(), Stop> {
        if value.is_null() {
            return Ok(());
        }
        let old = old.filter(|old| !old.is_null());
        for rule in &programs.rules {
            self.rule(rule, programs, schema, path, value, old, unchanged)?;
        }
        match value {
            Value::Object(fields) => {
                for (name, part) in fields {
                    let property = programs.properties.get(name).zip(schema.properties.get(name));
                    let additional = programs.additional.as_deref().zip(schema.additional_schema());
                    let (below, part_schema, path) = match (property, additional) {
                        (Some((below, schema)), _) => {
                            let path = if path.is_empty() {
                                name.clone()
                            } else {
                                format!("{path}.{name}")
                            };
                            (below, schema, path)
                        }
                        (None, Some((below, schema))) => (below, schema, format!("{path}[{name}]")),
                        (None, None) => continue,
                    };
                    let before = old.and_then(|old| old.get(name));
                    let unchanged = unchanged.below(value, |old| old.get(name));
                    self.node(below, part_schema, &path, part, before, unchanged)?;
                }
            }
            Value::Array(items) => {
                let below = programs.items.as_deref().zip(schema.items.as_deref());
                let Some((below, item_schema)) = below else { return Ok(()) };
                let compared = schema.list_type.as_deref() == Some("map");
                for (at, item) in items.iter().enumerate() {
                    let from = |old: &'a Value| -> Option<&'a Value> {
                        validate::correlated(schema, old.as_array()?, at, item)
                    };
                    let before = old.filter(|_| compared).and_then(from);
                    let unchanged = unchanged.below(value, from);
                    let path = format!("{path}[{at}]");
                    self.node(below, item_schema, &path, item, before, unchanged)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "a rule, its place, and what it is run over")]
    fn rule(
        &mut self,
        rule: &Rule,
        programs: &Programs,
        schema: &Structural,
        path: &str,
        value: &Value,
        old: Option<&Value>,
        unchanged: Unchanged<'_>,
    ) -> Result<(), Stop> {
        let program = match &rule.program {
            Ok(program) => program,
            Err(error) => {
                self.fault(path, schema, &format!("rule compile error: {error}"));
                return Ok(());
            }
        };
        let optional = rule.said.optional_old_self == Some(true);
        if rule.uses_old && old.is_none() && !optional {
            return Ok(());
        }
        let old = old.map(|old| CelValue::typed(old, &programs.r#type));
        let mut activation = Activation::new().bind(SELF, CelValue::typed(value, &programs.r#type));
        match old {
            old if optional => activation.set(OLD_SELF, CelValue::Optional(old.map(Arc::new))),
            Some(old) => activation.set(OLD_SELF, old),
            None => {}
        }
        if self.budget.remaining() == 0 {
            self.fault(path, schema, SPENT);
            return Err(Stop);
        }
        match program.evaluate(&activation, &mut self.budget) {
            Ok(CelValue::Bool(true)) => return Ok(()),
            Ok(_) => {}
            Err(EvalError::BudgetSpent) => {
                self.fault(path, schema, SPENT);
                return Err(Stop);
            }
            Err(error @ EvalError::CallLimit) => {
                let detail = format!(
                    "'{error}': no further validation rules will be run due to call cost exceeds \
                     limit for rule: {}",
                    rule.shown()
                );
                self.fault(path, schema, &detail);
                return Err(Stop);
            }
            Err(EvalError::NoSuchOverload) => {
                let detail = format!(
                    "'no such overload': call arguments did not match a supported operator, \
                     function or macro signature for rule: {}",
                    rule.shown()
                );
                self.fault(path, schema, &detail);
                return Ok(());
            }
            Err(error) => {
                let detail = format!("{error} evaluating rule: {}", rule.shown());
                self.fault(path, schema, &detail);
                return Ok(());
            }
        }
        if !rule.uses_old && unchanged.holds(value) {
            return Ok(());
        }
        let detail = match self.message(rule, &activation) {
            Ok(Some(message)) => message,
            Ok(None) => match rule.said.message.as_deref().filter(|text| !text.is_empty()) {
                Some(message) => message.trim().to_owned(),
                None => format!("failed rule: {}", rule.said.rule.trim()),
            },
            Err(detail) => {
                self.fault(&place(path, &rule.field), schema, &detail);
                return Err(Stop);
            }
        };
        let place = place(path, &rule.field);
        let shown = match schema.r#type.as_str() {
            "object" | "array" => None,
            _ => Some(value),
        };
        self.faults.push(broken(place, shown, &detail, rule.said.reason.as_deref()));
        Ok(())
    }

    /// What the rule's own expression says; nothing if it has none or that comes to nothing.
    fn message(
        &mut self,
        rule: &Rule,
        activation: &Activation<'_>,
    ) -> Result<Option<String>, String> {
        let Some(program) = &rule.message else { return Ok(None) };
        let source = rule.said.message_expression.as_deref().unwrap_or_default();
        match program.evaluate(activation, &mut self.budget) {
            Ok(value) => {
                let text = value.as_str().unwrap_or_default().trim().to_owned();
                let good = !text.is_empty() && text.len() <= MESSAGE_MAX && !text.contains('\n');
                Ok(good.then_some(text))
            }
            Err(EvalError::BudgetSpent) => {
                Err("messageExpression evaluation failed due to running out of cost budget, no \
                     further validation rules will be run"
                    .into())
            }
            Err(EvalError::CallLimit) => Err(format!(
                "no further validation rules will be run due to call cost exceeds limit for \
                 messageExpression: {source:?}"
            )),
            Err(_) => Ok(None),
        }
    }
}

/// The fault of a rule that does not hold.
fn broken(path: String, value: Option<&Value>, detail: &str, reason: Option<&str>) -> Cause {
    let with_value = |head: &str| match value {
        Some(value) => format!("{head}: {}", decimal::shown(value)),
        None => head.to_owned(),
    };
    match reason {
        Some("FieldValueForbidden") => Cause::forbidden(path, detail),
        Some("FieldValueRequired") => Cause::required(path, detail),
        Some("FieldValueDuplicate") => {
            let message = with_value("Duplicate value");
            Cause::new(CauseReason::FieldValueDuplicate, path, message)
        }
        _ => {
            let message = format!("{}: {detail}", with_value("Invalid value"));
            Cause::new(CauseReason::FieldValueInvalid, path, message)
        }
    }
}

/// The faults of the rules of `schema`, which stands at `path` and was written as `json`.
pub fn faults(path: &str, schema: &Structural, json: &Value) -> Vec<Cause> {
    let mut faults = vec![];
    for site in definition::sites(path, schema) {
        let written = written(json, path, &site.path);
        let r#type = type_of(written, site.resource);
        for (at, rule) in site.schema.rules.iter().enumerate() {
            let path = format!("{}.x-kubernetes-validations[{at}]", site.path);
            check(&path, rule, &r#type, site.uncorrelatable.as_deref(), &mut faults);
        }
    }
    faults
}

/// What was written at a place below `root`.
fn written<'a>(json: &'a Value, root: &str, place: &str) -> &'a Value {
    let mut found = json;
    let mut rest = place.strip_prefix(root).unwrap_or_default();
    loop {
        if let Some(below) = rest.strip_prefix(".properties[") {
            // Names may have brackets of their own: the longest that is there is meant.
            let properties = &found["properties"];
            let ends = below.match_indices(']').map(|(at, _)| at);
            let known = ends.rev().find(|at| properties.get(&below[..*at]).is_some());
            let Some(end) = known else { return &Value::Null };
            found = &properties[&below[..end]];
            rest = &below[end + 1..];
        } else if let Some(below) = rest.strip_prefix(".additionalProperties") {
            found = &found["additionalProperties"];
            rest = below;
        } else if let Some(below) = rest.strip_prefix(".items") {
            found = &found["items"];
            rest = below;
        } else {
            return found;
        }
    }
}

fn check(
    path: &str,
    rule: &ValidationRule,
    r#type: &Type,
    uncorrelatable: Option<&str>,
    faults: &mut Vec<Cause>,
) {
    let environment = environment(r#type, rule);
    let shown = json!({
        "Rule": rule.rule,
        "Message": rule.message.as_deref().unwrap_or_default(),
        "MessageExpression": rule.message_expression.as_deref().unwrap_or_default(),
        "Reason": rule.reason,
        "FieldPath": rule.field_path.as_deref().unwrap_or_default(),
        "OptionalOldSelf": rule.optional_old_self,
    });
    let explained = |error: CompileError, what: &str| match error.fault {
        Fault::ResultType => what.to_owned(),
        Fault::Invalid => error.message,
    };
    let compiled = environment.compile(&rule.rule, &[Type::Bool]);
    let uses_old = compiled.as_ref().is_ok_and(|program| program.uses(OLD_SELF));
    let fine = compiled.is_ok();
    if let Err(error) = compiled {
        let detail = explained(error, "cel expression must evaluate to a bool");
        faults.push(Cause::invalid(format!("{path}.rule"), shown.clone(), &detail));
    }
    let message = rule.message_expression.as_deref().filter(|text| !text.trim().is_empty());
    if let Some(Err(error)) = message.map(|text| environment.compile(text, &[Type::String])) {
        let detail = explained(error, "messageExpression must evaluate to a string");
        let detail =
            detail.replacen("compilation failed", "messageExpression compilation failed", 1);
        faults.push(Cause::invalid(format!("{path}.messageExpression"), shown, &detail));
    }
    if let Some(within) = uncorrelatable.filter(|_| uses_old) {
        let detail = format!(
            "oldSelf cannot be used on the uncorrelatable portion of the schema within {within}"
        );
        faults.push(Cause::invalid(format!("{path}.rule"), rule.rule.as_str(), &detail));
    }
    if let Some(optional) = rule.optional_old_self.filter(|_| fine && !uses_old) {
        let detail = "may not be set if oldSelf is not used in rule";
        faults.push(Cause::invalid(format!("{path}.optionalOldSelf"), optional, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(json: &Value) -> Structural {
        Structural::new(&serde_json::from_value(json.clone()).unwrap()).unwrap()
    }

    fn lines(faults: Vec<Cause>) -> Vec<String> {
        faults.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    /// The faults of a value under a schema whose `spec` is this.
    fn run(spec: Value, value: Value, old: Option<Value>) -> Vec<String> {
        let json = json!({"type": "object", "properties": {"spec": spec}});
        let schema = schema(&json);
        let programs = Programs::new(&schema, &json, true).unwrap();
        let mut faults = vec![];
        let value = json!({"spec": value});
        let old = old.map(|old| json!({ "spec": old }));
        programs.run(&schema, &value, old.as_ref(), &mut faults);
        lines(faults)
    }

    fn replicas(rules: Value) -> Value {
        json!({"type": "object", "x-kubernetes-validations": rules, "properties": {
            "min": {"type": "integer"}, "max": {"type": "integer"}}})
    }

    #[test]
    fn rules_hold_or_say_why_not() {
        for (rules, value, expected) in [
            (json!([{"rule": "self.min <= self.max"}]), json!({"min": 1, "max": 2}), vec![]),
            (
                json!([{"rule": "self.min <= self.max"}]),
                json!({"min": 3, "max": 2}),
                vec!["spec: Invalid value: failed rule: self.min <= self.max"],
            ),
            (
                json!([{"rule": "self.min <= self.max", "message": "min is too large"}]),
                json!({"min": 3, "max": 2}),
                vec!["spec: Invalid value: min is too large"],
            ),
            (
                json!([{"rule": "self.min <= self.max", "messageExpression": "'at most ' + string(self.max)",
                    "fieldPath": ".min", "reason": "FieldValueForbidden"}]),
                json!({"min": 3, "max": 2}),
                vec!["spec.min: Forbidden: at most 2"],
            ),
            (
                json!([{"rule": "self.min <= self.max"}]),
                json!({"min": 3}),
                vec![
                    "spec: Invalid value: \"object\": no such key: max evaluating rule: self.min <= self.max",
                ],
            ),
        ] {
            assert_eq!(run(replicas(rules), value, None), expected);
        }
    }

    #[test]
    fn transitions_are_about_what_was() {
        let rules = json!([{"rule": "self.min >= oldSelf.min"}]);
        assert_eq!(run(replicas(rules.clone()), json!({"min": 1}), None), Vec::<String>::new());
        assert_eq!(
            run(replicas(rules), json!({"min": 1}), Some(json!({"min": 2}))),
            ["spec: Invalid value: failed rule: self.min >= oldSelf.min"]
        );
        let optional =
            json!([{"rule": "oldSelf.hasValue() || self.min == 1", "optionalOldSelf": true}]);
        assert_eq!(run(replicas(optional.clone()), json!({"min": 2}), None).len(), 1);
        let old = Some(json!({"min": 0}));
        assert_eq!(run(replicas(optional), json!({"min": 2}), old), Vec::<String>::new());
    }

    #[test]
    fn what_was_wrong_before_may_stay() {
        let rules = json!([{"rule": "self.min <= self.max"}]);
        let wrong = json!({"min": 3, "max": 2});
        assert_eq!(run(replicas(rules.clone()), wrong.clone(), Some(wrong)), Vec::<String>::new());
        let worse =
            run(replicas(rules), json!({"min": 4, "max": 2}), Some(json!({"min": 3, "max": 2})));
        assert_eq!(worse.len(), 1);
    }

    #[test]
    fn rules_of_parts_are_run_over_each() {
        let list = json!({"type": "object", "properties": {
            "list": {"type": "array", "items": {"type": "string",
                "x-kubernetes-validations": [{"rule": "self.startsWith('a')"}]}},
            "map": {"type": "object", "additionalProperties": {"type": "integer",
                "x-kubernetes-validations": [{"rule": "self > 0", "reason": "FieldValueDuplicate"}]}}}});
        assert_eq!(
            run(list, json!({"list": ["a", "b"], "map": {"x": 0}}), None),
            [
                "spec.list[1]: Invalid value: \"b\": failed rule: self.startsWith('a')",
                "spec.map[x]: Duplicate value: 0",
            ]
        );
    }

    #[test]
    fn costs_are_bounded() {
        let spec = json!({"type": "object", "properties": {
            "a": {"type": "array", "items": {"type": "integer"},
                "x-kubernetes-validations": [
                    {"rule": "self.all(x, self.all(y, self.all(z, x + y + z >= 0)))"}]}}});
        let many: Vec<_> = (0..200).collect();
        let found = run(spec, json!({ "a": many }), None);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("call cost exceeds limit"), "{found:?}");
    }

    #[test]
    fn rules_must_compile() {
        let check = |spec: Value| {
            let json = json!({"type": "object", "properties": {"spec": spec}});
            lines(faults("S", &schema(&json), &json))
        };
        assert_eq!(
            check(replicas(json!([{"rule": "self.min <= self.max"}]))),
            Vec::<String>::new()
        );
        let found = check(replicas(json!([{"rule": "self.middle > 1"}])));
        assert!(
            found[0].starts_with(
                "S.properties[spec].x-kubernetes-validations[0].rule: Invalid value: {"
            ),
            "{found:?}"
        );
        assert!(found[0].contains("undefined field 'middle'"), "{found:?}");
        let found = check(replicas(json!([{"rule": "self.min"}])));
        assert!(found[0].ends_with("cel expression must evaluate to a bool"), "{found:?}");
        let found = check(replicas(json!([{"rule": "true", "messageExpression": "1"}])));
        assert!(found[0].ends_with("messageExpression must evaluate to a string"), "{found:?}");
        let list = json!({"type": "array", "items": {"type": "string",
            "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}});
        assert_eq!(
            check(list),
            [
                "S.properties[spec].items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema within S.properties[spec]"
            ]
        );
        let found = check(replicas(json!([{"rule": "true", "optionalOldSelf": true}])));
        assert_eq!(
            found,
            [
                "S.properties[spec].x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"
            ]
        );
    }
}
