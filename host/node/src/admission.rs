//! Whether a pod that the scheduler bound here may run here: the node judges again, for it knows
//! best. Pure but for the ledger of what is taken.

use std::collections::{BTreeMap, HashMap};

use coracle_api::pods;
use coracle_api::quantity::Quantity as Amount;
use k8s_openapi::api::core::v1::{Pod, PodSpec};

/// What the pods that were admitted take, by uid.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    taken: HashMap<String, BTreeMap<String, Amount>>,
}

/// Why a pod may not run here, as its status says it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Ledger {
    /// Admits a pod and takes what it requests, or says why not. A pod admitted before stays so.
    pub(crate) fn admit(
        &mut self,
        pod: &Pod,
        allocatable: &BTreeMap<String, Amount>,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), Rejection> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let spec = pod.spec.clone().unwrap_or_default();
        if self.taken.contains_key(&uid) {
            return Ok(());
        }
        if !selected(&spec, labels) {
            return Err(Rejection {
                reason: "NodeAffinity".into(),
                message: "Predicate NodeAffinity failed: node(s) didn't match Pod's node \
                          affinity/selector"
                    .into(),
            });
        }
        let mut wanted = pods::requests(&spec);
        wanted.insert("pods".into(), Amount::units(1));
        for (name, amount) in &wanted {
            let capacity = allocatable.get(name).copied().unwrap_or_default();
            let used = self.used(name);
            if !amount.is_zero() && used + *amount > capacity {
                let value = |amount: Amount| match name.as_str() {
                    "cpu" => amount.milli_value(),
                    _ => amount.value(),
                };
                return Err(Rejection {
                    reason: format!("OutOf{name}"),
                    message: format!(
                        "Node didn't have enough resource: {name}, requested: {}, used: {}, \
                         capacity: {}",
                        value(*amount),
                        value(used),
                        value(capacity)
                    ),
                });
            }
        }
        self.taken.insert(uid, wanted);
        Ok(())
    }

    /// Gives back what a pod took.
    pub(crate) fn release(&mut self, uid: &str) {
        self.taken.remove(uid);
    }

    fn used(&self, name: &str) -> Amount {
        let all = self.taken.values().filter_map(|taken| taken.get(name));
        all.fold(Amount::ZERO, |sum, amount| sum + *amount)
    }
}

/// Whether `spec.nodeSelector` chooses a node of these labels.
pub(crate) fn selected(spec: &PodSpec, labels: &BTreeMap<String, String>) -> bool {
    let mut wanted = spec.node_selector.iter().flatten();
    wanted.all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(uid: &str, cpu: &str, selector: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": uid, "uid": uid},
            "spec": {
                "nodeSelector": {"zone": selector},
                "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}],
            },
        }))
        .unwrap()
    }

    #[test]
    fn pods_are_admitted_while_there_is_room() {
        let allocatable =
            [("cpu".to_owned(), Amount::milli(1000)), ("pods".to_owned(), Amount::units(2))].into();
        let labels = [("zone".to_owned(), "a".to_owned())].into();
        let mut ledger = Ledger::default();
        let admit = |ledger: &mut Ledger, uid, cpu, zone| {
            ledger.admit(&pod(uid, cpu, zone), &allocatable, &labels).map_err(|error| error.reason)
        };
        assert_eq!(admit(&mut ledger, "1", "600m", "a"), Ok(()));
        assert_eq!(admit(&mut ledger, "1", "600m", "a"), Ok(()), "once only");
        assert_eq!(admit(&mut ledger, "2", "600m", "a"), Err("OutOfcpu".into()));
        assert_eq!(admit(&mut ledger, "2", "1m", "b"), Err("NodeAffinity".into()));
        assert_eq!(admit(&mut ledger, "2", "400m", "a"), Ok(()));
        assert_eq!(admit(&mut ledger, "3", "0", "a"), Err("OutOfpods".into()));
        ledger.release("1");
        assert_eq!(admit(&mut ledger, "3", "0", "a"), Ok(()));
        let error = ledger.admit(&pod("4", "2", "a"), &allocatable, &labels).unwrap_err();
        assert_eq!(
            error.message,
            "Node didn't have enough resource: cpu, requested: 2000, used: 400, capacity: 1000"
        );
    }
}
