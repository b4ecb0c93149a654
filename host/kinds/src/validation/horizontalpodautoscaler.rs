//! HorizontalPodAutoscalers.

use coracle_api::cause::Cause;
use coracle_api::meta;
use coracle_api::quantity::Quantity;
use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingRules, HorizontalPodAutoscaler, MetricIdentifier,
    MetricSpec, MetricTarget,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::number::not_negative;
use super::{all, resources};

/// The longest that the past may hold back a change, in seconds.
const MAX_STABILIZATION_WINDOW: i32 = 3600;
/// The longest time over which changes are counted, in seconds.
const MAX_PERIOD: i32 = 1800;

/// The faults of a HorizontalPodAutoscaler.
pub(crate) fn horizontalpodautoscaler(autoscaler: &HorizontalPodAutoscaler) -> Vec<Cause> {
    let spec = &autoscaler.spec;
    let mut faults = vec![];
    if let Some(least) = spec.min_replicas.filter(|least| *least < 1) {
        let detail = "must be greater than or equal to 1";
        faults.push(Cause::invalid("spec.minReplicas", least, detail));
    }
    let most = spec.max_replicas;
    if most < 1 {
        faults.push(Cause::invalid("spec.maxReplicas", most, "must be greater than 0"));
    }
    if spec.min_replicas.is_some_and(|least| most < least) {
        let detail = "must be greater than or equal to `minReplicas`";
        faults.push(Cause::invalid("spec.maxReplicas", most, detail));
    }
    faults.extend(reference(&spec.scale_target_ref, "spec.scaleTargetRef"));
    for (at, each) in spec.metrics.iter().flatten().enumerate() {
        faults.extend(metric(each, &format!("spec.metrics[{at}]")));
    }
    if let Some(behavior) = &spec.behavior {
        faults.extend(rules(behavior.scale_up.as_ref(), "spec.behavior.scaleUp"));
        faults.extend(rules(behavior.scale_down.as_ref(), "spec.behavior.scaleDown"));
    }
    faults
}

/// The faults of a HorizontalPodAutoscaler's status.
pub(crate) fn horizontalpodautoscaler_status(autoscaler: &HorizontalPodAutoscaler) -> Vec<Cause> {
    let Some(status) = &autoscaler.status else { return vec![] };
    let current = not_negative("status.currentReplicas", status.current_replicas);
    let desired = not_negative("status.desiredReplicas", Some(status.desired_replicas));
    current.into_iter().chain(desired).collect()
}

fn reference(target: &CrossVersionObjectReference, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    for (field, text) in [("kind", &target.kind), ("name", &target.name)] {
        let path = format!("{path}.{field}");
        if text.is_empty() {
            faults.push(Cause::required(path, ""));
        } else {
            faults.extend(all(&path, text, meta::path_segment(text)));
        }
    }
    faults
}

fn rules(rules: Option<&HPAScalingRules>, path: &str) -> Vec<Cause> {
    let Some(rules) = rules else { return vec![] };
    let mut faults = vec![];
    if let Some(window) = rules.stabilization_window_seconds {
        let path = format!("{path}.stabilizationWindowSeconds");
        if window < 0 {
            let detail = "must be greater than or equal to zero";
            faults.push(Cause::invalid(path, window, detail));
        } else if window > MAX_STABILIZATION_WINDOW {
            let detail = format!("must be less than or equal to {MAX_STABILIZATION_WINDOW}");
            faults.push(Cause::invalid(path, window, &detail));
        }
    }
    let selections = &["Disabled", "Max", "Min"];
    if let Some(other) = rules.select_policy.as_deref().filter(|one| !selections.contains(one)) {
        faults.push(Cause::not_supported(format!("{path}.selectPolicy"), other, selections));
    }
    let policies = rules.policies.as_deref().unwrap_or_default();
    if policies.is_empty() {
        let detail = "must specify at least one Policy";
        faults.push(Cause::required(format!("{path}.policies"), detail));
    }
    for (at, policy) in policies.iter().enumerate() {
        let path = format!("{path}.policies[{at}]");
        let types = &["Percent", "Pods"];
        if !types.contains(&policy.type_.as_str()) {
            faults.push(Cause::not_supported(format!("{path}.type"), &policy.type_, types));
        }
        if policy.value <= 0 {
            let detail = "must be greater than zero";
            faults.push(Cause::invalid(format!("{path}.value"), policy.value, detail));
        }
        let period = policy.period_seconds;
        let path = format!("{path}.periodSeconds");
        if period <= 0 {
            faults.push(Cause::invalid(path, period, "must be greater than zero"));
        } else if period > MAX_PERIOD {
            let detail = format!("must be less than or equal to {MAX_PERIOD}");
            faults.push(Cause::invalid(path, period, &detail));
        }
    }
    if let Some(tolerance) = &rules.tolerance {
        faults.extend(resources::quantity(tolerance, &format!("{path}.tolerance")));
    }
    faults
}

