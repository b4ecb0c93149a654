//! `autoscaling/v1`: of all metrics it has a field for the CPU's utilisation alone. The others, and
//! what else it does not know, stand in annotations, in which they survive its round trip.

use k8s_openapi::api::autoscaling::v1::HorizontalPodAutoscaler as V1;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::{Map, Value, json};

use crate::{ApiResource, Body, Builtin, Names, Strategy, Version};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

pub(in super::super) fn v1() -> Version {
    Version {
        names: ApiResource::from(&Names { version: "v1", ..HorizontalPodAutoscaler::NAMES }),
        hub: Builtin::<HorizontalPodAutoscaler>::kind(),
        body: Some(Body::of::<V1>()),
        fields: &[],
        into_hub,
        out_of_hub,
        rules: None,
    }
}

fn into_hub(object: &mut Map<String, Value>) {
    let mut kept = |name: &str| -> Option<Value> {
        let annotations = object.get_mut("metadata")?.get_mut("annotations")?.as_object_mut()?;
        serde_json::from_str(annotations.remove(name)?.as_str()?).ok()
    };
    let metrics = kept(METRICS);
    let current = kept(CURRENT_METRICS);
    let conditions = kept(CONDITIONS);
    let behavior = kept(BEHAVIOR);
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let cpu = spec.remove("targetCPUUtilizationPercentage");
        let mut all: Vec<_> =
            cpu.map(|percent| cpu_metric("target", "type", &percent)).into_iter().collect();
        all.extend(list(metrics).filter_map(|metric| metric_into_hub(metric, "target")));
        if !all.is_empty() {
            spec.insert("metrics".into(), all.into());
        }
        if let Some(behavior) = behavior {
            spec.insert("behavior".into(), behavior);
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        let cpu = status.remove("currentCPUUtilizationPercentage");
        let mut all: Vec<_> =
            list(current).filter_map(|metric| metric_into_hub(metric, "current")).collect();
        if all.is_empty() {
            all.extend(cpu.map(|percent| cpu_metric("current", "", &percent)));
        }
        if !all.is_empty() {
            status.insert("currentMetrics".into(), all.into());
        }
        if let Some(conditions) = conditions {
            status.insert("conditions".into(), conditions);
        }
    }
}

fn out_of_hub(object: &mut Map<String, Value>) {
    let mut kept: Vec<(&str, Value)> = vec![];
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let (cpu, others): (Vec<_>, Vec<_>) =
            list(spec.remove("metrics")).partition(|metric| percent(metric, "target").is_some());
        // Only the first of several has a field; the others are not metrics to v1 at all.
        if let Some(percent) = cpu.first().and_then(|metric| percent(metric, "target")) {
            spec.insert("targetCPUUtilizationPercentage".into(), percent);
        }
        let others: Vec<_> =
            others.into_iter().filter_map(|metric| metric_out_of_hub(metric, "target")).collect();
        if !others.is_empty() {
            kept.push((METRICS, others.into()));
        }
        kept.extend(spec.remove("behavior").map(|behavior| (BEHAVIOR, behavior)));
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        let current: Vec<_> = list(status.remove("currentMetrics")).collect();
        if let Some(percent) = current.iter().find_map(|metric| percent(metric, "current")) {
            status.insert("currentCPUUtilizationPercentage".into(), percent);
        }
        let current: Vec<_> =
            current.into_iter().filter_map(|metric| metric_out_of_hub(metric, "current")).collect();
        if !current.is_empty() {
            kept.push((CURRENT_METRICS, current.into()));
        }
        kept.extend(status.remove("conditions").map(|conditions| (CONDITIONS, conditions)));
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let mut annotations = match metadata.remove("annotations") {
        Some(Value::Object(annotations)) => annotations,
        _ => Map::new(),
    };
    for name in [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR] {
        annotations.remove(name);
    }
    for (name, value) in kept {
        annotations.insert(name.into(), value.to_string().into());
    }
    if !annotations.is_empty() {
        metadata.insert("annotations".into(), annotations.into());
    }
}

