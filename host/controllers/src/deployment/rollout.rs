//! One step of a Deployment's rollout. Everything that the step changes of the Deployment's status is
//! gathered and written once, at its end.

use std::sync::Arc;

use coracle_api::clock;
use coracle_api::conditions::{self, Condition};
use coracle_api::pods;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use kube::Api;
use kube::api::PostParams;

use super::replicasets::{self, Created};
use super::status::{self, PROGRESSING};
use super::{annotations, math, template, write_status};
use crate::context::Context;
use crate::error::{Error, Result, While};
use crate::runner::Next;

const PAUSED: &str = "DeploymentPaused";

/// A Deployment with its ReplicaSets, on the way to its next state.
pub(super) struct Rollout<'a> {
    context: &'a Context,
    /// The Deployment as it was when the step began, or after its revision was written.
    before: Arc<Deployment>,
    /// The Deployment with what the step has learnt in its status.
    deployment: Deployment,
    /// The ReplicaSet with the Deployment's template.
    new: Option<Arc<ReplicaSet>>,
    /// The others, oldest first.
    old: Vec<Arc<ReplicaSet>>,
}

impl<'a> Rollout<'a> {
    pub(super) fn new(
        context: &'a Context,
        deployment: Arc<Deployment>,
        mut owned: Vec<Arc<ReplicaSet>>,
    ) -> Self {
        let new = template::find_new(&deployment, &owned).map(|index| owned.swap_remove(index));
        owned.sort_by_key(|one| {
            let created = one.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (created, one.metadata.name.clone())
        });
        let copy = (*deployment).clone();
        Self { context, before: deployment, deployment: copy, new, old: owned }
    }

    /// Takes the step that is due.
    pub(super) async fn advance(mut self) -> Result<Next> {
        if self.deployment.metadata.deletion_timestamp.is_some() {
            let status = status::calculate(&self.deployment, self.new.as_ref(), &self.old);
            return self.finish(status).await;
        }
        self.note_pause();
        let paused = self.deployment.spec.as_ref().and_then(|spec| spec.paused) == Some(true);
        if paused || self.is_scaling() {
            return self.sync(paused).await;
        }
        if math::is_rolling(&self.deployment) { self.roll().await } else { self.recreate().await }
    }

    /// Pausing and resuming restart the clock of progress.
    fn note_pause(&mut self) {
        if status::deadline(&self.deployment).is_none() {
            return;
        }
        let status = self.deployment.status.get_or_insert_default();
        let reason =
            conditions::find(status.conditions.as_ref(), PROGRESSING).map(Condition::reason);
        if reason == Some(status::TIMED_OUT) {
            return;
        }
        let noted = reason == Some(PAUSED);
        let paused = self.deployment.spec.as_ref().and_then(|spec| spec.paused) == Some(true);
        let (reason, message) = match (paused, noted) {
            (true, false) => (PAUSED, "Deployment is paused"),
            (false, true) => ("DeploymentResumed", "Deployment is resumed"),
            _ => return,
        };
        let condition = DeploymentCondition::new(PROGRESSING, "Unknown", reason, message);
        status::set(status, condition);
    }

