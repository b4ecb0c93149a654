//! Conditions: the one shape that Kubernetes' many condition types share, and how one is looked
//! up or set without disturbing the time at which it last changed.

use k8s_openapi::api::apps::v1::{DeploymentCondition, ReplicaSetCondition};
use k8s_openapi::api::batch::v1::JobCondition;
use k8s_openapi::api::core::v1::{NamespaceCondition, NodeCondition, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as MetaCondition, Time};

use crate::clock;

/// A condition of any kind.
pub trait Condition: Sized {
    /// A condition that began now.
    fn new(type_: &str, status: &str, reason: &str, message: impl Into<String>) -> Self;
    /// `Ready`, `Available`, ...
    fn type_(&self) -> &str;
    /// `True`, `False` or `Unknown`.
    fn status(&self) -> &str;
    /// The machine-readable reason, empty if there is none.
    fn reason(&self) -> &str;
    /// The message for people, empty if there is none.
    fn message(&self) -> &str;
    /// When the status last changed.
    fn last_transition(&self) -> Option<&Time>;
    /// Changes the time at which the status last changed.
    fn set_last_transition(&mut self, time: Option<Time>);
    /// Whether the status is `True`.
    fn is_true(&self) -> bool {
        self.status() == "True"
    }
}

/// The condition of type `type_`.
pub fn find<'a, C: Condition>(conditions: Option<&'a Vec<C>>, type_: &str) -> Option<&'a C> {
    conditions?.iter().find(|condition| condition.type_() == type_)
}

/// Whether the condition of type `type_` is there and `True`.
pub fn is_true<C: Condition>(conditions: Option<&Vec<C>>, type_: &str) -> bool {
    find(conditions, type_).is_some_and(C::is_true)
}

/// Puts `condition` in place of the one of its type, keeping the transition time if the status is
/// the same. Answers whether status, reason or message changed.
pub fn set<C: Condition>(conditions: &mut Option<Vec<C>>, mut condition: C) -> bool {
    let conditions = conditions.get_or_insert_default();
    let Some(old) = conditions.iter_mut().find(|old| old.type_() == condition.type_()) else {
        conditions.push(condition);
        return true;
    };
    let same_status = old.status() == condition.status();
    if same_status && old.reason() == condition.reason() && old.message() == condition.message() {
        return false;
    }
    if same_status {
        condition.set_last_transition(old.last_transition().cloned());
    }
    *old = condition;
    true
}

/// Takes the condition of type `type_` away; answers whether there was one.
pub fn remove<C: Condition>(conditions: &mut Option<Vec<C>>, type_: &str) -> bool {
    let Some(list) = conditions else { return false };
    let before = list.len();
    list.retain(|condition| condition.type_() != type_);
    let removed = list.len() != before;
    if list.is_empty() {
        *conditions = None;
    }
    removed
}

impl Condition for MetaCondition {
    fn new(type_: &str, status: &str, reason: &str, message: impl Into<String>) -> Self {
        Self {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.into(),
            last_transition_time: Time(clock::now()),
            observed_generation: None,
        }
    }
    fn type_(&self) -> &str {
        &self.type_
    }
    fn status(&self) -> &str {
        &self.status
    }
    fn reason(&self) -> &str {
        &self.reason
    }
    fn message(&self) -> &str {
        &self.message
    }
    fn last_transition(&self) -> Option<&Time> {
        Some(&self.last_transition_time)
    }
    fn set_last_transition(&mut self, time: Option<Time>) {
        if let Some(time) = time {
            self.last_transition_time = time;
        }
    }
}

macro_rules! condition {
    ($kind:ty $(, $also_now:ident)*) => {
        impl Condition for $kind {
            #[allow(clippy::needless_update, reason = "some kinds have further fields")]
            fn new(type_: &str, status: &str, reason: &str, message: impl Into<String>) -> Self {
                let now = Time(clock::now());
                let message = message.into();
                Self {
                    type_: type_.to_owned(),
                    status: status.to_owned(),
                    reason: (!reason.is_empty()).then(|| reason.to_owned()),
                    message: (!message.is_empty()).then_some(message),
                    $($also_now: Some(now.clone()),)*
                    last_transition_time: Some(now),
                    ..Self::default()
                }
            }
            fn type_(&self) -> &str {
                &self.type_
            }
            fn status(&self) -> &str {
                &self.status
            }
            fn reason(&self) -> &str {
                self.reason.as_deref().unwrap_or_default()
            }
            fn message(&self) -> &str {
                self.message.as_deref().unwrap_or_default()
            }
            fn last_transition(&self) -> Option<&Time> {
                self.last_transition_time.as_ref()
            }
            fn set_last_transition(&mut self, time: Option<Time>) {
                self.last_transition_time = time;
            }
        }
    };
}

condition!(PodCondition);
condition!(ReplicaSetCondition);
condition!(NamespaceCondition);
condition!(DeploymentCondition, last_update_time);
condition!(NodeCondition, last_heartbeat_time);
condition!(JobCondition, last_probe_time);

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Option<Time> {
        Some(Time(Timestamp::from_second(second).unwrap()))
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut ready = PodCondition::new("Ready", "True", "", "");
        ready.last_transition_time = at(1);
        let mut conditions = Some(vec![ready]);

        let mut same = PodCondition::new("Ready", "True", "Still", "well");
        same.last_transition_time = at(2);
        assert!(set(&mut conditions, same.clone()));
        assert_eq!(find(conditions.as_ref(), "Ready").unwrap().last_transition_time, at(1));
        assert!(!set(&mut conditions, same), "nothing new");

        let mut changed = PodCondition::new("Ready", "False", "Broken", "");
        changed.last_transition_time = at(3);
        assert!(set(&mut conditions, changed));
        assert_eq!(find(conditions.as_ref(), "Ready").unwrap().last_transition_time, at(3));
        assert!(!is_true(conditions.as_ref(), "Ready"));
    }

    #[test]
    fn the_last_condition_removed_leaves_none() {
        let mut conditions = None;
        assert!(set(&mut conditions, NodeCondition::new("Ready", "True", "KubeletReady", "")));
        assert!(is_true(conditions.as_ref(), "Ready"));
        assert!(!remove(&mut conditions, "Other"));
        assert!(remove(&mut conditions, "Ready"));
        assert_eq!(conditions, None);
    }
}
