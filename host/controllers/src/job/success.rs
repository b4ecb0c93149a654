//! When a job has succeeded before all of its indexes have.

use k8s_openapi::api::batch::v1::SuccessPolicy;

use super::indexes::Indexes;

/// Why `succeeded` is enough of `completions`, if it is.
pub(super) fn is_met(
    policy: Option<&SuccessPolicy>,
    completions: i32,
    succeeded: &Indexes,
) -> Option<String> {
    if succeeded.is_empty() {
        return None;
    }
    let rules = &policy?.rules;
    let met = rules.iter().position(|rule| match &rule.succeeded_indexes {
        Some(text) => {
            let wanted = Indexes::parse(text, completions);
            let there = wanted.common(succeeded);
            let enough = rule.succeeded_count.is_some_and(|count| there >= count);
            !wanted.is_empty() && (there == wanted.count() || enough)
        }
        None => rule.succeeded_count.is_some_and(|count| succeeded.count() >= count),
    });
    met.map(|at| format!("Matched rules at index {at}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn any_rule_will_do() {
        for (rules, succeeded, expected) in [
            (json!([{"succeededIndexes": "0,2"}]), "0", None),
            (json!([{"succeededIndexes": "0,2"}]), "0-2", Some(0)),
            (json!([{"succeededIndexes": "0-5", "succeededCount": 2}]), "4,5,9", Some(0)),
            (json!([{"succeededIndexes": "0-5", "succeededCount": 2}]), "4,9", None),
            (json!([{"succeededCount": 2}]), "7,9", Some(0)),
            (json!([{"succeededIndexes": "x"}]), "7,9", None),
            (json!([{"succeededIndexes": "1"}, {"succeededCount": 1}]), "9", Some(1)),
            (json!([{"succeededCount": 0}]), "", None),
        ] {
            let policy = serde_json::from_value(json!({"rules": rules})).unwrap();
            let met = is_met(Some(&policy), 10, &Indexes::parse(succeeded, 10));
            let expected = expected.map(|at: i32| format!("Matched rules at index {at}"));
            assert_eq!(met, expected, "{rules} {succeeded}");
        }
        assert_eq!(is_met(None, 10, &Indexes::parse("1", 10)), None);
    }
}