    fn active(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new).filter(|one| math::size(one) > 0)
    }

    /// Whether the Deployment was given another size since the ReplicaSets were.
    fn is_scaling(&self) -> bool {
        let wanted = math::wanted(&self.deployment);
        self.active().any(|one| {
            let recorded = annotations::number(&one.metadata, annotations::DESIRED_REPLICAS);
            recorded.is_some_and(|recorded| recorded != wanted)
        })
    }

    /// Changes sizes only; what is being rolled out goes on later.
    async fn sync(mut self, paused: bool) -> Result<Next> {
        if self.new.is_some() {
            self.keep_new_current().await?;
        }
        self.scale().await?;
        if paused {
            replicasets::trim_history(self.context, &self.deployment, &self.old).await?;
        }
        let status = status::calculate(&self.deployment, self.new.as_ref(), &self.old);
        self.finish(status).await
    }

    async fn scale(&mut self) -> Result<()> {
        let wanted = math::wanted(&self.deployment);
        let active: Vec<_> = self.active().cloned().collect();
        if let [] | [_] = active.as_slice() {
            let only = active.first().or(self.new.as_ref()).or(self.old.last()).cloned();
            if let Some(only) = only.filter(|only| math::size(only) != wanted) {
                self.resize(&only, wanted).await?;
            }
            return Ok(());
        }
        if self.new.as_ref().is_some_and(|new| self.is_saturated(new)) {
            for one in self.old.clone().iter().filter(|one| math::size(one) > 0) {
                self.resize(one, 0).await?;
            }
            return Ok(());
        }
        if math::is_rolling(&self.deployment) {
            let mut sharing = active;
            let total: i32 = sharing.iter().map(|one| math::size(one)).sum();
            let growing = wanted + math::max_surge(&self.deployment) > total;
            // The biggest gets what rounding leaves over; among equals the newest when growing.
            sharing.sort_by_key(|one| {
                (one.metadata.creation_timestamp.as_ref().map(|t| t.0), one.metadata.name.clone())
            });
            if growing {
                sharing.reverse();
            }
            sharing.sort_by_key(|one| std::cmp::Reverse(math::size(one)));
            let shares: Vec<_> =
                sharing.iter().map(|one| math::Share::of(&self.deployment, one)).collect();
            let sizes = math::proportional(&self.deployment, &shares);
            for (one, size) in sharing.iter().zip(sizes) {
                self.resize(one, size).await?;
            }
        }
        Ok(())
    }

    /// Whether the new ReplicaSet has all the pods that the Deployment asks for.
    fn is_saturated(&self, new: &ReplicaSet) -> bool {
        let wanted = math::wanted(&self.deployment);
        math::size(new) == wanted
            && annotations::number(&new.metadata, annotations::DESIRED_REPLICAS) == Some(wanted)
            && math::available(new) == wanted
    }

    /// Sets a size and keeps the result among our own; answers whether the size was another.
    async fn resize(&mut self, replica_set: &Arc<ReplicaSet>, size: i32) -> Result<bool> {
        let (written, resized) =
            replicasets::scale(self.context, &self.deployment, replica_set, size).await?;
        let ours = self.old.iter_mut().chain(&mut self.new);
        for one in ours.filter(|one| one.metadata.uid == written.metadata.uid) {
            *one = written.clone();
        }
        Ok(resized)
    }

    async fn roll(mut self) -> Result<Next> {
        self.ensure_new().await?;
        let Some(new) = self.new.clone() else { return self.progress().await };
        let wanted = math::wanted(&self.deployment);
        let existing: i32 = self.active().map(|one| math::size(one)).sum();
        let size = match math::size(&new) {
            size if size > wanted => wanted,
            size => math::new_size(&self.deployment, size, existing),
        };
        if self.resize(&new, size).await? {
            return self.progress().await;
        }
        let old: Vec<_> =
            self.old.iter().map(|one| (math::size(one), math::available(one))).collect();
        let sizes = math::old_sizes(&self.deployment, &old, size, math::available(&new));
        let mut resized = false;
        for (one, size) in self.old.clone().iter().zip(sizes) {
            if math::size(one) != size {
                resized |= self.resize(one, size).await?;
            }
        }
        if !resized {
            self.trim_when_complete().await?;
        }
        self.progress().await
    }

    async fn recreate(mut self) -> Result<Next> {
        if self.new.is_some() {
            self.keep_new_current().await?;
        }
        let mut resized = false;
        for one in self.old.clone().iter().filter(|one| math::size(one) > 0) {
            resized |= self.resize(one, 0).await?;
        }
        if resized || self.old_pods_run() {
            return self.progress().await;
        }
        self.ensure_new().await?;
        if let Some(new) = self.new.clone() {
            self.resize(&new, math::wanted(&self.deployment)).await?;
        }
        self.trim_when_complete().await?;
        self.progress().await
    }

    fn old_pods_run(&self) -> bool {
        let replicas =
            |one: &Arc<ReplicaSet>| one.status.as_ref().map_or(0, |status| status.replicas);
        let old = self.old.iter();
        old.clone().any(|one| replicas(one) > 0)
            || old.filter_map(|one| one.metadata.uid.as_deref()).any(|uid| {
                let mut of_it = self.context.informers.pods.controlled_by(uid).into_iter();
                of_it.any(|pod| !pods::is_terminal(&pod))
            })
    }

    async fn trim_when_complete(&self) -> Result<()> {
        let complete = self.deployment.status.as_ref();
        if complete.is_some_and(|status| status::is_complete(&self.deployment, status)) {
            replicasets::trim_history(self.context, &self.deployment, &self.old).await?;
        }
        Ok(())
    }

    /// Makes sure that there is a ReplicaSet with the Deployment's template.
    async fn ensure_new(&mut self) -> Result<()> {
        if self.new.is_some() {
            return self.keep_new_current().await;
        }
        let revision = annotations::highest(self.old.iter().map(AsRef::as_ref)) + 1;
        let existing = self.old.iter().map(|one| math::size(one)).sum();
        let wish = replicasets::for_template(&self.deployment, revision, existing);
        let name = wish.metadata.name.clone().unwrap_or_default();
        match replicasets::create(self.context, &self.deployment, &wish).await {
            Ok(Created::New(new)) => {
                self.new = Some(new);
                self.write_revision(revision).await?;
                let message = format!("Created new replica set {name:?}");
                self.set_progressing("True", "NewReplicaSetCreated", message);
                Ok(())
            }
            Ok(Created::Found(new)) => {
                self.new = Some(new);
                self.keep_new_current().await
            }
            Ok(Created::Collision(error)) => {
                let status = self.deployment.status.get_or_insert_default();
                *status.collision_count.get_or_insert_default() += 1;
                let status = status.clone();
                write_status(self.context, &self.before, status).await?;
                Err(error)
            }
            // Nothing can be created here any more, and that is in order.
            Err(error) if error.is_namespace_terminating() => Ok(()),
            Err(error) => {
                let text = error.for_people();
                let message = format!("Failed to create new replica set {name:?}: {text}");
                let reason = "ReplicaSetCreateError";
                self.context.events.warning(&self.deployment, reason, message.clone());
                self.set_progressing("False", reason, message);
                let status = self.deployment.status.clone().unwrap_or_default();
                write_status(self.context, &self.before, status).await?;
                Err(error)
            }
        }
    }

    async fn keep_new_current(&mut self) -> Result<()> {
        let Some(new) = self.new.take() else { return Ok(()) };
        let revision = annotations::highest(self.old.iter().map(AsRef::as_ref)) + 1;
        let new = replicasets::keep_current(self.context, &self.deployment, new, revision).await?;
        let name = new.metadata.name.clone().unwrap_or_default();
        let revision = annotations::revision(&new.metadata);
        self.new = Some(new);
        self.write_revision(revision).await?;
        let status = self.deployment.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_ref());
        if conditions::find(conditions, PROGRESSING).is_none() {
            let message = format!("Found new replica set {name:?}");
            self.set_progressing("True", "FoundNewReplicaSet", message);
        }
        Ok(())
    }

    fn set_progressing(&mut self, status: &str, reason: &str, message: String) {
        if status::deadline(&self.deployment).is_some() {
            let condition = DeploymentCondition::new(PROGRESSING, status, reason, message);
            status::set(self.deployment.status.get_or_insert_default(), condition);
        }
    }

    /// Records which revision the Deployment is at.
    async fn write_revision(&mut self, revision: i64) -> Result<()> {
        if annotations::revision(&self.before.metadata) == revision {
            return Ok(());
        }
        let mut changed = (*self.before).clone();
        let annotations = changed.metadata.annotations.get_or_insert_default();
        annotations.insert(annotations::REVISION.to_owned(), revision.to_string());
        let name = changed.metadata.name.clone().unwrap_or_default();
        let namespace = changed.metadata.namespace.clone().unwrap_or_default();
        let api = Api::<Deployment>::namespaced(self.context.client.clone(), &namespace);
        let written = api.replace(&name, &PostParams::default(), &changed).await;
        let written = written.doing("recording a Deployment's revision")?;
        if annotations::revision(&written.metadata) != revision {
            return Err(Error::Invalid(format!("the server dropped the revision of {name}")));
        }
        let written = self.context.informers.deployments.observe(written);
        self.deployment.metadata = written.metadata.clone();
        self.before = written;
        Ok(())
    }

    /// Ends the step with a status that judges the rollout's progress.
    async fn progress(self) -> Result<Next> {
        let before = self.before.status.clone().unwrap_or_default();
        let mut status = status::calculate(&self.deployment, self.new.as_ref(), &self.old);
        let new = self.new.as_deref();
        status::judge(&self.deployment, &before, &mut status, new, clock::now());
        status::adopt_failure(&mut status, self.new.as_ref(), &self.old);
        self.finish(status).await
    }

    async fn finish(self, status: DeploymentStatus) -> Result<Next> {
        let next = status::next_judgement(&self.deployment, &status, clock::now());
        write_status(self.context, &self.before, status).await?;
        Ok(next.map_or(Next::Wait, Next::After))
    }
}
