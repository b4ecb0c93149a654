//! The tags of `Module` objects, read and changed through whichever client asks.

use coracle_api::module::{Module, ModuleSpec, Tag};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};

use crate::Digest;

/// Tags of one name; a push of one more removes the oldest.
const TAGS_AT_MOST: usize = 200;

/// Times that a change is tried again because somebody else was faster.
const ATTEMPTS: usize = 16;

type Result<T> = std::result::Result<T, Box<kube::Error>>;

/// The Module, if there is one.
pub(crate) async fn find(client: &Client, namespace: &str, name: &str) -> Result<Option<Module>> {
    Ok(modules(client, namespace).get_opt(name).await?)
}

/// Fails as a push would fail whose sender may not push here. Asked before many bytes are taken.
pub(crate) async fn may_push(client: &Client, namespace: &str, name: &str) -> Result<()> {
    let module = named(namespace, name, Vec::new());
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let api = modules(client, namespace);
    match api.create(&dry, &module).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return Ok(()),
    }
    // Who may make names may not for that reason change what others have made.
    let Some(module) = api.get_opt(name).await? else { return Ok(()) };
    match api.replace(name, &dry, &module).await {
        Err(error) if !lost_a_race(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Makes `tag` the newest of its Module; it replaces the one of the same name.
pub(crate) async fn put_tag(client: &Client, namespace: &str, name: &str, tag: Tag) -> Result<()> {
    let api = modules(client, namespace);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let written = match api.get_opt(name).await? {
            None => {
                api.create(&PostParams::default(), &named(namespace, name, vec![tag.clone()])).await
            }
            Some(mut module) => {
                let tags = &mut module.spec.tags;
                tags.retain(|known| known.name != tag.name);
                tags.insert(0, tag.clone());
                tags.truncate(TAGS_AT_MOST);
                api.replace(name, &PostParams::default(), &module).await
            }
        };
        match written {
            Ok(_) => return Ok(()),
            Err(error) if attempt < ATTEMPTS && lost_a_race(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes the tags that `which` chooses, and the Module with its last one. How many they were.
pub(crate) async fn remove_tags(
    client: &Client,
    namespace: &str,
    name: &str,
    which: impl Fn(&Tag) -> bool,
) -> Result<usize> {
    let api = modules(client, namespace);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let Some(mut module) = api.get_opt(name).await? else { return Ok(0) };
        let before = module.spec.tags.len();
        module.spec.tags.retain(|tag| !which(tag));
        let removed = before - module.spec.tags.len();
        if removed == 0 {
            return Ok(0);
        }
        let written = if module.spec.tags.is_empty() {
            let preconditions =
                Preconditions { resource_version: module.resource_version(), uid: module.uid() };
            let params =
                DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            api.delete(name, &params).await.map(|_| ())
        } else {
            api.replace(name, &PostParams::default(), &module).await.map(|_| ())
        };
        match written {
            Ok(()) => return Ok(removed),
            Err(error) if attempt < ATTEMPTS && lost_a_race(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The tag that a digest means: of the module's own bytes, or of its manifest.
pub(crate) fn by_digest<'a>(module: &'a Module, digest: &Digest) -> Option<&'a Tag> {
    let digest = digest.to_string();
    module.spec.tags.iter().find(|tag| tag.digest == digest || tag.manifest == digest)
}

/// The tag of this name.
pub(crate) fn by_name<'a>(module: &'a Module, name: &str) -> Option<&'a Tag> {
    module.spec.tags.iter().find(|tag| tag.name == name)
}

fn modules(client: &Client, namespace: &str) -> Api<Module> {
    Api::namespaced(client.clone(), namespace)
}

fn named(namespace: &str, name: &str, tags: Vec<Tag>) -> Module {
    Module {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        spec: ModuleSpec { tags },
    }
}

/// Somebody created, changed or deleted the object in between.
fn lost_a_race(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status)
        if matches!(status.reason.as_str(), "Conflict" | "AlreadyExists")
            || (status.reason == "NotFound"
                && status.details.as_ref().is_none_or(|details| details.kind != "namespaces")))
}