const SOURCES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];

fn metric(metric: &MetricSpec, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let given = [
        ("object", "Object", metric.object.is_some()),
        ("external", "External", metric.external.is_some()),
        ("pods", "Pods", metric.pods.is_some()),
        ("resource", "Resource", metric.resource.is_some()),
        ("containerResource", "ContainerResource", metric.container_resource.is_some()),
    ];
    let of_type = format!("{path}.type");
    if metric.type_.is_empty() {
        faults.push(Cause::required(of_type.as_str(), "must specify a metric source type"));
    }
    let wanted = given.iter().find(|(_, type_, _)| *type_ == metric.type_);
    if wanted.is_none() {
        faults.push(Cause::not_supported(of_type.as_str(), &metric.type_, SOURCES));
    }
    let mut present = given.iter().filter(|(.., given)| *given);
    if let Some((first, ..)) = present.next() {
        faults.extend(source(metric, first, &format!("{path}.{first}")));
    }
    match wanted {
        Some((field, _, false)) => {
            let detail = "must populate information for the given metric source";
            faults.push(Cause::required(format!("{path}.{field}"), detail));
        }
        Some(_) => {}
        None => faults.push(Cause::not_supported(of_type, &metric.type_, SOURCES)),
    }
    let present = || given.iter().filter(|(.., given)| *given);
    if present().count() > 1 {
        let own = wanted.map(|(field, ..)| field);
        for (field, ..) in present().filter(|(field, ..)| Some(field) != own) {
            let detail = "must populate the given metric source only";
            faults.push(Cause::forbidden(format!("{path}.{field}"), detail));
        }
    }
    faults
}

fn source(metric: &MetricSpec, field: &str, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    if let Some(object) = metric.object.as_ref().filter(|_| field == "object") {
        faults.extend(reference(&object.described_object, &format!("{path}.describedObject")));
        faults.extend(identifier(&object.metric, &format!("{path}.metric")));
        faults.extend(target(&object.target, &format!("{path}.target")));
        if object.target.value.is_none() && object.target.average_value.is_none() {
            let detail = "must set either a target value or averageValue";
            faults.push(Cause::required(format!("{path}.target.averageValue"), detail));
        }
    }
    if let Some(external) = metric.external.as_ref().filter(|_| field == "external") {
        faults.extend(identifier(&external.metric, &format!("{path}.metric")));
        faults.extend(target(&external.target, &format!("{path}.target")));
        match (&external.target.value, &external.target.average_value) {
            (None, None) => {
                let detail = "must set either a target value for metric or a per-pod target";
                faults.push(Cause::required(format!("{path}.target.averageValue"), detail));
            }
            (Some(_), Some(_)) => {
                let detail = "may not set both a target value for metric and a per-pod target";
                faults.push(Cause::forbidden(format!("{path}.target.value"), detail));
            }
            _ => {}
        }
    }
    if let Some(pods) = metric.pods.as_ref().filter(|_| field == "pods") {
        faults.extend(identifier(&pods.metric, &format!("{path}.metric")));
        faults.extend(target(&pods.target, &format!("{path}.target")));
        if pods.target.average_value.is_none() {
            let detail = "must specify a positive target averageValue";
            faults.push(Cause::required(format!("{path}.target.averageValue"), detail));
        }
    }
    if let Some(resource) = metric.resource.as_ref().filter(|_| field == "resource") {
        if resource.name.is_empty() {
            let detail = "must specify a resource name";
            faults.push(Cause::required(format!("{path}.name"), detail));
        }
        faults.extend(usage(&resource.target, &format!("{path}.target")));
    }
    if let Some(resource) =
        metric.container_resource.as_ref().filter(|_| field == "containerResource")
    {
        let of_name = format!("{path}.name");
        if resource.name.is_empty() {
            faults.push(Cause::required(of_name, "must specify a resource name"));
        } else {
            faults.extend(resources::container_resource(&resource.name, &of_name));
        }
        let of_container = format!("{path}.container");
        if resource.container.is_empty() {
            faults.push(Cause::required(of_container, "must specify a container"));
        } else {
            let complaints = meta::dns_1123_label(&resource.container);
            faults.extend(all(&of_container, &resource.container, complaints));
        }
        faults.extend(usage(&resource.target, &format!("{path}.target")));
    }
    faults
}

