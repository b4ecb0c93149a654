//! HorizontalPodAutoscaler: kept as `autoscaling/v2`, served as `v1` too. May not import verbs.

mod v1;

use coracle_api::cause::Cause;
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus,
    MetricSpec, MetricStatus, MetricTarget, MetricValueStatus, ResourceMetricSource,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

pub(super) use v1::v1;

/// What is aimed at where nothing is said: per cent of the CPU requested.
const CPU_UTILIZATION: i32 = 80;
/// How many metrics a row shows.
const METRICS_SHOWN: usize = 2;

impl Strategy for HorizontalPodAutoscaler {
    const NAMES: Names = Names {
        group: "autoscaling",
        version: "v2",
        kind: "HorizontalPodAutoscaler",
        plural: "horizontalpodautoscalers",
        singular: "horizontalpodautoscaler",
        short: &["hpa"],
        categories: &["all"],
        namespaced: true,
        status: true,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Reference", "string", "What is scaled."),
        column("Targets", "string", "Each metric as it is and as it shall be."),
        column("MinPods", "string", "The fewest pods that there may be."),
        column("MaxPods", "integer", "The most pods that there may be."),
        column("Replicas", "integer", "How many pods there are."),
        AGE,
    ];

    fn default_fields(&mut self) {
        let spec = &mut self.spec;
        spec.min_replicas.get_or_insert(1);
        if spec.metrics.as_ref().is_none_or(Vec::is_empty) {
            spec.metrics = Some(vec![cpu()]);
        }
        if let Some(behavior) = &mut spec.behavior {
            complete(behavior.scale_up.get_or_insert_default(), scale_up());
            complete(behavior.scale_down.get_or_insert_default(), scale_down());
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(HorizontalPodAutoscalerStatus::default());
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        match part {
            Part::Main => self.status = old.status.clone(),
            Part::Status => self.spec = old.spec.clone(),
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::horizontalpodautoscaler(self)
    }

    fn validate_update(&self, _old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => vec![],
            Part::Status => validation::horizontalpodautoscaler_status(self),
        }
    }

    fn row(&self) -> Vec<Value> {
        let spec = &self.spec;
        let status = self.status.clone().unwrap_or_default();
        let target = format!("{}/{}", spec.scale_target_ref.kind, spec.scale_target_ref.name);
        let current = status.current_metrics.as_deref().unwrap_or_default();
        let minimum = spec.min_replicas.map_or("<unset>".to_owned(), |count| count.to_string());
        vec![
            name(self),
            json!(target),
            json!(metrics(spec.metrics.as_deref().unwrap_or_default(), current)),
            json!(minimum),
            json!(spec.max_replicas),
            json!(status.current_replicas.unwrap_or(0)),
            age(self),
        ]
    }
}

fn cpu() -> MetricSpec {
    MetricSpec {
        type_: "Resource".into(),
        resource: Some(ResourceMetricSource {
            name: "cpu".into(),
            target: MetricTarget {
                type_: "Utilization".into(),
                average_utilization: Some(CPU_UTILIZATION),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}

fn policy(type_: &str, value: i32) -> HPAScalingPolicy {
    HPAScalingPolicy { type_: type_.into(), value, period_seconds: 15 }
}

/// By four pods or to the double in a quarter of a minute, whichever is more.
fn scale_up() -> HPAScalingRules {
    HPAScalingRules {
        stabilization_window_seconds: Some(0),
        policies: Some(vec![policy("Pods", 4), policy("Percent", 100)]),
        ..scale_down()
    }
}

/// As far as wanted; how long is waited for that is the controller's to say.
fn scale_down() -> HPAScalingRules {
    HPAScalingRules {
        select_policy: Some("Max".into()),
        policies: Some(vec![policy("Percent", 100)]),
        ..HPAScalingRules::default()
    }
}

fn complete(rules: &mut HPAScalingRules, usual: HPAScalingRules) {
    if rules.stabilization_window_seconds.is_none() {
        rules.stabilization_window_seconds = usual.stabilization_window_seconds;
    }
    if rules.select_policy.is_none() {
        rules.select_policy = usual.select_policy;
    }
    if rules.policies.is_none() {
        rules.policies = usual.policies;
    }
}

/// `cpu: 10%/80%, 3/5 (avg) + 1 more...`
fn metrics(wanted: &[MetricSpec], current: &[MetricStatus]) -> String {
    if wanted.is_empty() {
        return "<none>".into();
    }
    let shown = wanted.iter().take(METRICS_SHOWN).enumerate();
    let shown: Vec<_> = shown.map(|(at, metric)| pair(metric, current.get(at))).collect();
    let text = shown.join(", ");
    match wanted.len().saturating_sub(METRICS_SHOWN) {
        0 => text,
        more => format!("{text} + {more} more..."),
    }
}

/// A metric as it is and as it shall be.
fn pair(metric: &MetricSpec, current: Option<&MetricStatus>) -> String {
    let (named, target, value) = if let Some(source) = &metric.resource {
        let value = current.and_then(|now| now.resource.as_ref()).map(|now| &now.current);
        (Some(&source.name), &source.target, value)
    } else if let Some(source) = &metric.container_resource {
        let value = current.and_then(|now| now.container_resource.as_ref()).map(|now| &now.current);
        (Some(&source.name), &source.target, value)
    } else if let Some(source) = &metric.pods {
        let value = current.and_then(|now| now.pods.as_ref()).map(|now| &now.current);
        (None, &source.target, value)
    } else if let Some(source) = &metric.object {
        let value = current.and_then(|now| now.object.as_ref()).map(|now| &now.current);
        (None, &source.target, value)
    } else if let Some(source) = &metric.external {
        let value = current.and_then(|now| now.external.as_ref()).map(|now| &now.current);
        (None, &source.target, value)
    } else {
        return "<unknown type>".into();
    };
    let amount = |amount: Option<&Quantity>| amount.map(|amount| amount.0.clone());
    let of = |read: &dyn Fn(&MetricValueStatus) -> Option<String>| {
        value.and_then(read).unwrap_or_else(|| "<unknown>".into())
    };
    let (now, wanted, note) = match (&target.average_value, named) {
        (Some(wanted), named) => {
            let averaged = named.is_none() && metric.pods.is_none();
            let now = of(&|now| amount(now.average_value.as_ref()));
            (now, wanted.0.clone(), if averaged { " (avg)" } else { "" })
        }
        (None, Some(_)) => {
            let wanted = target.average_utilization.map(|percent| format!("{percent}%"));
            let now = of(&|now| now.average_utilization.map(|percent| format!("{percent}%")));
            (now, wanted.unwrap_or_else(|| "<auto>".into()), "")
        }
        (None, None) => {
            let wanted = amount(target.value.as_ref()).unwrap_or_else(|| "<unknown>".into());
            (of(&|now| amount(now.value.as_ref())), wanted, "")
        }
    };
    match named {
        Some(resource) => format!("{resource}: {now}/{wanted}"),
        None => format!("{now}/{wanted}{note}"),
    }
}

#[cfg(test)]
mod tests;