fn list(value: Option<Value>) -> impl Iterator<Item = Value> {
    let list = match value {
        Some(Value::Array(list)) => list,
        _ => vec![],
    };
    list.into_iter()
}

fn cpu_metric(amounts: &str, type_: &str, percent: &Value) -> Value {
    let mut amount = json!({ "averageUtilization": percent });
    if !type_.is_empty() {
        amount[type_] = json!("Utilization");
    }
    json!({ "type": "Resource", "resource": { "name": "cpu", amounts: amount } })
}

/// The utilisation in a metric, if it is the CPU's.
fn percent(metric: &Value, amounts: &str) -> Option<Value> {
    let resource = metric.get("resource").filter(|resource| resource["name"] == "cpu")?;
    resource.get(amounts)?.get("averageUtilization").filter(|percent| !percent.is_null()).cloned()
}

/// The field of a metric that tells of its source, by its type.
fn source(metric: &Map<String, Value>) -> Option<&'static str> {
    Some(match metric.get("type")?.as_str()? {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => return None,
    })
}

/// How v1 calls an amount of a source: `targetAverageValue`, `currentValue`, ...
fn own_name(source: &str, amounts: &str, amount: &str) -> String {
    // Objects got theirs later than the others.
    if source == "object" && amount == "averageValue" {
        return amount.to_owned();
    }
    let mut letters = amount.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    amounts.chars().chain(first).chain(letters).collect()
}

const AMOUNTS: [&str; 3] = ["averageUtilization", "averageValue", "value"];

fn metric_out_of_hub(metric: Value, amounts: &str) -> Option<Value> {
    let Value::Object(mut metric) = metric else { return None };
    let source = source(&metric)?;
    let Some(Value::Object(mut own)) = metric.remove(source) else { return Some(metric.into()) };
    if let Some(Value::Object(mut values)) = own.remove(amounts) {
        for amount in AMOUNTS {
            if let Some(value) = values.remove(amount).filter(|value| !value.is_null()) {
                own.insert(own_name(source, amounts, amount), value);
            }
        }
    }
    if let Some(Value::Object(mut identifier)) = own.remove("metric") {
        let selector = if source == "external" { "metricSelector" } else { "selector" };
        for (field, name) in [("name", "metricName"), ("selector", selector)] {
            if let Some(value) = identifier.remove(field) {
                own.insert(name.into(), value);
            }
        }
    }
    if let Some(described) = own.remove("describedObject") {
        own.insert("target".into(), described);
    }
    metric.insert(source.into(), own.into());
    Some(metric.into())
}

fn metric_into_hub(metric: Value, amounts: &str) -> Option<Value> {
    let Value::Object(mut metric) = metric else { return None };
    let source = source(&metric)?;
    let Some(Value::Object(mut own)) = metric.remove(source) else { return Some(metric.into()) };
    if source == "object"
        && let Some(described) = own.remove("target")
    {
        own.insert("describedObject".into(), described);
    }
    let mut values = Map::new();
    for amount in AMOUNTS {
        if let Some(value) = own.remove(&own_name(source, amounts, amount)) {
            values.insert(amount.into(), value);
        }
    }
    if amounts == "target" {
        let types = [("averageUtilization", "Utilization"), ("averageValue", "AverageValue")];
        let type_ = types.iter().find(|(amount, _)| values.contains_key(*amount));
        values.insert("type".into(), json!(type_.map_or("Value", |(_, type_)| type_)));
    }
    own.insert(amounts.into(), values.into());
    if !matches!(source, "resource" | "containerResource") {
        let selector = if source == "external" { "metricSelector" } else { "selector" };
        let mut identifier = Map::new();
        for (field, name) in [("name", "metricName"), ("selector", selector)] {
            if let Some(value) = own.remove(name) {
                identifier.insert(field.into(), value);
            }
        }
        own.insert("metric".into(), identifier.into());
    }
    metric.insert(source.into(), own.into());
    Some(metric.into())
}
