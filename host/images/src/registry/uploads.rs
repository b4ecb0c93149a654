//! Pushing blobs: in one request, in two, or in chunks; or taking them from another repository.

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::repository::{Repository, SessionId};
use super::sessions::Session;
use super::{Caller, Registry, RegistryError, range};
use crate::incoming::Incoming;
use crate::{Digest, Error, module};

#[derive(Debug, Deserialize)]
pub(super) struct Start {
    /// The digest of a blob that is sent with this very request.
    digest: Option<String>,
    /// The digest of a blob that another repository has,
    mount: Option<String>,
    /// and that repository.
    from: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Finish {
    digest: String,
}

pub(super) async fn start(
    State(registry): State<Registry>,
    Caller(client): Caller,
    repository: Repository,
    Query(start): Query<Start>,
    body: Body,
) -> Result<Response, RegistryError> {
    module::may_push(&client, &repository.namespace, &repository.name).await?;
    if let (Some(mount), Some(from)) = (&start.mount, &start.from)
        && let Some(digest) = mounted(&registry, &client, &repository, mount, from).await?
    {
        return Ok(created(&repository, &digest));
    }
    let mut incoming = registry.images.receive().await?;
    if let Some(digest) = &start.digest {
        let digest: Digest = digest.parse()?;
        receive(&mut incoming, body).await?;
        return keep(&registry, &repository, incoming, &digest).await;
    }
    let id = registry.sessions.begin(repository.clone(), incoming)?;
    Ok(progress(StatusCode::ACCEPTED, &repository, &id, 0))
}

/// Takes a blob from a repository that the sender may read. Where that cannot be, an ordinary
/// upload begins, as the specification has it.
async fn mounted(
    registry: &Registry,
    client: &kube::Client,
    repository: &Repository,
    mount: &str,
    from: &str,
) -> Result<Option<Digest>, RegistryError> {
    let (Ok(digest), Ok(from)) = (mount.parse(), Repository::parse(from)) else { return Ok(None) };
    let images = &registry.images;
    if !matches!(module::find(client, &from.namespace, &from.name).await, Ok(Some(_)))
        || !images.linked(&from.namespace, &from.name, &digest).await?
        || !images.refresh(&digest).await?
    {
        return Ok(None);
    }
    images.link(&repository.namespace, &repository.name, &digest).await?;
    Ok(Some(digest))
}

pub(super) async fn append(
    State(registry): State<Registry>,
    repository: Repository,
    SessionId(id): SessionId,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, RegistryError> {
    let session = registry.sessions.find(&id)?;
    let mut session = session.lock().await;
    let incoming = of(&mut session, &repository)?;
    let received = incoming.written();
    if !continues(&headers, received)? {
        return Ok(progress(StatusCode::RANGE_NOT_SATISFIABLE, &repository, &id, received));
    }
    if let Err(error) = receive(incoming, body).await {
        if matches!(error, Error::TooLarge { .. }) {
            session.incoming = None;
            registry.sessions.end(&id);
        }
        return Err(error.into());
    }
    let received = session.incoming()?.written();
    Ok(progress(StatusCode::ACCEPTED, &repository, &id, received))
}

pub(super) async fn finish(
    State(registry): State<Registry>,
    repository: Repository,
    SessionId(id): SessionId,
    Query(finish): Query<Finish>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, RegistryError> {
    let digest: Digest = finish.digest.parse()?;
    let session = registry.sessions.find(&id)?;
    let mut session = session.lock().await;
    let incoming = of(&mut session, &repository)?;
    let received = incoming.written();
    if !continues(&headers, received)? {
        return Ok(progress(StatusCode::RANGE_NOT_SATISFIABLE, &repository, &id, received));
    }
    receive(incoming, body).await?;
    let incoming = session.incoming.take().ok_or_else(RegistryError::upload_unknown)?;
    registry.sessions.end(&id);
    keep(&registry, &repository, incoming, &digest).await
}

pub(super) async fn status(
    State(registry): State<Registry>,
    repository: Repository,
    SessionId(id): SessionId,
) -> Result<Response, RegistryError> {
    let session = registry.sessions.find(&id)?;
    let received = of(&mut *session.lock().await, &repository)?.written();
    Ok(progress(StatusCode::NO_CONTENT, &repository, &id, received))
}

pub(super) async fn cancel(
    State(registry): State<Registry>,
    repository: Repository,
    SessionId(id): SessionId,
) -> Result<StatusCode, RegistryError> {
    let session = registry.sessions.find(&id)?;
    of(&mut *session.lock().await, &repository)?;
    registry.sessions.end(&id);
    Ok(StatusCode::NO_CONTENT)
}

/// The session's bytes, if it is one of this repository.
fn of<'a>(
    session: &'a mut Session,
    repository: &Repository,
) -> Result<&'a mut Incoming, RegistryError> {
    if session.repository != *repository {
        return Err(RegistryError::upload_unknown());
    }
    session.incoming()
}

/// Whether a chunk begins where the last one ended.
fn continues(headers: &HeaderMap, received: u64) -> Result<bool, RegistryError> {
    match range::chunk_start(headers) {
        Ok(start) => Ok(start.is_none_or(|start| start == received)),
        Err(()) => Err(RegistryError::upload_invalid("its Content-Range cannot be read")),
    }
}

async fn receive(incoming: &mut Incoming, body: Body) -> Result<(), Error> {
    let mut body = body.into_data_stream();
    while let Some(bytes) = body.next().await {
        incoming.write(&bytes.map_err(|error| Error::Transfer(error.to_string()))?).await?;
    }
    Ok(())
}

async fn keep(
    registry: &Registry,
    repository: &Repository,
    incoming: Incoming,
    digest: &Digest,
) -> Result<Response, RegistryError> {
    let arrived = incoming.finish(Some(digest)).await?;
    registry.images.keep(arrived).await?;
    registry.images.link(&repository.namespace, &repository.name, digest).await?;
    Ok(created(repository, digest))
}

fn created(repository: &Repository, digest: &Digest) -> Response {
    let headers = [
        (header::LOCATION.as_str(), format!("/v2/{repository}/blobs/{digest}")),
        ("docker-content-digest", digest.to_string()),
    ];
    (StatusCode::CREATED, headers).into_response()
}

/// Where the upload stands. The range's end is the last byte received, or 0 before the first.
fn progress(status: StatusCode, repository: &Repository, id: &str, received: u64) -> Response {
    let headers = [
        (header::LOCATION.as_str(), format!("/v2/{repository}/blobs/uploads/{id}")),
        (header::RANGE.as_str(), format!("0-{}", received.saturating_sub(1))),
        ("docker-upload-uuid", id.to_owned()),
    ];
    (status, headers).into_response()
}
