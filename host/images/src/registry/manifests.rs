//! Manifests: pushing one gives a module its tag.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::repository::{Repository, TagOrDigest};
use super::{Caller, Registry, RegistryError};
use crate::manifest::{Descriptor, MANIFEST, Manifest};
use crate::reference::is_tag;
use crate::{Digest, Error, module};

/// Bytes of a manifest, as the specification proposes.
const SIZE_LIMIT: usize = 4 << 20;

/// `GET` and `HEAD`.
pub(super) async fn get(
    State(registry): State<Registry>,
    Caller(client): Caller,
    repository: Repository,
    TagOrDigest(reference): TagOrDigest,
    method: Method,
) -> Result<Response, RegistryError> {
    let Repository { namespace, name } = &repository;
    let unknown = || RegistryError::manifest_unknown(&reference);
    let found = module::find(&client, namespace, name).await?;
    let digest: Digest = if reference.contains(':') {
        reference.parse()?
    } else {
        let module = found.as_ref().ok_or_else(unknown)?;
        module::by_name(module, &reference).ok_or_else(unknown)?.manifest.parse()?
    };
    if !registry.images.linked(namespace, name, &digest).await? {
        return Err(unknown());
    }
    let bytes = match registry.images.open_bytes(&digest).await {
        Err(Error::Missing(_)) => return Err(unknown()),
        bytes => bytes?,
    };
    // Other blobs of the repository are no manifests, though they have digests as well.
    let manifest = Manifest::parse(&bytes).map_err(|_| unknown())?;
    let headers = [
        (header::CONTENT_TYPE.as_str(), manifest.media_type.unwrap_or_else(|| MANIFEST.to_owned())),
        (header::CONTENT_LENGTH.as_str(), bytes.len().to_string()),
        ("docker-content-digest", digest.to_string()),
    ];
    let bytes = if method == Method::HEAD { Bytes::new() } else { bytes };
    Ok((headers, bytes).into_response())
}

pub(super) async fn put(
    State(registry): State<Registry>,
    Caller(client): Caller,
    repository: Repository,
    TagOrDigest(reference): TagOrDigest,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, RegistryError> {
    let Repository { namespace, name } = &repository;
    let images = &registry.images;
    let wanted: Option<Digest> =
        if reference.contains(':') { Some(reference.parse()?) } else { None };
    if wanted.is_none() && !is_tag(&reference) {
        return Err(RegistryError::tag_invalid(&reference));
    }
    module::may_push(&client, namespace, name).await?;
    let bytes = read(body).await?;
    let digest = Digest::of(&bytes);
    if let Some(expected) = wanted.filter(|wanted| *wanted != digest) {
        return Err(Error::DigestMismatch { expected, received: digest }.into());
    }
    let manifest = Manifest::parse(&bytes).map_err(RegistryError::manifest_invalid)?;
    agrees(&headers, &manifest)?;
    let layer = manifest.module().map_err(RegistryError::manifest_invalid)?;
    let layer: Digest = layer.digest.parse()?;
    for descriptor in manifest.layers.iter().chain([&manifest.config]) {
        present(&registry, &repository, descriptor).await?;
    }
    let admitted = images.admit(&layer).await?;
    images.put_bytes(&bytes).await?;
    images.link(namespace, name, &digest).await?;
    if wanted.is_none() {
        let tag = admitted.tag(&reference, &digest);
        module::put_tag(&client, namespace, name, tag).await?;
    }
    let headers = [
        (header::LOCATION.as_str(), format!("/v2/{repository}/manifests/{digest}")),
        ("docker-content-digest", digest.to_string()),
    ];
    Ok((StatusCode::CREATED, headers).into_response())
}

pub(super) async fn delete(
    State(registry): State<Registry>,
    Caller(client): Caller,
    repository: Repository,
    TagOrDigest(reference): TagOrDigest,
) -> Result<StatusCode, RegistryError> {
    let Repository { namespace, name } = &repository;
    let removed = if reference.contains(':') {
        let digest: Digest = reference.parse()?;
        let text = digest.to_string();
        let tags =
            module::remove_tags(&client, namespace, name, |tag| tag.manifest == text).await?;
        // Without a tag it was pushed by its digest alone; whoever may push may take it back.
        if tags == 0 {
            module::may_push(&client, namespace, name).await?;
        }
        registry.images.unlink(namespace, name, &digest).await? || tags > 0
    } else {
        module::remove_tags(&client, namespace, name, |tag| tag.name == reference).await? > 0
    };
    if removed {
        Ok(StatusCode::ACCEPTED)
    } else {
        Err(RegistryError::manifest_unknown(&reference))
    }
}

async fn read(body: Body) -> Result<Bytes, RegistryError> {
    match Limited::new(body, SIZE_LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(RegistryError::size_invalid(format!(
            "a manifest may have {SIZE_LIMIT} bytes at most"
        ))),
        Err(error) => Err(Error::Transfer(error.to_string()).into()),
    }
}

/// The request's content type and the manifest's own must be one.
fn agrees(headers: &HeaderMap, manifest: &Manifest) -> Result<(), RegistryError> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let said = said.map(|said| said.split(';').next().unwrap_or_default().trim());
    match (said, manifest.media_type.as_deref()) {
        (Some(said), own) if said != own.unwrap_or(MANIFEST) => {
            Err(RegistryError::manifest_invalid(format!(
                "the request's content type is {said}, the manifest's {}",
                own.unwrap_or(MANIFEST)
            )))
        }
        _ => Ok(()),
    }
}

/// Whether a blob that the manifest refers to was pushed here, and as large as it says.
async fn present(
    registry: &Registry,
    repository: &Repository,
    descriptor: &Descriptor,
) -> Result<(), RegistryError> {
    let digest: Digest = descriptor.digest.parse()?;
    let Repository { namespace, name } = repository;
    if !registry.images.linked(namespace, name, &digest).await?
        || !registry.images.refresh(&digest).await?
    {
        return Err(RegistryError::manifest_blob_unknown(digest));
    }
    let (_, size) = registry.images.open_file(&digest).await?;
    if size != descriptor.size {
        return Err(RegistryError::manifest_invalid(format!(
            "the blob {digest} has {size} bytes, not {}",
            descriptor.size
        )));
    }
    Ok(())
}
