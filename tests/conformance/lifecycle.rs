//! What Kubernetes asks of every resource's API: it is discovered, and its objects can be created,
//! read, listed, watched, patched, updated, and deleted one by one and together.

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::{Value, json};

use crate::world::{World, all, base, items, name};

/// A resource, and an object of it to be made several times.
pub(crate) struct Resource {
    pub(crate) group_version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
    /// The object without its metadata.
    pub(crate) object: Value,
    /// What status shall become, where there is one that may be written.
    pub(crate) status: Option<Value>,
}

impl Resource {
    fn path(&self, world: &World) -> String {
        if self.namespaced {
            world.path(self.group_version, self.plural)
        } else {
            all(self.group_version, self.plural)
        }
    }

    /// The `number`th of the objects.
    pub(crate) fn numbered(&self, world: &World, number: usize) -> Value {
        let mut object = self.object.clone();
        object["apiVersion"] = self.group_version.into();
        object["kind"] = self.kind.into();
        object["metadata"] = json!({
            "name": format!("one-{number}-{}", world.namespace),
            "labels": {"special-label": world.namespace},
        });
        object
    }
}

/// The group, the version and the resource are in the documents of discovery.
pub(crate) async fn discovered(
    world: &World,
    group_version: &str,
    resources: &[&str],
) -> Result<()> {
    if let Some((group, version)) = group_version.split_once('/') {
        let groups = world.get("/apis").await?;
        let found = groups["groups"].as_array().context("groups")?.iter();
        let found = found.filter(|one| one["name"] == group).collect::<Vec<_>>();
        ensure!(found.len() == 1, "{group} in /apis: {found:?}");
        for document in [found[0].clone(), world.get(&format!("/apis/{group}")).await?] {
            let mut versions = document["versions"].as_array().context("versions")?.iter();
            ensure!(versions.any(|one| one["version"] == version), "{group_version}: {document}");
        }
    }
    let list = world.get(&base(group_version)).await?;
    ensure!(list["groupVersion"] == group_version, "{list}");
    for resource in resources {
        let mut all = list["resources"].as_array().context("resources")?.iter();
        ensure!(all.any(|one| one["name"] == *resource), "{resource} is not in {group_version}");
    }
    Ok(())
}

/// Everything that Kubernetes asks of a resource's API.
pub(crate) async fn lifecycle(world: &World, resource: &Resource) -> Result<()> {
    let status = format!("{}/status", resource.plural);
    let mut resources = vec![resource.plural];
    resources.extend(resource.status.as_ref().map(|_| status.as_str()));
    discovered(world, resource.group_version, &resources).await?;

    let path = resource.path(world);
    let selector = format!("labelSelector=special-label%3D{}", world.namespace);
    let selected = format!("{path}?{selector}");
    let mut watch = world.watch_from_now(&path, &selector).await?;
    let mut made = Vec::new();
    for number in 0..3 {
        let object = resource.numbered(world, number);
        let created = world.post(&path, &object).await?;
        made.push(format!("{path}/{}", name(&created)));
        ensure!(created["metadata"]["uid"].is_string(), "{created}");
        watch.until("ADDED", |one| name(one) == name(&object)).await?;
    }
    let first = &made[0];
    let read = world.get(first).await?;
    ensure!(read["kind"] == resource.kind, "{read}");
    for list in
        [selected.clone(), format!("{}?{selector}", all(resource.group_version, resource.plural))]
    {
        let list = world.get(&list).await?;
        ensure!(items(&list).len() == 3, "{list}");
        ensure!(list["kind"] == format!("{}List", resource.kind), "{list}");
    }

    let patch = json!({"metadata": {"annotations": {"patched": "true"}}});
    let patched = world.merge(first, patch).await?;
    ensure!(patched["metadata"]["annotations"]["patched"] == "true", "{patched}");
    watch.until("MODIFIED", |one| one["metadata"]["annotations"]["patched"] == "true").await?;
    let updated = world
        .update(first, |object| object["metadata"]["annotations"]["updated"] = "true".into())
        .await?;
    ensure!(updated["metadata"]["annotations"]["updated"] == "true", "{updated}");
    watch.until("MODIFIED", |one| one["metadata"]["annotations"]["updated"] == "true").await?;
    let mut stale = patched.clone();
    stale["metadata"]["resourceVersion"] = read["metadata"]["resourceVersion"].clone();
    world.refused(Method::PUT, first, &stale, (409, "Conflict")).await?;

    if let Some(status) = &resource.status {
        let path = format!("{first}/status");
        world.get(&path).await?;
        let metadata = json!({"annotations": {"patchedstatus": "true"}});
        let patched = world.merge(&path, json!({"metadata": metadata, "status": status})).await?;
        contains(&patched["status"], status)?;
        let updated = world.update(&path, |object| object["status"] = status.clone()).await?;
        contains(&updated["status"], status)?;
        contains(&world.get(first).await?["status"], status)?;
    }

    world.delete(first).await?;
    world.gone(first).await?;
    watch.until("DELETED", |one| name(one) == name(&read)).await?;
    world.items(&selected, 2).await?;
    world.delete(&selected).await?;
    world.items(&selected, 0).await?;
    Ok(())
}

/// Whether everything in `part` is in `whole`, however much else is there.
pub(crate) fn contains(whole: &Value, part: &Value) -> Result<()> {
    match (whole, part) {
        (Value::Object(whole_fields), Value::Object(part)) => {
            part.iter().try_for_each(|(key, value)| {
                contains(whole_fields.get(key).unwrap_or(&Value::Null), value)
            })
        }
        _ => {
            ensure!(whole == part, "{part} is not in {whole}");
            Ok(())
        }
    }
}
