//! ControllerRevisions: what the templates of a StatefulSet or a DaemonSet once were
//! (`pkg/controller/history`). A revision is a patch that puts its template back, as `kubectl rollout
//! undo` applies it.

use std::collections::BTreeSet;
use std::sync::Arc;

use coracle_api::owner;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{Error, Result, While};
use crate::informer::Kind;
use crate::template;

/// Tells the pods of a set's revisions apart.
pub(crate) const REVISION_LABEL: &str = "controller-revision-hash";
/// Names leave room for the hash.
const LONGEST_PREFIX: usize = 223;
/// How many names are tried for one revision.
const ATTEMPTS: i32 = 10;

/// The revisions of one owner, oldest first.
pub(crate) struct History<'a, O> {
    context: &'a Context,
    owner: &'a O,
    /// The label that carries a revision's hash.
    label: &'static str,
    pub(crate) revisions: Vec<Arc<ControllerRevision>>,
    /// How often a name was taken by another template.
    pub(crate) collisions: i32,
}

impl<'a, O: Kind + Resource<Scope = NamespaceResourceScope>> History<'a, O> {
    pub(crate) fn new(
        context: &'a Context,
        owner: &'a O,
        label: &'static str,
        mut revisions: Vec<Arc<ControllerRevision>>,
        collisions: i32,
    ) -> Self {
        sort(&mut revisions);
        Self { context, owner, label, revisions, collisions }
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Arc<ControllerRevision>> {
        self.revisions.iter().find(|one| one.metadata.name.as_deref() == Some(name))
    }

    /// The revision of `template`, as the newest: an older one is numbered anew, a missing one made.
    pub(crate) async fn newest(
        &mut self,
        template: &PodTemplateSpec,
    ) -> Result<Arc<ControllerRevision>> {
        let number = self.revisions.last().map_or(1, |last| last.revision + 1);
        let shape = template::shape(template);
        let found = match self.revisions.iter().rposition(|one| shape_of(one) == shape) {
            Some(at) if at + 1 == self.revisions.len() => return Ok(self.revisions[at].clone()),
            Some(at) => {
                let old = self.revisions.remove(at);
                self.renumber(&old, number).await?
            }
            None => self.create(template, &shape, number).await?,
        };
        self.revisions.push(found.clone());
        Ok(found)
    }

    async fn create(
        &mut self,
        template: &PodTemplateSpec,
        shape: &Value,
        number: i64,
    ) -> Result<Arc<ControllerRevision>> {
        for _ in 0..ATTEMPTS {
            let revision = self.revision(template, shape, number);
            let created = self.api().create(&PostParams::default(), &revision).await;
            match created.doing("creating a ControllerRevision") {
                Ok(created) => return Ok(self.context.informers.revisions.observe(created)),
                Err(error) if error.is_already_exists() => {
                    let name = revision.metadata.name.as_deref().unwrap_or_default();
                    let found = self.api().get(name).await;
                    let found = found.doing("looking at the ControllerRevision of that name")?;
                    let uid = self.owner.meta().uid.as_deref().unwrap_or_default();
                    let ours = owner::is_controlled_by(&found.metadata, uid);
                    if ours && shape_of(&found) == *shape {
                        return Ok(self.context.informers.revisions.observe(found));
                    }
                    self.collisions = self.collisions.saturating_add(1);
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Unfinished("no name is free for a ControllerRevision".into()))
    }

    fn revision(
        &self,
        template: &PodTemplateSpec,
        shape: &Value,
        number: i64,
    ) -> ControllerRevision {
        let owner = self.owner.meta();
        let hash = template::hash(shape, (self.collisions > 0).then_some(self.collisions));
        let prefix = owner.name.as_deref().unwrap_or_default();
        let prefix: String = prefix.chars().take(LONGEST_PREFIX).collect();
        let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
        let mut labels = labels.unwrap_or_default();
        labels.insert(self.label.to_owned(), hash.clone());
        ControllerRevision {
            metadata: ObjectMeta {
                name: Some(format!("{prefix}-{hash}")),
                namespace: owner.namespace.clone(),
                labels: Some(labels),
                annotations: owner.annotations.clone(),
                owner_references: Some(vec![owner::controller_reference(self.owner)]),
                ..ObjectMeta::default()
            },
            data: Some(RawExtension(patch(template))),
            revision: number,
        }
    }

    async fn renumber(
        &self,
        revision: &ControllerRevision,
        number: i64,
    ) -> Result<Arc<ControllerRevision>> {
        let changed = ControllerRevision { revision: number, ..revision.clone() };
        let name = revision.metadata.name.as_deref().unwrap_or_default();
        let written = self.api().replace(name, &PostParams::default(), &changed).await;
        let written = written.doing("numbering a ControllerRevision anew")?;
        Ok(self.context.informers.revisions.observe(written))
    }

    /// Deletes the oldest of those that are not `live` until no more than `limit` of them are left.
    pub(crate) async fn trim(&self, limit: Option<i32>, live: &BTreeSet<String>) -> Result<()> {
        let name_of = |one: &ControllerRevision| one.metadata.name.clone().unwrap_or_default();
        let past: Vec<_> =
            self.revisions.iter().filter(|one| !live.contains(&name_of(one))).collect();
        let Ok(limit) = usize::try_from(limit.unwrap_or(10)) else { return Ok(()) };
        for one in past.iter().take(past.len().saturating_sub(limit)) {
            let only_this = Preconditions { uid: one.metadata.uid.clone(), resource_version: None };
            let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
            let deleted = self.api().delete(&name_of(one), &params).await;
            match deleted.doing("deleting an old ControllerRevision") {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => self.context.informers.revisions.forget(one),
            }
        }
        Ok(())
    }

    fn api(&self) -> Api<ControllerRevision> {
        let namespace = self.owner.meta().namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.context.client.clone(), namespace)
    }
}

/// Oldest first; of two with one number the one made first.
fn sort(revisions: &mut [Arc<ControllerRevision>]) {
    revisions.sort_by_cached_key(|one| {
        let created = one.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (one.revision, created, one.metadata.name.clone())
    });
}

/// What a strategic merge patch must say to put `template` in the place of another.
fn patch(template: &PodTemplateSpec) -> Value {
    let mut template = serde_json::to_value(template).unwrap_or_default();
    template["$patch"] = json!("replace");
    json!({"spec": {"template": template}})
}

fn written(revision: &ControllerRevision) -> Value {
    let data = revision.data.as_ref().map(|data| &data.0);
    let mut template =
        data.and_then(|data| data.pointer("/spec/template")).cloned().unwrap_or_default();
    if let Some(fields) = template.as_object_mut() {
        fields.remove("$patch");
    }
    template
}

fn shape_of(revision: &ControllerRevision) -> Value {
    template::pruned(written(revision))
}

/// The template that a revision keeps.
pub(crate) fn template_of(revision: &ControllerRevision) -> Result<PodTemplateSpec> {
    serde_json::from_value(written(revision)).map_err(|error| {
        let name = revision.metadata.name.as_deref().unwrap_or_default();
        Error::Invalid(format!("the ControllerRevision {name} keeps no template: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_keeps_its_template() {
        let template: PodTemplateSpec = serde_json::from_value(json!({
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": []}}))
        .unwrap();
        let revision = ControllerRevision {
            data: Some(RawExtension(patch(&template))),
            ..ControllerRevision::default()
        };
        assert_eq!(revision.data.as_ref().unwrap().0["spec"]["template"]["$patch"], "replace");
        assert_eq!(template_of(&revision).unwrap(), template);
        assert_eq!(shape_of(&revision), template::shape(&template));
        assert!(template_of(&ControllerRevision::default()).is_err());
    }

    #[test]
    fn revisions_are_ordered_by_number_then_age() {
        let revision = |name: &str, number: i64, minute: u8| {
            let revision = json!({"metadata": {"name": name,
                "creationTimestamp": format!("2026-01-01T00:{minute:02}:00Z")}, "revision": number});
            Arc::new(serde_json::from_value(revision).unwrap())
        };
        let mut all = vec![revision("c", 2, 0), revision("b", 1, 5), revision("a", 1, 9)];
        sort(&mut all);
        let names: Vec<_> = all.iter().filter_map(|one| one.metadata.name.as_deref()).collect();
        assert_eq!(names, ["b", "a", "c"]);
    }
}
