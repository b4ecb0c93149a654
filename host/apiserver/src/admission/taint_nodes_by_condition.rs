//! A new node takes no pods before it has been seen to be ready
//! (`plugin/pkg/admission/nodetaint`).

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Taint};

use super::{Attributes, Operation, Plugin};
use crate::error::Result;
use crate::registry::Object;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub(super) struct TaintNodesByCondition;

#[async_trait]
impl Plugin for TaintNodesByCondition {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.operation == Operation::Create && attributes.is("", "nodes")
    }

    async fn admit(
        &self,
        _attributes: &Attributes<'_>,
        object: &mut dyn Object,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let Some(node) = object.downcast_mut::<Node>() else { return Ok(()) };
        let taints = node.spec.get_or_insert_default().taints.get_or_insert_default();
        if !taints.iter().any(|taint| taint.key == NOT_READY && taint.effect == "NoSchedule") {
            let (key, effect) = (NOT_READY.into(), "NoSchedule".into());
            taints.push(Taint { key, effect, time_added: None, value: None });
        }
        Ok(())
    }
}
