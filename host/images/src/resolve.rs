//! From a container's `image` to a file to run.

use std::path::PathBuf;

use coracle_api::module::{Form, Module, READY_MADE_NAMESPACE, Tag};
use kube::Client;

use crate::{Digest, Images, Reference, ResolveError, aliases, module};

/// Tags that an error lists.
const TAGS_NAMED: usize = 10;

/// What a pod's container runs.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The digest of the file to run.
    pub digest: Digest,
    /// The file to run.
    pub path: PathBuf,
    /// What it is.
    pub form: Form,
    /// What the container's status says: `<namespace>/<name>@sha256:<what was uploaded>`.
    pub image_id: String,
    /// If a ready-made module stands in for the image that was asked for: the sentence that says
    /// so. To be told, by an event and a status field.
    pub alias: Option<String>,
}

/// Finds what `image` means in a pod of `namespace`: a Module there, else a ready-made one of
/// this name, else the ready-made one that stands in for a well-known image.
pub async fn resolve(
    images: &Images,
    client: &Client,
    namespace: &str,
    image: &str,
) -> Result<Resolved, ResolveError> {
    let reference: Reference = image.parse()?;
    let mut missing = None;
    for (home, name) in homes(&reference, namespace) {
        let Some(found) = module::find(client, home, name).await? else { continue };
        match choose(&found, &reference) {
            Some(tag) => return images.resolved(home, name, tag, None).await,
            // Kept for the error: a name with other tags says more than a name that is not there.
            None => missing = missing.or_else(|| Some(no_such_tag(home, name, &found, &reference))),
        }
    }
    if let Some(name) = aliases::ready_made(&reference.repository())
        && let Some(found) = module::find(client, READY_MADE_NAMESPACE, name).await?
        && let Some(tag) = found.spec.tags.first()
    {
        let alias = format!("image {image:?} stands for the ready-made module {name:?}");
        return images.resolved(READY_MADE_NAMESPACE, name, tag, Some(alias)).await;
    }
    Err(ResolveError::NotFound(missing.unwrap_or_else(|| no_such_name(&reference, namespace))))
}

/// Where a Module of the reference's name may lie: the pod's own namespace and that of the
/// ready-made ones; a namespace written out must be one of the two.
fn homes<'a>(reference: &'a Reference, namespace: &'a str) -> Vec<(&'a str, &'a str)> {
    if reference.registry.is_some() {
        return Vec::new();
    }
    match reference.path.split_once('/') {
        None => vec![(namespace, &reference.path), (READY_MADE_NAMESPACE, &reference.path)],
        Some((home, name))
            if !name.contains('/') && (home == namespace || home == READY_MADE_NAMESPACE) =>
        {
            vec![(home, name)]
        }
        Some(_) => Vec::new(),
    }
}

fn choose<'a>(found: &'a Module, reference: &Reference) -> Option<&'a Tag> {
    match &reference.digest {
        Some(digest) => module::by_digest(found, digest),
        None => module::by_name(found, reference.tag_or_default()),
    }
}

fn no_such_tag(home: &str, name: &str, found: &Module, reference: &Reference) -> String {
    let wanted = match &reference.digest {
        Some(digest) => format!("digest {digest}"),
        None => format!("tag {:?}", reference.tag_or_default()),
    };
    let tags: Vec<&str> =
        found.spec.tags.iter().take(TAGS_NAMED).map(|tag| tag.name.as_str()).collect();
    let more = found.spec.tags.len().saturating_sub(TAGS_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let has = if tags.is_empty() { "no tag".to_owned() } else { tags.join(", ") };
    format!("module {name:?} in namespace {home:?} has no {wanted}; it has {has}{more}")
}

fn no_such_name(reference: &Reference, namespace: &str) -> String {
    if let Some(registry) = &reference.registry {
        return format!(
            "images of other registries ({registry}) are not pulled: push the module to this \
             cluster and name it {:?}",
            reference.path.rsplit('/').next().unwrap_or_default()
        );
    }
    match reference.path.split_once('/') {
        Some((home, name)) if !name.contains('/') => format!(
            "a pod of namespace {namespace:?} runs the modules of its own namespace, of \
             {READY_MADE_NAMESPACE:?}, or ready-made ones: not those of {home:?}"
        ),
        Some(_) => format!("there is no module {:?}", reference.path),
        None => format!(
            "there is no module {:?} in namespace {namespace:?}, and no ready-made one of this name",
            reference.path
        ),
    }
}

impl Images {
    async fn resolved(
        &self,
        home: &str,
        name: &str,
        tag: &Tag,
        alias: Option<String>,
    ) -> Result<Resolved, ResolveError> {
        let uploaded: Digest = tag.digest.parse()?;
        let digest = match tag.form {
            Form::CoreCommand => uploaded,
            Form::Command | Form::HttpHandler => self.component_of(&uploaded).await?,
        };
        let path = self.path(&digest).await?;
        let image_id = format!("{home}/{name}@{uploaded}");
        Ok(Resolved { digest, path, form: tag.form, image_id, alias })
    }

    /// The component that runs for an uploaded one: itself, or what was made of it, made again if
    /// that is gone.
    async fn component_of(&self, uploaded: &Digest) -> Result<Digest, ResolveError> {
        for _ in 0..2 {
            match self.runnable(uploaded).await? {
                Some(made) if self.path(&made).await.is_ok() => return Ok(made),
                Some(_) => {}
                None if self.is_component(uploaded).await? => return Ok(*uploaded),
                None => {}
            }
            self.admit(uploaded).await?;
        }
        Err(crate::Error::Missing(*uploaded).into())
    }

    async fn is_component(&self, digest: &Digest) -> Result<bool, crate::Error> {
        use tokio::io::AsyncReadExt;
        let (file, _) = self.open_file(digest).await?;
        let mut head = Vec::with_capacity(8);
        // A file that cannot be read is no component here; to read it as a whole gives the error.
        let read = file.take(8).read_to_end(&mut head).await;
        Ok(read.is_ok() && wasmparser::Parser::is_component(&head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn homes_of(image: &str) -> Vec<(String, String)> {
        let reference: Reference = image.parse().unwrap();
        let homes = homes(&reference, "team");
        homes.into_iter().map(|(home, name)| (home.to_owned(), name.to_owned())).collect()
    }

    #[test]
    fn a_pod_sees_its_own_namespace_and_the_ready_made() {
        let own = ("team".to_owned(), "hello".to_owned());
        let ready_made = (READY_MADE_NAMESPACE.to_owned(), "hello".to_owned());
        assert_eq!(homes_of("hello:v1"), [own.clone(), ready_made.clone()]);
        assert_eq!(homes_of("team/hello"), [own]);
        assert_eq!(homes_of(&format!("{READY_MADE_NAMESPACE}/hello")), [ready_made]);
        assert!(homes_of("other/hello").is_empty());
        assert!(homes_of("team/a/hello").is_empty());
        assert!(homes_of("example.com/hello").is_empty());
    }
}
