//! Pods do no more than their namespace's labels let them: the Pod Security Standards
//! (`k8s.io/pod-security-admission`). Pods that break the enforced standard are refused; whoever
//! writes pods or their templates is warned of what the warned-of standard forbids.

mod baseline;
mod pod;
mod policy;
mod restricted;

use std::collections::BTreeMap;

use async_trait::async_trait;
use coracle_store::Range;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    Namespace, Pod, PodSpec, PodTemplate, PodTemplateSpec, ReplicationController,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use self::policy::{Level, Policy, Standard, details, reasons};
use super::{Attributes, Operation, Plugin};
use crate::error::{ApiError, Result};
use crate::registry::{Facts, Object, key, prefix};

/// How many pods of a namespace are looked at when it becomes stricter.
const MAX_PODS: usize = 3000;

pub(super) struct PodSecurity;

#[async_trait]
impl Plugin for PodSecurity {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        if attributes.operation == Operation::Delete {
            return false;
        }
        let names = attributes.write.kind.names();
        matches!(
            (&*names.group, &*names.plural, attributes.write.subresource),
            ("", "namespaces", "")
                | ("", "pods", "" | "ephemeralcontainers" | "resize")
                | ("", "podtemplates" | "replicationcontrollers", "")
                | ("apps", "daemonsets" | "deployments" | "replicasets" | "statefulsets", "")
                | ("batch", "cronjobs" | "jobs", "")
        )
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<()> {
        let Some(object) = object else { return Ok(()) };
        if let Some(namespace) = object.downcast_ref::<Namespace>() {
            let old = old.and_then(|old| old.downcast_ref::<Namespace>());
            return namespace_changes(attributes, namespace, old).await;
        }
        let write = attributes.write;
        let Some(kind) = write.server.registry.kind("", "namespaces") else { return Ok(()) };
        let key = key(kind.names(), "", write.namespace);
        let Some(entry) = write.server.store.get(&key).await? else { return Ok(()) };
        let Some(facts) = Facts::of(&entry, &*kind) else { return Ok(()) };
        let (policy, _) = Policy::read(&facts.labels);
        if policy.is_open() {
            return Ok(());
        }
        if let Some(pod) = object.downcast_ref::<Pod>() {
            let old = old.and_then(|old| old.downcast_ref::<Pod>());
            if old.is_some_and(|old| !is_significant(pod, old)) {
                return Ok(());
            }
            let Some(spec) = &pod.spec else { return Ok(()) };
            let broken = policy.enforce.violations(&pod.metadata, spec);
            if !broken.is_empty() {
                let details = details(&broken);
                let why = format!("violates PodSecurity \"{}\": {details}", policy.enforce);
                return Err(ApiError::forbidden("", "pods", attributes.name, &why));
            }
            let enforced = policy.enforce.to_string();
            write.annotations.add("pod-security.kubernetes.io/enforce-policy", enforced);
            tell(attributes, &policy, &pod.metadata, spec);
        } else if let Some((meta, spec)) = template(object) {
            tell(attributes, &policy, meta, spec);
        }
        Ok(())
    }
}

/// Tells the caller and the audit log what breaks the standards that are not enforced.
fn tell(attributes: &Attributes<'_>, policy: &Policy, meta: &ObjectMeta, spec: &PodSpec) {
    let violation = |standard: Standard| {
        let broken = standard.violations(meta, spec);
        let text = || format!("would violate PodSecurity \"{standard}\": {}", details(&broken));
        (!broken.is_empty()).then(text)
    };
    let write = attributes.write;
    if let Some(text) = violation(policy.audit) {
        write.annotations.add("pod-security.kubernetes.io/audit-violations", text);
    }
    if let Some(text) = violation(policy.warn) {
        write.warnings.add(text);
    }
}

