use serde_json::{Value, json};

use super::super::tests::{lines, object};
use super::*;
use crate::Strategy;

fn made(change: Value) -> Job {
    let mut value = json!({
        "metadata": {"name": "j", "uid": "u"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}},
    });
    json_patch::merge(&mut value, &change);
    let mut it: Job = object(value);
    it.default_fields();
    it.prepare_create();
    it
}

fn faults(spec: Value) -> Vec<String> {
    lines(job(&made(json!({ "spec": spec }))))
}

#[test]
fn jobs() {
    for (spec, expected) in [
        (json!({}), &[][..]),
        (
            json!({"parallelism": -1, "backoffLimit": -2}),
            &[
                "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
                "spec.backoffLimit: Invalid value: -2: must be greater than or equal to 0",
            ],
        ),
        (
            json!({"template": {"spec": {"restartPolicy": null}}}),
            &[
                "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
            ],
        ),
        (
            json!({"completionMode": "X"}),
            &[
                "spec.completionMode: Unsupported value: \"X\": supported values: \"NonIndexed\", \"Indexed\"",
            ],
        ),
        (
            json!({"completionMode": "Indexed", "parallelism": 1}),
            &["spec.completions: Required value: when completion mode is Indexed"],
        ),
        (
            json!({"maxFailedIndexes": 1}),
            &[
                "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
                "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode",
            ],
        ),
        (
            json!({"completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 1, "maxFailedIndexes": 4}),
            &["spec.maxFailedIndexes: Invalid value: 4: must be less than or equal to completions"],
        ),
        (
            json!({"managedBy": "x"}),
            &[
                "spec.managedBy: Invalid value: \"x\": must be a domain-prefixed path (such as \"acme.io/foo\")",
            ],
        ),
        (
            json!({"podReplacementPolicy": "X"}),
            &[
                "spec.podReplacementPolicy: Unsupported value: \"X\": supported values: \"Failed\", \"TerminatingOrFailed\"",
            ],
        ),
        (
            json!({"selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "other"}}}),
            &[
                "spec.selector: Invalid value: {\"matchLabels\":{\"batch.kubernetes.io/controller-uid\":\"other\"}}: `selector` not auto-generated",
            ],
        ),
        (
            json!({"template": {"metadata": {"labels": {"job-name": "x"}}}}),
            &[
                "spec.template.metadata.labels[job-name]: Invalid value: {\"batch.kubernetes.io/controller-uid\":\"u\",\"batch.kubernetes.io/job-name\":\"j\",\"controller-uid\":\"u\",\"job-name\":\"x\"}: must be 'j'",
            ],
        ),
        (
            json!({"podFailurePolicy": {"rules": [
                {"action": "FailIndex", "onExitCodes": {"operator": "In", "containerName": "z", "values": [0, 3, 3, 2]}},
                {"action": "Ignore"},
            ]}}),
            &[
                "spec.podFailurePolicy.rules[0].action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set",
                "spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: \"z\": must be one of the container or initContainer names in the pod template",
                "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
                "spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 3",
                "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [0,3,3,2]: must be ordered",
                "spec.podFailurePolicy.rules[1]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
            ],
        ),
        (
            json!({"completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": [{"succeededIndexes": "0,9", "succeededCount": 4}]}}),
            &[
                "spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"0,9\": error parsing succeededIndexes: too large index: \"9\"",
                "spec.successPolicy.rules[0].succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of specified completions)",
                "spec.successPolicy.rules[0].succeededCount: Invalid value: 4: must be less than or equal to 0 (the number of indexes in the specified succeededIndexes field)",
            ],
        ),
    ] {
        let found = faults(spec.clone());
        if spec["selector"].is_object() {
            assert!(found.contains(&expected[0].to_owned()), "{found:?}");
        } else {
            assert_eq!(found, expected, "{spec}");
        }
    }
}

#[test]
fn what_may_change() {
    let old = made(json!({"spec": {"suspend": true, "completions": 2}}));
    let changed = |spec: Value| {
        let mut value = serde_json::to_value(&old).unwrap();
        json_patch::merge(&mut value, &json!({ "spec": spec }));
        lines(job_update(&object(value), &old))
    };
    for spec in [
        json!({"parallelism": 4, "suspend": false, "backoffLimit": 1, "ttlSecondsAfterFinished": 3}),
        json!({"template": {"spec": {"nodeSelector": {"a": "b"}, "affinity": {"nodeAffinity": {}}}}}),
    ] {
        assert_eq!(changed(spec.clone()), Vec::<String>::new(), "{spec}");
    }
    assert_eq!(
        changed(json!({"completions": 3})),
        ["spec.completions: Invalid value: 3: field is immutable"]
    );
    assert_eq!(
        changed(json!({"completionMode": "Indexed", "completions": 5})),
        [
            "spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism",
            "spec.completionMode: Invalid value: \"Indexed\": field is immutable",
        ]
    );
    let found = changed(json!({"template": {"spec": {"hostNetwork": true}}}));
    assert!(
        found[0].starts_with("spec.template: Invalid value: {")
            && found[0].ends_with(": field is immutable")
    );
}

#[test]
fn reports() {
    let with = |status: Value| made(json!({"spec": {}})).tap_status(status);
    let time = "2026-01-01T00:00:00Z";
    let done = json!({"startTime": time, "completionTime": time, "succeeded": 1, "conditions": [
        {"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"},
    ]});
    let none = with(json!({}));
    assert_eq!(lines(job_status(&with(done.clone()), &none)), Vec::<String>::new());
    for (status, expected) in [
        (
            json!({"failed": -1}),
            "status.failed: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            json!({"active": 1, "ready": 2}),
            "status.ready: Invalid value: 2: cannot set more ready pods than active",
        ),
        (
            json!({"completionTime": time}),
            "status.completionTime: Invalid value: \"2026-01-01T00:00:00Z\": cannot set completionTime when there is no Complete=True condition",
        ),
        (
            json!({"completedIndexes": "0"}),
            "status.completedIndexes: Invalid value: \"0\": cannot set non-empty completedIndexes when non-indexed completion mode",
        ),
        (
            json!({"conditions": [{"type": "Failed", "status": "True"}], "startTime": time}),
            "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
        ),
    ] {
        let found = lines(job_status(&with(status.clone()), &none));
        assert!(found.contains(&expected.to_owned()), "{status}: {found:?}");
    }
    let found = lines(job_status(&none, &with(done)));
    assert!(found.contains(&"status.conditions: Invalid value: cannot disable the terminal Complete=True condition".to_owned()), "{found:?}");
    assert!(found.contains(
        &"status.succeeded: Invalid value: 0: cannot decrease the succeeded counter".to_owned()
    ));
}

#[test]
fn what_a_resumed_and_a_shrunk_job_may_take_back() {
    let of = |spec: &Value, status: Value| made(json!({"spec": spec})).tap_status(status);
    let plain = json!({});
    let shrunk = json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2});
    let suspended = |status: &str, time: &str| json!({"startTime": time, "conditions": [{"type": "Suspended", "status": status}]});
    let [early, late] = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"];
    for (spec, before, after, is_allowed) in [
        (&plain, json!({"startTime": early}), json!({"startTime": late}), false),
        (&plain, suspended("True", early), suspended("False", late), true),
        (&plain, suspended("False", early), suspended("False", late), false),
        (&plain, json!({"succeeded": 3}), json!({"succeeded": 2}), false),
        (&shrunk, json!({"succeeded": 3}), json!({"succeeded": 2}), true),
        (&shrunk, json!({"failed": 3}), json!({"failed": 2}), false),
    ] {
        let found = lines(job_status(&of(spec, after.clone()), &of(spec, before)));
        assert_eq!(found.is_empty(), is_allowed, "{after}: {found:?}");
    }
}

trait WithStatus {
    fn tap_status(self, status: Value) -> Self;
}

impl WithStatus for Job {
    fn tap_status(mut self, status: Value) -> Self {
        self.status = Some(object(status));
        self
    }
}
