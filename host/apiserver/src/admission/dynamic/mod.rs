//! Admission that is configured by objects: webhooks, and policies in Kubernetes' expression
//! language. What is configured is kept compiled in [`view`]; a write that nothing matches costs
//! a look at that. [`matching`] says what matches, [`review`] has the forms of the write that
//! webhooks and expressions see. May not write to the store.

mod expressions;
mod matching;
mod policy;
mod review;
mod view;
mod webhook;

use std::sync::Arc;

use self::review::Review;
use self::view::Configurations;
use super::Attributes;
use crate::config::Dialer;
use crate::error::Result;
use crate::registry::{Mirror, Object};

pub(crate) struct Dynamic {
    configurations: Mirror<Configurations>,
}

/// What mutating admission remembers between its first round and the one after everything else
/// has looked at what it changed.
#[derive(Default)]
pub(super) struct Rounds {
    policies: policy::Invoked,
    webhooks: webhook::Invoked,
    /// Whether anything has been changed in the round.
    pub(super) changed: bool,
}

impl Dynamic {
    /// `dialer` is how webhooks are reached.
    pub(super) fn new(dialer: Arc<dyn Dialer>) -> Self {
        Self { configurations: Mirror::new(move || Configurations::new(dialer.clone())) }
    }

    /// Lets mutating policies and webhooks change the object.
    pub(super) async fn admit(
        &self,
        attributes: &Attributes<'_>,
        object: &mut dyn Object,
        old: Option<&dyn Object>,
        rounds: &mut Rounds,
    ) -> Result<()> {
        rounds.changed = false;
        if matching::exempt(attributes.write.kind.names()) {
            return Ok(());
        }
        let configured = self
            .configurations
            .read(&*attributes.write.server.store, Configurations::current)
            .await?;
        if !configured.mutations.is_empty() {
            let mutations = &configured.mutations;
            rounds.changed |=
                policy::mutate(mutations, attributes, object, old, &mut rounds.policies).await?;
        }
        if !configured.mutating.is_empty() {
            let hooks = &configured.mutating;
            rounds.changed |=
                webhook::mutate(hooks, attributes, object, old, &mut rounds.webhooks).await?;
        }
        Ok(())
    }

    /// Lets validating policies and webhooks refuse the write.
    pub(super) async fn validate(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<()> {
        if matching::exempt(attributes.write.kind.names()) {
            return Ok(());
        }
        let configured = self
            .configurations
            .read(&*attributes.write.server.store, Configurations::current)
            .await?;
        if configured.validating.is_empty() && configured.policies.is_empty() {
            return Ok(());
        }
        let mut review = Review::new(attributes, object, old);
        policy::validate(&configured.policies, &mut review).await?;
        webhook::validate(&configured.validating, &mut review).await
    }
}
