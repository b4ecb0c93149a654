use serde_json::{Value, json};

use super::*;
use crate::authn::Identity;
use crate::authz::ResourceAttributes;

fn objects(entries: &[(&str, Value)]) -> Objects {
    let mut objects = Objects::default();
    for (key, value) in entries {
        objects.put(&format!("{}{key}", Objects::PREFIX), &Bytes::from(value.to_string()));
    }
    objects
}

fn schema(name: &str, precedence: i32, level: &str, rule: Value) -> (String, Value) {
    let schema = json!({
        "metadata": { "name": name },
        "spec": {
            "matchingPrecedence": precedence,
            "priorityLevelConfiguration": { "name": level },
            "distinguisherMethod": { "type": "ByUser" },
            "rules": [rule],
        },
    });
    (format!("flowschemas/{name}"), schema)
}

fn level(name: &str) -> (String, Value) {
    let level =
        json!({ "metadata": { "name": name }, "spec": { "type": "Limited", "limited": {} } });
    (format!("prioritylevelconfigurations/{name}"), level)
}

#[test]
fn requests_find_their_schema() {
    let everyone = json!([{ "kind": "Group", "group": { "name": "*" } }]);
    let all = json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true });
    let secrets = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "namespaces": ["a"] });
    let account =
        json!([{ "kind": "ServiceAccount", "serviceAccount": { "namespace": "a", "name": "*" } }]);
    let entries = [
        level("low"),
        level("high"),
        schema("all", 9000, "low", json!({ "subjects": everyone, "resourceRules": [all] })),
        schema("secrets", 10, "high", json!({ "subjects": everyone, "resourceRules": [secrets] })),
        schema("lost", 1, "missing", json!({ "subjects": everyone, "resourceRules": [secrets] })),
        schema("bots", 20, "high", json!({ "subjects": account, "resourceRules": [all] })),
        schema(
            "paths",
            30,
            "low",
            json!({ "subjects": everyone, "nonResourceRules": [{ "verbs": ["get"], "nonResourceURLs": ["/healthz", "/metrics/*"] }] }),
        ),
    ];
    let entries: Vec<_> =
        entries.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    let objects = objects(&entries);
    let jane = Identity::new("jane", &["devs"]);
    let bot = Identity::new("system:serviceaccount:a:bot", &[]);
    let found = |identity: &Identity, resource: Option<(&str, &str, &str)>, path: &str| {
        let resource = resource.map(|(resource, subresource, namespace)| ResourceAttributes {
            resource,
            subresource,
            namespace,
            ..ResourceAttributes::default()
        });
        let request = Attributes { identity, verb: "get", resource, path };
        objects.classify(&request).map(|(schema, _)| schema.metadata.name.clone().unwrap())
    };
    assert_eq!(found(&jane, Some(("secrets", "", "a")), "").as_deref(), Some("secrets"));
    assert_eq!(found(&jane, Some(("secrets", "", "b")), "").as_deref(), Some("all"));
    assert_eq!(found(&jane, Some(("secrets", "status", "a")), "").as_deref(), Some("all"));
    assert_eq!(found(&bot, Some(("nodes", "", "")), "").as_deref(), Some("bots"));
    assert_eq!(found(&jane, None, "/metrics/x").as_deref(), Some("paths"));
    assert_eq!(found(&jane, None, "/version"), None);
}

#[test]
fn shares_become_places() {
    let flow = Flow::new(&Limits { reading: 60, mutating: 40, ..Limits::default() });
    let level = |name: &str, shares: u32| {
        let level = json!({ "metadata": { "name": name }, "spec": { "type": "Limited", "limited": {
            "nominalConcurrencyShares": shares, "borrowingLimitPercent": 50,
            "limitResponse": { "type": "Queue", "queuing": { "queues": 4, "handSize": 2, "queueLengthLimit": 3 } },
        } } });
        (format!("prioritylevelconfigurations/{name}"), level)
    };
    let entries = [level("a", 30), level("b", 10)];
    let entries: Vec<_> =
        entries.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    flow.follow(&objects(&entries));
    let levels = flow.levels.lock().unwrap();
    let shown = format!("{:?}", levels.by_name["a"]);
    assert!(shown.contains("own: 75, most: 112"), "{shown}");
    assert!(shown.contains("queues: 4, hand: 2, length: 3"), "{shown}");
}
