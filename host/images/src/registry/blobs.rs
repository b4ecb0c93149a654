//! Pulling blobs.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::range::{self, Part};
use super::repository::{BlobDigest, Repository};
use super::{Caller, Registry, RegistryError};
use crate::incoming::at;
use crate::module;

/// `GET` and `HEAD`.
pub(super) async fn get(
    State(registry): State<Registry>,
    Caller(client): Caller,
    repository: Repository,
    BlobDigest(digest): BlobDigest,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, RegistryError> {
    // Whether the sender may read the Module is what matters: it need not be there yet.
    module::find(&client, &repository.namespace, &repository.name).await?;
    let images = &registry.images;
    if !images.linked(&repository.namespace, &repository.name, &digest).await? {
        return Err(RegistryError::blob_unknown(digest));
    }
    let (mut file, size) = images.open_file(&digest).await?;
    let mut answer = HeaderMap::new();
    let mut say = |name: &'static str, value: String| {
        // All are digits, letters and punctuation: none is refused.
        if let Ok(value) = value.parse() {
            answer.insert(name, value);
        }
    };
    say("docker-content-digest", digest.to_string());
    say("etag", format!("\"{digest}\""));
    say("accept-ranges", "bytes".to_owned());
    say("content-type", "application/octet-stream".to_owned());
    let (status, start, length) = match range::wanted(&headers, size) {
        Part::All => (StatusCode::OK, 0, size),
        Part::Some { start, length } => {
            say("content-range", format!("bytes {start}-{}/{size}", start + length - 1));
            (StatusCode::PARTIAL_CONTENT, start, length)
        }
        Part::None => {
            let headers = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        }
    };
    say("content-length", length.to_string());
    if method == Method::HEAD {
        return Ok((status, answer).into_response());
    }
    if start > 0 {
        let sought = file.seek(std::io::SeekFrom::Start(start)).await;
        sought.map_err(|source| at(std::path::Path::new(&digest.hex()), source))?;
    }
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), 64 << 10));
    Ok((status, answer, body).into_response())
}

/// The blob can no longer be fetched under this name; `collect` removes it if nothing needs it.
pub(super) async fn delete(
    State(registry): State<Registry>,
    Caller(client): Caller,
    repository: Repository,
    BlobDigest(digest): BlobDigest,
) -> Result<StatusCode, RegistryError> {
    module::may_push(&client, &repository.namespace, &repository.name).await?;
    match registry.images.unlink(&repository.namespace, &repository.name, &digest).await? {
        true => Ok(StatusCode::ACCEPTED),
        false => Err(RegistryError::blob_unknown(digest)),
    }
}
