//! What is served against what Kubernetes 1.36 serves: every resource with its kind, scope and
//! verbs, every definition with its fields. `facts.py` makes the facts; what is not served stands
//! in `missing.txt` with the reason, a list that may only shrink.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde::Deserialize;
use serde_json::Value;

use super::Server;

#[derive(Deserialize)]
struct Facts {
    /// By group and version, then by name.
    resources: BTreeMap<String, BTreeMap<String, Resource>>,
    /// Fields with their types.
    definitions: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Resource {
    kind: String,
    namespaced: bool,
    verbs: BTreeSet<String>,
}

fn facts() -> Facts {
    let mut text = String::new();
    let packed = &include_bytes!("facts.json.gz")[..];
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What is missing, in one line each: `apps/v1 deployments/scale`, or `io.k8s...Pod.spec`.
fn resources(facts: &Facts, served: &BTreeMap<String, Value>) -> Vec<String> {
    let mut missing = vec![];
    for (version, resources) in &facts.resources {
        let list = served.get(version).and_then(|list| list["resources"].as_array());
        for (name, expected) in resources {
            let line = format!("{version} {name}");
            let own = list.into_iter().flatten().find(|own| own["name"] == name.as_str());
            let Some(own) = own else {
                missing.push(line);
                continue;
            };
            if own["kind"] != expected.kind.as_str() {
                missing.push(format!("{line} kind {}", expected.kind));
            }
            if own["namespaced"] != expected.namespaced {
                missing.push(format!("{line} namespaced {}", expected.namespaced));
            }
            let verbs: BTreeSet<_> =
                own["verbs"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            for verb in &expected.verbs {
                if !verbs.contains(verb.as_str()) {
                    missing.push(format!("{line} {verb}"));
                }
            }
        }
    }
    missing
}

/// A field's type as the facts write it.
fn shape(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return format!("@{}", reference.rsplit('/').next().unwrap());
    }
    if schema["type"] == "array" {
        return format!("[]{}", shape(&schema["items"]));
    }
    if schema["additionalProperties"].is_object() {
        return format!("{{}}{}", shape(&schema["additionalProperties"]));
    }
    schema["type"].as_str().unwrap_or_default().to_owned()
}

fn definitions(facts: &Facts, served: &Value) -> Vec<String> {
    let mut missing = vec![];
    for (name, fields) in &facts.definitions {
        let Some(own) = served["definitions"].get(name) else {
            missing.push(name.clone());
            continue;
        };
        for (field, expected) in fields {
            match own["properties"].get(field) {
                None => missing.push(format!("{name}.{field}")),
                Some(schema) if shape(schema) == *expected => {}
                Some(schema) => {
                    missing.push(format!("{name}.{field} {expected}, not {}", shape(schema)));
                }
            }
        }
    }
    missing
}

/// Whether a line of the list speaks of what is missing; a `*` at its end stands for anything.
fn speaks_of(listed: &str, missing: &str) -> bool {
    match listed.strip_suffix('*') {
        Some(start) => missing.starts_with(start),
        None => listed == missing,
    }
}

#[tokio::test]
async fn everything_is_served_but_what_is_listed() {
    let server = Server::new().await;
    let facts = facts();
    let mut served = BTreeMap::new();
    for version in facts.resources.keys() {
        let root = if version == "v1" { "/api" } else { "/apis" };
        let answer = server.get(&format!("{root}/{version}")).await;
        if answer.status.is_success() {
            served.insert(version.clone(), answer.json());
        }
    }
    let document = server.get("/openapi/v2").await.is(200);
    let mut missing = resources(&facts, &served);
    missing.extend(definitions(&facts, &document));

    let listed: Vec<_> = include_str!("missing.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let unlisted: Vec<_> =
        missing.iter().filter(|own| !listed.iter().any(|line| speaks_of(line, own))).collect();
    assert!(unlisted.is_empty(), "not served and not listed:\n{unlisted:#?}");
    let idle: Vec<_> =
        listed.iter().filter(|line| !missing.iter().any(|own| speaks_of(line, own))).collect();
    assert!(idle.is_empty(), "served, take them off the list:\n{idle:#?}");
}
