use serde_json::json;

use super::super::tests::{cell, created};
use super::*;
use crate::{Conversion, Kind};

/// One metric of each source.
fn every_metric() -> Value {
    let average = json!({"type": "AverageValue", "averageValue": "5"});
    json!([
        {"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": 50}}},
        {"type": "Resource", "resource": {"name": "memory",
            "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
        {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "a",
            "target": {"type": "Utilization", "averageUtilization": 30}}},
        {"type": "Pods", "pods": {"metric": {"name": "hits", "selector": {"matchLabels": {"a": "b"}}},
            "target": average}},
        {"type": "Object", "object": {"metric": {"name": "queue"},
            "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "s"},
            "target": {"type": "Value", "value": "7"}}},
        {"type": "External", "external": {"metric": {"name": "x", "selector": {"matchLabels": {"c": "d"}}},
            "target": average}},
    ])
}

#[tokio::test]
async fn v1_keeps_what_it_does_not_know() {
    let whole = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "a", "annotations": {"mine": "1"}},
        "spec": {
            "minReplicas": 1, "maxReplicas": 9,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "metrics": every_metric(),
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
        },
        "status": {
            "currentReplicas": 1, "desiredReplicas": 1,
            "conditions": [{"type": "AbleToScale", "status": "True"}],
            "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu",
                "current": {"averageUtilization": 40, "averageValue": "400m"}}}],
        },
    });
    let version = v1();
    let stored = serde_json::to_vec(&whole).unwrap().into();
    let shown = version.from_hub(vec![stored]).await.unwrap().remove(0);
    let form: Value = serde_json::from_slice(&shown).unwrap();
    assert_eq!(form["apiVersion"], "autoscaling/v1");
    assert_eq!(form["spec"]["targetCPUUtilizationPercentage"], 50);
    assert_eq!(form["status"]["currentCPUUtilizationPercentage"], 40);
    assert!(form["spec"].get("metrics").is_none() && form["spec"].get("behavior").is_none());
    let others =
        form["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"].as_str();
    let others: Value = serde_json::from_str(others.unwrap()).unwrap();
    assert_eq!(
        others[0],
        json!({"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}})
    );
    let decoded = version.decode(&shown).unwrap();
    assert_eq!(decoded.complaints, Vec::<String>::new());
    let back: Value = serde_json::from_slice(&decoded.object.json().unwrap()).unwrap();
    let typed: HorizontalPodAutoscaler = serde_json::from_value(whole).unwrap();
    assert_eq!(back, serde_json::to_value(typed).unwrap());
}

#[test]
fn v1_complains_of_its_own_fields() {
    let decode = |spec: Value| {
        let body = json!({"metadata": {"name": "a"}, "spec": spec});
        v1().decode(&serde_json::to_vec(&body).unwrap())
    };
    let given = decode(
        json!({"maxReplicas": 2, "metrics": [], "scaleTargetRef": {"kind": "a", "name": "b"}}),
    );
    assert_eq!(given.unwrap().complaints, ["unknown field \"spec.metrics\""]);
    let message = decode(json!({"maxReplicas": "x"})).err().unwrap().to_string();
    assert!(message.starts_with("HorizontalPodAutoscaler in version \"v1\" cannot be handled"));
}

#[test]
fn defaults_and_row() {
    let made: HorizontalPodAutoscaler = created(json!({"metadata": {"name": "a"}, "spec": {
        "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"},
        "behavior": {"scaleUp": {"selectPolicy": "Min"}},
    }}));
    let spec = serde_json::to_value(&made.spec).unwrap();
    assert_eq!(spec["minReplicas"], 1);
    assert_eq!(
        spec["behavior"],
        json!({
            "scaleUp": {"selectPolicy": "Min", "stabilizationWindowSeconds": 0, "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ]},
            "scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
        })
    );
    assert_eq!(cell(&made, "Targets"), "cpu: <unknown>/80%");
    assert_eq!(cell(&made, "Reference"), "Deployment/d");
    let several: Vec<MetricSpec> = serde_json::from_value(every_metric()).unwrap();
    assert_eq!(metrics(&several, &[]), "cpu: <unknown>/50%, memory: <unknown>/1Gi + 4 more...");
    assert_eq!(metrics(&several[5..], &[]), "<unknown>/5 (avg)");
}
