//! Filters: which nodes can take a pod at all. Each is pure and says in Kubernetes' words why a node
//! cannot; the first that refuses a node decides. One line a filter.

pub(crate) mod affinity;
pub(crate) mod interpod;
mod ports;
mod resources;
pub(crate) mod spread;
pub(crate) mod taints;

use std::borrow::Cow;

use crate::cluster::Place;
use crate::cycle::Cycle;
use crate::queue::Wake;

/// Why a node cannot take a pod.
pub(crate) type Reason = Cow<'static, str>;

pub(crate) struct Filter {
    /// What may change a refusal.
    pub(crate) wakes: Wake,
    /// The reasons against a node, none if there are none.
    pub(crate) refuse: fn(&Cycle<'_>, &Place<'_>) -> Vec<Reason>,
}

macro_rules! wakes {
    ($first:ident $(| $more:ident)*) => {
        Wake::$first $(.or(Wake::$more))*
    };
}

/// All filters, in the order in which they are asked.
pub(crate) const FILTERS: &[Filter] = &[
    Filter { wakes: wakes!(NODE_ADDED | NODE_TAINTS), refuse: taints::unschedulable },
    Filter { wakes: wakes!(NODE_ADDED), refuse: affinity::name },
    Filter { wakes: wakes!(NODE_ADDED | NODE_TAINTS), refuse: taints::refuse },
    Filter { wakes: wakes!(NODE_ADDED | NODE_LABELS), refuse: affinity::refuse },
    Filter { wakes: wakes!(NODE_ADDED | POD_REMOVED), refuse: ports::refuse },
    Filter {
        wakes: wakes!(NODE_ADDED | NODE_ALLOCATABLE | POD_REMOVED),
        refuse: resources::refuse,
    },
    Filter {
        wakes: wakes!(
            NODE_ADDED | NODE_LABELS | NODE_TAINTS | NODE_REMOVED | POD_ADDED | POD_REMOVED
        ),
        refuse: spread::refuse,
    },
    Filter {
        wakes: wakes!(NODE_ADDED | NODE_LABELS | POD_ADDED | POD_REMOVED | NAMESPACE_LABELS),
        refuse: interpod::refuse,
    },
];