/// The target of a resource's use.
fn usage(wanted: &MetricTarget, path: &str) -> Vec<Cause> {
    let mut faults = target(wanted, path);
    match (&wanted.average_utilization, &wanted.average_value) {
        (None, None) => {
            let detail = "must set either a target raw value or a target utilization";
            faults.push(Cause::required(format!("{path}.averageUtilization"), detail));
        }
        (Some(_), Some(_)) => {
            let detail = "may not set both a target raw value and a target utilization";
            faults.push(Cause::forbidden(format!("{path}.averageValue"), detail));
        }
        _ => {}
    }
    faults
}

fn target(target: &MetricTarget, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let type_ = target.type_.as_str();
    if type_.is_empty() {
        let detail = "must specify a metric target type";
        faults.push(Cause::required(format!("{path}.type"), detail));
    }
    if !matches!(type_, "Utilization" | "Value" | "AverageValue") {
        let detail = "must be either Utilization, Value, or AverageValue";
        faults.push(Cause::invalid(format!("{path}.type"), type_, detail));
    }
    let positive = |amount: &Option<Text>, field: &str| {
        let amount = amount.as_ref()?;
        let parsed = Quantity::try_from(amount).ok()?;
        let nothing = parsed.is_negative() || parsed.is_zero();
        nothing.then(|| {
            Cause::invalid(format!("{path}.{field}"), amount.0.as_str(), "must be positive")
        })
    };
    faults.extend(positive(&target.value, "value"));
    faults.extend(positive(&target.average_value, "averageValue"));
    if let Some(percent) = target.average_utilization.filter(|percent| *percent < 1) {
        let path = format!("{path}.averageUtilization");
        faults.push(Cause::invalid(path, percent, "must be greater than 0"));
    }
    faults
}

fn identifier(metric: &MetricIdentifier, path: &str) -> Vec<Cause> {
    let of_name = format!("{path}.name");
    if metric.name.is_empty() {
        return vec![Cause::required(of_name, "must specify a metric name")];
    }
    all(&of_name, &metric.name, meta::path_segment(&metric.name))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use crate::Strategy;
    use serde_json::{Value, json};

    fn faults(change: Value) -> Vec<String> {
        let mut value = json!({"spec": {
            "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"},
        }});
        json_patch::merge(&mut value, &json!({ "spec": change }));
        let mut it: HorizontalPodAutoscaler = object(value);
        it.default_fields();
        lines(horizontalpodautoscaler(&it))
    }

    #[test]
    fn autoscalers() {
        let target = |target: Value| json!({"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]});
        for (change, expected) in [
            (json!({}), &[][..]),
            (
                json!({"minReplicas": 0}),
                &["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"],
            ),
            (
                json!({"minReplicas": 4}),
                &[
                    "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`",
                ],
            ),
            (
                json!({"scaleTargetRef": {"kind": "", "name": ".."}}),
                &[
                    "spec.scaleTargetRef.kind: Required value",
                    "spec.scaleTargetRef.name: Invalid value: \"..\": may not be '..'",
                ],
            ),
            (
                target(json!({"type": "Utilization"})),
                &[
                    "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
                ],
            ),
            (
                target(json!({"type": "X", "averageUtilization": 0, "averageValue": "0"})),
                &[
                    "spec.metrics[0].resource.target.type: Invalid value: \"X\": must be either Utilization, Value, or AverageValue",
                    "spec.metrics[0].resource.target.averageValue: Invalid value: \"0\": must be positive",
                    "spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0",
                    "spec.metrics[0].resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization",
                ],
            ),
            (
                json!({"metrics": [{"type": "Pods"}]}),
                &[
                    "spec.metrics[0].pods: Required value: must populate information for the given metric source",
                ],
            ),
            (
                json!({"behavior": {"scaleDown": {"policies": [], "selectPolicy": "X", "stabilizationWindowSeconds": 3601}}}),
                &[
                    "spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
                    "spec.behavior.scaleDown.selectPolicy: Unsupported value: \"X\": supported values: \"Disabled\", \"Max\", \"Min\"",
                    "spec.behavior.scaleDown.policies: Required value: must specify at least one Policy",
                ],
            ),
        ] {
            assert_eq!(faults(change.clone()), expected, "{change}");
        }
    }
}
