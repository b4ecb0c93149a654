//! Amounts of resources as plain numbers: thousandths of a CPU, bytes, and units of anything else.

use std::collections::BTreeMap;

use coracle_api::quantity::Quantity;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

/// What a pod without request is scored as, so that many such do not pile up on one node.
const UNSPOKEN_CPU: i64 = 100;
const UNSPOKEN_MEMORY: i64 = 200 << 20;

/// Amounts of each resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    /// Thousandths.
    pub(crate) cpu: i64,
    pub(crate) memory: i64,
    pub(crate) ephemeral_storage: i64,
    /// Extended resources and huge pages.
    pub(crate) others: BTreeMap<String, i64>,
}

impl Resources {
    /// From quantities by resource name.
    pub(crate) fn of(list: impl IntoIterator<Item = (String, Quantity)>) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in list {
            match name.as_str() {
                "cpu" => resources.cpu = quantity.milli_value(),
                "memory" => resources.memory = quantity.value(),
                "ephemeral-storage" => resources.ephemeral_storage = quantity.value(),
                "pods" => {}
                _ => {
                    resources.others.insert(name, quantity.value());
                }
            }
        }
        resources
    }

    /// From a node's list; what does not parse counts as nothing.
    pub(crate) fn of_texts(list: &BTreeMap<String, Text>) -> Self {
        let parse =
            |(name, text): (&String, &Text)| Some((name.clone(), Quantity::try_from(text).ok()?));
        Self::of(list.iter().filter_map(parse))
    }

    /// The CPU and memory that a pod is scored by.
    pub(crate) fn scored(&self) -> (i64, i64) {
        let or = |amount: i64, unspoken: i64| if amount == 0 { unspoken } else { amount };
        (or(self.cpu, UNSPOKEN_CPU), or(self.memory, UNSPOKEN_MEMORY))
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
        self.others.retain(|_, amount| *amount != 0);
    }

    fn combine(&mut self, other: &Self, with: fn(i64, i64) -> i64) {
        self.cpu = with(self.cpu, other.cpu);
        self.memory = with(self.memory, other.memory);
        self.ephemeral_storage = with(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.others {
            let entry = self.others.entry(name.clone()).or_default();
            *entry = with(*entry, *amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_can_be_taken_away() {
        let texts = |cpu: &str, gpu: &str| {
            BTreeMap::from([
                ("cpu".to_owned(), Text(cpu.to_owned())),
                ("example.com/gpu".to_owned(), Text(gpu.to_owned())),
                ("pods".to_owned(), Text("110".to_owned())),
            ])
        };
        let mut sum = Resources::of_texts(&texts("1500m", "2"));
        assert_eq!((sum.cpu, sum.others.len()), (1500, 1));
        let other = Resources::of_texts(&texts("2", "1"));
        let before = sum.clone();
        sum.add(&other);
        assert_eq!((sum.cpu, sum.others["example.com/gpu"]), (3500, 3));
        sum.subtract(&other);
        assert_eq!(sum, before);
    }

    #[test]
    fn the_silent_are_scored_too() {
        assert_eq!(Resources::default().scored(), (UNSPOKEN_CPU, UNSPOKEN_MEMORY));
        let spoken = Resources { cpu: 1, memory: 2, ..Resources::default() };
        assert_eq!(spoken.scored(), (1, 2));
    }
}
