//! Removes what no Module refers to any more.

use std::collections::HashSet;
use std::time::Duration;

use coracle_api::module::Module;
use kube::Client;
use kube::api::{Api, ListParams};

use crate::{Digest, Images, ResolveError, manifest};

/// Modules listed at once.
const PAGE: u32 = 500;

/// What a collection removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Files with bytes.
    pub blobs: usize,
    /// The bytes freed.
    pub bytes: u64,
}

/// Removes the blobs that are older than `grace` and that no Module of the cluster refers to. The
/// grace period is for pushes in progress, whose blobs come before the Module.
pub async fn collect(
    client: &Client,
    images: &Images,
    grace: Duration,
) -> Result<Collected, ResolveError> {
    // The files first: a blob pushed between the two looks is too young to be among them.
    let blobs = images.older_than("blobs", grace).await?;
    let links = images.older_than("repositories", grace).await?;
    let live = live(client, images).await?;
    for (path, digest) in links {
        if !live.contains(&digest) {
            images.remove(&path, grace).await?;
        }
    }
    let mut collected = Collected::default();
    for (path, digest) in blobs {
        if !live.contains(&digest)
            && let Some(bytes) = images.remove(&path, grace).await?
        {
            collected.blobs += 1;
            collected.bytes += bytes;
        }
    }
    for (path, digest) in images.older_than("runnable", grace).await? {
        if !live.contains(&digest) {
            images.remove(&path, grace).await?;
        }
    }
    Ok(collected)
}

/// Every digest that a Module needs: the module, its manifest, what that refers to, and the
/// component that runs.
async fn live(client: &Client, images: &Images) -> Result<HashSet<Digest>, ResolveError> {
    let modules: Api<Module> = Api::all(client.clone());
    let mut live = HashSet::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = modules.list(&page).await.map_err(Box::new)?;
        for tag in list.items.iter().flat_map(|module| &module.spec.tags) {
            // Module objects are anybody's to write: a digest that is none refers to nothing.
            if let Ok(digest) = tag.digest.parse() {
                live.insert(digest);
                live.extend(images.runnable(&digest).await?);
            }
            if let Ok(digest) = tag.manifest.parse()
                && live.insert(digest)
                && let Ok(bytes) = images.open_bytes(&digest).await
            {
                live.extend(manifest::referred(&bytes));
            }
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(live),
        }
    }
}
