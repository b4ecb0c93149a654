//! What pods use: the kubelet's summary and its resource metrics. Pure but for reading meters.

use std::fmt::Write;

use coracle_api::clock;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use crate::Node;
use crate::registry::Known;

/// One container's use.
struct Used {
    container: String,
    cpu_seconds: f64,
    cpu_nanos: u128,
    memory: u64,
    peak: u64,
    fuel: u64,
}

fn used(known: &Known) -> Vec<Used> {
    let one = |(name, instance): (&str, std::sync::Arc<coracle_sandbox::Instance>)| {
        let usage = instance.usage();
        Used {
            container: name.to_owned(),
            cpu_seconds: usage.cpu.as_secs_f64(),
            cpu_nanos: usage.cpu.as_nanos(),
            memory: usage.memory,
            peak: usage.memory_peak,
            fuel: usage.fuel,
        }
    };
    known.running().map(one).collect()
}

/// `/stats/summary`.
pub(crate) fn summary(node: &Node) -> Value {
    let now = Time(clock::now());
    let (mut cpu, mut memory) = (0, 0);
    let mut pods = Vec::new();
    for known in node.registry.all() {
        let all = used(&known);
        let pod_cpu: u128 = all.iter().map(|used| used.cpu_nanos).sum();
        let pod_memory: u64 = all.iter().map(|used| used.memory).sum();
        cpu += pod_cpu;
        memory += pod_memory;
        let metadata = &known.pod.metadata;
        let status = known.pod.status.as_ref();
        let started = status.and_then(|status| status.start_time.clone());
        let containers: Vec<Value> = all
            .iter()
            .map(|used| {
                json!({
                    "name": used.container,
                    "startTime": started,
                    "cpu": {"time": now, "usageCoreNanoSeconds": nanos(used.cpu_nanos)},
                    "memory": {
                        "time": now,
                        "usageBytes": used.memory,
                        "workingSetBytes": used.memory,
                        "rssBytes": used.memory,
                    },
                    "userDefinedMetrics": [
                        {"name": "fuel", "type": "cumulative", "units": "instructions",
                         "time": now, "value": used.fuel},
                        {"name": "memory_peak", "type": "gauge", "units": "bytes",
                         "time": now, "value": used.peak},
                    ],
                })
            })
            .collect();
        pods.push(json!({
            "podRef": {
                "name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid,
            },
            "startTime": started,
            "containers": containers,
            "cpu": {"time": now, "usageCoreNanoSeconds": nanos(pod_cpu)},
            "memory": {"time": now, "usageBytes": pod_memory, "workingSetBytes": pod_memory},
        }));
    }
    let capacity = node.config.capacity.memory;
    json!({
        "node": {
            "nodeName": node.config.name,
            "cpu": {"time": now, "usageCoreNanoSeconds": nanos(cpu)},
            "memory": {
                "time": now,
                "usageBytes": memory,
                "workingSetBytes": memory,
                "availableBytes": capacity.saturating_sub(memory),
            },
        },
        "pods": pods,
    })
}

fn nanos(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// `/metrics/resource`, in Prometheus' text format.
pub(crate) fn resource(node: &Node) -> String {
    let millis = clock::now().as_millisecond();
    let (mut cpu, mut memory) = (0.0, 0);
    let (mut container_cpu, mut container_memory) = (String::new(), String::new());
    let (mut pod_cpu, mut pod_memory) = (String::new(), String::new());
    let mut fuel = String::new();
    for known in node.registry.all() {
        let metadata = &known.pod.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let pod = metadata.name.as_deref().unwrap_or_default();
        let all = used(&known);
        if all.is_empty() {
            continue;
        }
        let (mut sum_cpu, mut sum_memory) = (0.0, 0);
        for used in all {
            let labels = format!(
                "{{container=\"{}\",namespace=\"{namespace}\",pod=\"{pod}\"}}",
                used.container
            );
            // Writing to a string cannot fail.
            let _ = writeln!(
                container_cpu,
                "container_cpu_usage_seconds_total{labels} {} {millis}",
                used.cpu_seconds
            );
            let _ = writeln!(
                container_memory,
                "container_memory_working_set_bytes{labels} {} {millis}",
                used.memory
            );
            let _ = writeln!(
                fuel,
                "coracle_container_fuel_consumed_total{labels} {} {millis}",
                used.fuel
            );
            sum_cpu += used.cpu_seconds;
            sum_memory += used.memory;
        }
        let labels = format!("{{namespace=\"{namespace}\",pod=\"{pod}\"}}");
        let _ = writeln!(pod_cpu, "pod_cpu_usage_seconds_total{labels} {sum_cpu} {millis}");
        let _ = writeln!(pod_memory, "pod_memory_working_set_bytes{labels} {sum_memory} {millis}");
        cpu += sum_cpu;
        memory += sum_memory;
    }
    let mut text = String::new();
    for (name, kind, help, values) in [
        (
            "container_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the container in core-seconds",
            container_cpu,
        ),
        (
            "container_memory_working_set_bytes",
            "gauge",
            "Current working set of the container in bytes",
            container_memory,
        ),
        (
            "coracle_container_fuel_consumed_total",
            "counter",
            "Instructions executed by the container",
            fuel,
        ),
        (
            "node_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the node in core-seconds",
            format!("node_cpu_usage_seconds_total {cpu} {millis}\n"),
        ),
        (
            "node_memory_working_set_bytes",
            "gauge",
            "Current working set of the node in bytes",
            format!("node_memory_working_set_bytes {memory} {millis}\n"),
        ),
        (
            "pod_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the pod in core-seconds",
            pod_cpu,
        ),
        (
            "pod_memory_working_set_bytes",
            "gauge",
            "Current working set of the pod in bytes",
            pod_memory,
        ),
    ] {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{values}");
    }
    text
}
