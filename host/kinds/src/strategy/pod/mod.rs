//! Pod, and what its spec shares with the templates of workloads.

mod defaults;
mod row;
mod update;

use coracle_api::cause::Cause;
use coracle_api::{clock, pods};
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use super::table::{AGE, NAME, column, wide};
use super::{generation, legacy};
use crate::validation;
use crate::{Column, Names, Part, Rules, Strategy};

pub(super) use defaults::{default_template, set_text};

impl Strategy for Pod {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "Pod",
        plural: "pods",
        singular: "pod",
        short: &["po"],
        categories: &["all"],
        namespaced: true,
        status: true,
    };
    const RULES: Rules = Rules {
        returns_deleted: true,
        kept_by_status: &[
            &["spec"],
            &["metadata", "deletionTimestamp"],
            &["metadata", "ownerReferences"],
        ],
        ..Rules::USUAL
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Ready", "string", "How many of the pod's containers are ready to serve."),
        column("Status", "string", "The aggregate status of the containers in this pod."),
        column("Restarts", "string", "How often its containers were restarted, and when last."),
        AGE,
        wide("IP", "string", "The pod's address."),
        wide("Node", "string", "The node that the pod is bound to."),
        wide("Nominated Node", "string", "The node where room is being made for the pod."),
        wide("Readiness Gates", "string", "How many of the further conditions of readiness hold."),
    ];
    const SELECTABLE: &'static [&'static str] = &[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ];

    fn modernise(&mut self) -> Result<(), String> {
        legacy::annotated_pod(self)
    }

    fn default_fields(&mut self) {
        defaults::default_pod(self);
    }

    fn prepare_create(&mut self) {
        generation::start(self);
        let spec = self.spec.get_or_insert_default();
        let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
        self.status = Some(PodStatus {
            phase: Some("Pending".into()),
            qos_class: Some(pods::qos_class(spec).as_str().into()),
            conditions: gated.then(|| vec![scheduling_gated()]),
            ..PodStatus::default()
        });
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        match part {
            Part::Main => {
                self.status = old.status.clone();
                let changed = self.spec != old.spec;
                generation::count(self, old, changed);
            }
            Part::Status => {
                self.spec = old.spec.clone();
                self.metadata.owner_references = old.metadata.owner_references.clone();
                generation::count(self, old, false);
                // The class follows from the spec and is not for node agents to change.
                let class = old.status.as_ref().and_then(|status| status.qos_class.clone());
                let status = self.status.get_or_insert_default();
                if status.qos_class.as_deref().unwrap_or_default().is_empty() {
                    status.qos_class = class;
                }
            }
        }
    }

    fn prepare_subresource(&mut self, old: &Self, name: &str) -> Vec<Cause> {
        let sent = std::mem::replace(self, old.clone());
        if name != "ephemeralcontainers" {
            *self = sent;
            return vec![];
        }
        let wanted = sent.spec.and_then(|spec| spec.ephemeral_containers);
        self.spec.get_or_insert_default().ephemeral_containers = wanted;
        generation::count(self, old, self.spec != old.spec);
        validation::ephemeral_containers(self, old)
    }

    fn validate(&self) -> Vec<Cause> {
        validation::pod(self)
    }

    fn validate_create(&self) -> Vec<Cause> {
        validation::pod_create(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => update::validate(self, old),
            Part::Status => validation::pod_status(self, old),
        }
    }

    fn select(&self) -> Vec<String> {
        let spec = self.spec.as_ref();
        let status = self.status.as_ref();
        let ips = status.and_then(|status| status.pod_ips.as_ref());
        let ips: Vec<_> = ips.into_iter().flatten().map(|ip| ip.ip.as_str()).collect();
        let text = |text: Option<&String>| text.cloned().unwrap_or_default();
        vec![
            text(spec.and_then(|spec| spec.node_name.as_ref())),
            text(spec.and_then(|spec| spec.restart_policy.as_ref())),
            text(spec.and_then(|spec| spec.scheduler_name.as_ref())),
            text(spec.and_then(|spec| spec.service_account_name.as_ref())),
            spec.and_then(|spec| spec.host_network).unwrap_or(false).to_string(),
            pods::phase(self).into(),
            ips.first().copied().unwrap_or_default().into(),
            ips.join(","),
            text(status.and_then(|status| status.nominated_node_name.as_ref())),
        ]
    }

    fn row(&self) -> Vec<Value> {
        row::cells(self)
    }

    /// A pod that no node runs is deleted at once.
    fn grace(&self) -> i64 {
        let Some(spec) = &self.spec else { return 0 };
        if spec.node_name.as_deref().unwrap_or_default().is_empty() || pods::is_terminal(self) {
            return 0;
        }
        match spec.termination_grace_period_seconds.unwrap_or(0) {
            ..0 => 1,
            seconds => seconds,
        }
    }
}

fn scheduling_gated() -> PodCondition {
    PodCondition {
        type_: "PodScheduled".into(),
        status: "False".into(),
        reason: Some("SchedulingGated".into()),
        message: Some("Scheduling is blocked due to non-empty scheduling gates".into()),
        last_transition_time: Some(Time(clock::now())),
        ..PodCondition::default()
    }
}