/// What the template of a workload says of its pods.
fn template(object: &dyn Object) -> Option<(&ObjectMeta, &PodSpec)> {
    fn of<T: Object>(object: &dyn Object) -> Option<&T> {
        object.downcast_ref::<T>()
    }
    let from_object = of::<Deployment>(object)
        .and_then(|o| o.spec.as_ref())
        .map(|spec| &spec.template)
        .or_else(|| of::<ReplicaSet>(object)?.spec.as_ref()?.template.as_ref())
        .or_else(|| Some(&of::<DaemonSet>(object)?.spec.as_ref()?.template))
        .or_else(|| Some(&of::<StatefulSet>(object)?.spec.as_ref()?.template))
        .or_else(|| Some(&of::<Job>(object)?.spec.as_ref()?.template))
        .or_else(|| {
            let job = &of::<CronJob>(object)?.spec.job_template;
            Some(&job.spec.as_ref()?.template)
        })
        .or_else(|| of::<ReplicationController>(object)?.spec.as_ref()?.template.as_ref())
        .or_else(|| of::<PodTemplate>(object)?.template.as_ref());
    let PodTemplateSpec { metadata, spec } = from_object?;
    static NONE: ObjectMeta = ObjectMeta {
        annotations: None,
        creation_timestamp: None,
        deletion_grace_period_seconds: None,
        deletion_timestamp: None,
        finalizers: None,
        generate_name: None,
        generation: None,
        labels: None,
        managed_fields: None,
        name: None,
        namespace: None,
        owner_references: None,
        resource_version: None,
        self_link: None,
        uid: None,
    };
    Some((metadata.as_ref().unwrap_or(&NONE), spec.as_ref()?))
}

/// Whether an update changes what a standard looks at, among the things that it may change.
fn is_significant(new: &Pod, old: &Pod) -> bool {
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else { return true };
    fn images(spec: &PodSpec) -> impl Iterator<Item = (&str, Option<&str>)> {
        let init = spec.init_containers.iter().flatten();
        let regular = init.chain(&spec.containers).map(|c| (&*c.name, c.image.as_deref()));
        let ephemeral = spec.ephemeral_containers.iter().flatten();
        regular.chain(ephemeral.map(|c| (&*c.name, c.image.as_deref())))
    }
    !images(new).eq(images(old))
}

/// Labels must be readable, and whoever makes a namespace stricter hears of the pods in it that
/// would not be let in any more.
async fn namespace_changes(
    attributes: &Attributes<'_>,
    namespace: &Namespace,
    old: Option<&Namespace>,
) -> Result<()> {
    let none = BTreeMap::new();
    let labels = |namespace: &Namespace| namespace.metadata.labels.clone();
    let (policy, causes) = Policy::read(labels(namespace).as_ref().unwrap_or(&none));
    let Some(old) = old else { return fine(attributes, causes) };
    let (before, known) = Policy::read(labels(old).as_ref().unwrap_or(&none));
    if causes != known {
        fine(attributes, causes)?;
    }
    let (now, before) = (policy.enforce, before.enforce);
    let looser = now.version == before.version && now.level <= before.level;
    if now == before || now.level == Level::Privileged || looser {
        return Ok(());
    }
    let write = attributes.write;
    let Some(kind) = write.server.registry.kind("", "pods") else { return Ok(()) };
    let range = Range { limit: Some(MAX_PODS), ..Range::default() };
    let page = write.server.store.range(&prefix(kind.names(), attributes.name), range).await?;
    let mut found: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for entry in &page.entries {
        let object = kind.restore(&entry.value)?;
        let Some(pod) = object.downcast_ref::<Pod>() else { continue };
        let Some(spec) = &pod.spec else { continue };
        let broken = now.violations(&pod.metadata, spec);
        if !broken.is_empty() {
            let name = pod.metadata.name.clone().unwrap_or_default();
            found.entry(reasons(&broken)).or_insert((name, 0)).1 += 1;
        }
    }
    let total = page.entries.len() + page.remaining;
    if total > page.entries.len() {
        write.warnings.add(format!(
            "new PodSecurity enforce level only checked against the first {} of {total} existing \
             pods",
            page.entries.len()
        ));
    }
    if !found.is_empty() {
        write.warnings.add(format!(
            "existing pods in namespace {:?} violate the new PodSecurity enforce level \"{now}\"",
            attributes.name
        ));
    }
    let mut lines: Vec<_> = found
        .into_iter()
        .map(|(reasons, (first, count))| match count {
            1 => format!("{first}: {reasons}"),
            2 => format!("{first} (and 1 other pod): {reasons}"),
            _ => format!("{first} (and {} other pods): {reasons}", count - 1),
        })
        .collect();
    lines.sort();
    lines.into_iter().for_each(|line| write.warnings.add(line));
    Ok(())
}

fn fine(attributes: &Attributes<'_>, causes: Vec<crate::error::Cause>) -> Result<()> {
    if causes.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid("", "Namespace", attributes.name, causes))
}

#[cfg(test)]
mod tests;
