//! Takes the steps of a plan: makes, mends and deletes pods and their claims, and says so in events.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodTemplateSpec};
use kube::Api;
use kube::api::PostParams;

use super::plan::Step;
use super::{identity, plan, retention};
use crate::context::Context;
use crate::error::{Error, Result, While, all};
use crate::podcontrol;
use crate::runner::Key;

/// A StatefulSet with what its pods are made of.
pub(super) struct Control<'a> {
    pub(super) context: &'a Context,
    pub(super) set: &'a StatefulSet,
    /// The revision that ordinals below the partition stay at: its name and template.
    pub(super) current: (String, PodTemplateSpec),
    pub(super) update: (String, PodTemplateSpec),
}

impl Control<'_> {
    pub(super) async fn take(&self, steps: Vec<Step>) -> Result<()> {
        if !plan::is_parallel(self.set) {
            for step in &steps {
                self.step(step).await?;
            }
            return Ok(());
        }
        let (creations, others): (Vec<_>, Vec<_>) =
            steps.into_iter().partition(|step| matches!(step, Step::Create(_)));
        let created = podcontrol::slowly(&creations, |step| self.step(step)).await;
        // What cannot be created holds nothing else up.
        let mut results = vec![created];
        for step in &others {
            results.push(self.step(step).await);
        }
        match all(results) {
            Err(Error::Several { first, failed: 1, .. }) => Err(*first),
            other => other.map(drop),
        }
    }

    async fn step(&self, step: &Step) -> Result<()> {
        match step {
            Step::Create(ordinal) => self.create(*ordinal).await,
            Step::Claims(pod) => self.claims(&pod.metadata.name, self.ordinal(pod)).await,
            Step::Keep(pod) => self.keep(pod).await,
            Step::Bequeath(pod) => self.own_claims(pod).await,
            Step::Delete(pod) => self.delete(pod).await,
        }
    }

    fn name(&self) -> &str {
        self.set.metadata.name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.set.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn ordinal(&self, pod: &Pod) -> i64 {
        identity::ordinal(self.set, pod).unwrap_or(-1)
    }

    async fn create(&self, ordinal: i64) -> Result<()> {
        let held = identity::start(self.set) + plan::partition(self.set);
        let stays = plan::is_rolling(self.set) && ordinal < held;
        let (revision, template) = if stays { &self.current } else { &self.update };
        let pod = identity::new_pod(self.set, template, revision, ordinal);
        if retention::goes_with_pod(self.set) && self.has_stale_claim(&pod, ordinal) {
            let name = pod.metadata.name.unwrap_or_default();
            return Err(Error::Unfinished(format!(
                "{name} waits until the claims of its predecessor are gone"
            )));
        }
        let made = async {
            self.claims(&pod.metadata.name, ordinal).await?;
            podcontrol::make(self.context, &pod).await
        };
        let made = made.await;
        if !made.as_ref().is_err_and(|e| e.is_already_exists() || e.is_namespace_terminating()) {
            self.tell("create", &pod, made.as_ref().map(drop));
        }
        let made = made?;
        self.own_claims(&made).await
    }

    /// Whether a claim of this ordinal still belongs to an earlier pod, with which it will go.
    fn has_stale_claim(&self, pod: &Pod, ordinal: i64) -> bool {
        identity::claims(self.set, ordinal).iter().any(|(_, claim)| {
            let held = self.context.informers.claims.get(&Key::of(claim));
            held.is_some_and(|held| retention::is_stale(&held, pod))
        })
    }

    /// Makes the claims that are missing.
    async fn claims(&self, pod: &Option<String>, ordinal: i64) -> Result<()> {
        let Context { client, informers, events, .. } = self.context;
        let api = Api::<PersistentVolumeClaim>::namespaced(client.clone(), self.namespace());
        let pod = pod.as_deref().unwrap_or_default();
        let mut results = Vec::new();
        for (_, claim) in identity::claims(self.set, ordinal) {
            let name = claim.metadata.name.clone().unwrap_or_default();
            if let Some(held) = informers.claims.get(&Key::of(&claim)) {
                if held.metadata.deletion_timestamp.is_some() {
                    results.push(Err(Error::Unfinished(format!("pvc {name} is being deleted"))));
                }
                continue;
            }
            let made = api.create(&PostParams::default(), &claim).await.doing("creating a claim");
            let set = self.name();
            match made {
                Ok(made) => {
                    informers.claims.observe(made);
                    let message =
                        format!("create Claim {name} Pod {pod} in StatefulSet {set} success");
                    events.normal(self.set, "SuccessfulCreate", message);
                }
                // Somebody else's claim of that name is bound as well.
                Err(error) if error.is_already_exists() => {}
                Err(error) => {
                    if !error.is_namespace_terminating() {
                        let message = format!(
                            "create Claim {name} for Pod {pod} in StatefulSet {set} failed error: {}",
                            error.for_people()
                        );
                        events.warning(self.set, "FailedCreate", message);
                    }
                    results.push(Err(error));
                }
            }
        }
        all::<()>(results).map(drop)
    }

    async fn keep(&self, pod: &Arc<Pod>) -> Result<()> {
        let ordinal = self.ordinal(pod);
        let mut changed = (**pod).clone();
        if identity::conform(self.set, &mut changed, ordinal) {
            self.claims(&pod.metadata.name, ordinal).await?;
            let api = Api::<Pod>::namespaced(self.context.client.clone(), self.namespace());
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let written = api.replace(name, &PostParams::default(), &changed).await;
            let written = written.doing("giving a pod its identity");
            if !written.as_ref().is_err_and(Error::is_conflict) {
                self.tell("update", pod, written.as_ref().map(drop));
            }
            self.context.informers.pods.observe(written?);
        }
        self.own_claims(pod).await
    }

    /// Gives the claims of a pod the owners that they should have.
    async fn own_claims(&self, pod: &Pod) -> Result<()> {
        let Context { client, informers, .. } = self.context;
        let api = Api::<PersistentVolumeClaim>::namespaced(client.clone(), self.namespace());
        for (_, claim) in identity::claims(self.set, self.ordinal(pod)) {
            let Some(held) = informers.claims.get(&Key::of(&claim)) else { continue };
            let Some(owners) = retention::wanted(&held, self.set, pod) else { continue };
            let mut changed = (*held).clone();
            changed.metadata.owner_references = Some(owners);
            let name = held.metadata.name.as_deref().unwrap_or_default();
            let written = api.replace(name, &PostParams::default(), &changed).await;
            informers.claims.observe(written.doing("setting the owner of a claim")?);
        }
        Ok(())
    }

    async fn delete(&self, pod: &Pod) -> Result<()> {
        match podcontrol::take_away(self.context, pod).await {
            Ok(false) => Ok(()),
            done => {
                self.tell("delete", pod, done.as_ref().map(drop));
                done.map(drop)
            }
        }
    }

    fn tell(&self, verb: &str, pod: &Pod, done: Result<(), &Error>) {
        let (set, pod) = (self.name(), pod.metadata.name.as_deref().unwrap_or_default());
        let mut title = verb.to_owned();
        title.get_mut(..1).into_iter().for_each(str::make_ascii_uppercase);
        let events = &self.context.events;
        match done {
            Ok(()) => {
                let message = format!("{verb} Pod {pod} in StatefulSet {set} successful");
                events.normal(self.set, &format!("Successful{title}"), message);
            }
            Err(error) => {
                let why = error.for_people();
                let message = format!("{verb} Pod {pod} in StatefulSet {set} failed error: {why}");
                events.warning(self.set, &format!("Failed{title}"), message);
            }
        }
    }
}
