//! What ReplicaSets and the ReplicationControllers that they came from have in common.

use coracle_api::selector::Selector;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{
    PodTemplateSpec, ReplicationController, ReplicationControllerCondition,
    ReplicationControllerStatus,
};
use kube::core::NamespaceResourceScope;
use serde::Serialize;

use crate::context::Informers;
use crate::error::{Error, Result};
use crate::informer::{Informer, Kind};

/// A kind that keeps a number of pods of one template.
pub(crate) trait Replicated:
    Kind + kube::Resource<Scope = NamespaceResourceScope> + Serialize
{
    /// The name of the kind's queue.
    const QUEUE: &'static str;

    fn informer(informers: &Informers) -> &Informer<Self>;
    fn replicas(&self) -> i32;
    fn min_ready_seconds(&self) -> i32;
    /// The selector, whatever it selects.
    fn labels(&self) -> Result<Selector>;
    fn template(&self) -> Option<&PodTemplateSpec>;
    fn status(&self) -> Option<ReplicaSetStatus>;
    /// Keeps of a status what the kind has fields for.
    fn set_status(&mut self, status: ReplicaSetStatus);

    /// The selector of the pods that belong to it.
    fn selector(&self) -> Result<Selector> {
        let selector = self.labels()?;
        if selector.is_everything() {
            return Err(Error::Invalid("an empty selector would select every pod".into()));
        }
        Ok(selector)
    }
}

impl Replicated for ReplicaSet {
    const QUEUE: &'static str = "replicaset";

    fn informer(informers: &Informers) -> &Informer<Self> {
        &informers.replica_sets
    }

    fn replicas(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
    }

    fn labels(&self) -> Result<Selector> {
        let selector = self.spec.as_ref().map(|spec| &spec.selector);
        let selector =
            selector.ok_or_else(|| Error::Invalid("a ReplicaSet without spec".into()))?;
        Selector::try_from(selector).map_err(|e| Error::Invalid(e.to_string()))
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn status(&self) -> Option<ReplicaSetStatus> {
        self.status.clone()
    }

    fn set_status(&mut self, status: ReplicaSetStatus) {
        self.status = Some(status);
    }
}

impl Replicated for ReplicationController {
    const QUEUE: &'static str = "replicationmanager";

    fn informer(informers: &Informers) -> &Informer<Self> {
        &informers.replication_controllers
    }

    fn replicas(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
    }

    fn labels(&self) -> Result<Selector> {
        let labels = self.spec.as_ref().and_then(|spec| spec.selector.clone());
        Ok(Selector::from(&labels.unwrap_or_default()))
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn status(&self) -> Option<ReplicaSetStatus> {
        let status = self.status.clone()?;
        let condition = |condition: ReplicationControllerCondition| ReplicaSetCondition {
            type_: condition.type_,
            status: condition.status,
            reason: condition.reason,
            message: condition.message,
            last_transition_time: condition.last_transition_time,
        };
        let conditions = status.conditions.map(|all| all.into_iter().map(condition).collect());
        Some(ReplicaSetStatus {
            replicas: status.replicas,
            fully_labeled_replicas: status.fully_labeled_replicas,
            ready_replicas: status.ready_replicas,
            available_replicas: status.available_replicas,
            terminating_replicas: None,
            observed_generation: status.observed_generation,
            conditions,
        })
    }

    fn set_status(&mut self, status: ReplicaSetStatus) {
        let condition = |condition: ReplicaSetCondition| ReplicationControllerCondition {
            type_: condition.type_,
            status: condition.status,
            reason: condition.reason,
            message: condition.message,
            last_transition_time: condition.last_transition_time,
        };
        let conditions = status.conditions.map(|all| all.into_iter().map(condition).collect());
        self.status = Some(ReplicationControllerStatus {
            replicas: status.replicas,
            fully_labeled_replicas: status.fully_labeled_replicas,
            ready_replicas: status.ready_replicas,
            available_replicas: status.available_replicas,
            observed_generation: status.observed_generation,
            conditions,
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_survives_but_for_what_the_kind_has_no_field_for() {
        let status: ReplicaSetStatus = serde_json::from_value(json!({
            "replicas": 3, "fullyLabeledReplicas": 2, "readyReplicas": 1, "availableReplicas": 1,
            "terminatingReplicas": 4, "observedGeneration": 5,
            "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                "message": "no room", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        }))
        .unwrap();
        let mut controller = ReplicationController::default();
        controller.set_status(status.clone());
        let kept = ReplicaSetStatus { terminating_replicas: None, ..status };
        assert_eq!(controller.status(), Some(kept));
    }

    #[test]
    fn what_selects_everything_selects_nothing() {
        let mut controller = ReplicationController::default();
        assert!(controller.selector().is_err());
        let labels = [("app".to_owned(), "web".to_owned())].into();
        controller.spec.get_or_insert_default().selector = Some(labels);
        assert!(controller.selector().is_ok());
    }
}
