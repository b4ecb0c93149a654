//! Many objects: their stored bytes, strung together.

use std::sync::Arc;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use coracle_store::{Entry, Error as StoreError, Range, Revision};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::negotiate::{Extent, Media, Output, View};
use super::options::{At, ListOptions};
use super::{Call, respond, table};
use crate::error::{ApiError, Reason, Result};
use crate::registry::{Kind, Selection, key, prefix};

/// Where a list goes on: Kubernetes' own form, which callers must not look into but may store.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Continue {
    v: String,
    /// The revision of the first page; -1 for whatever is newest.
    rv: i64,
    /// The key behind which to begin, without the prefix.
    start: String,
}

/// Entries that are looked at together in search of those that a selection wants.
const SCAN: usize = 500;

const CONTINUE_VERSION: &str = "meta.k8s.io/v1";

impl Continue {
    fn encode(revision: Option<Revision>, start: &str) -> Result<String> {
        let rv = match revision {
            Some(revision) => i64::try_from(revision).map_err(ApiError::internal)?,
            None => -1,
        };
        let token = Self { v: CONTINUE_VERSION.into(), rv, start: start.into() };
        let json = serde_json::to_vec(&token).map_err(ApiError::internal)?;
        Ok(URL_SAFE_NO_PAD.encode(json))
    }

    fn decode(token: &str) -> Result<Self> {
        const INVALID: &str = "continue key is not valid";
        let refused = |why: String| ApiError::bad_request(format!("invalid continue token: {why}"));
        let json = URL_SAFE_NO_PAD.decode(token.trim_end_matches('='));
        let json = json.map_err(|error| refused(format!("{INVALID}: {error}")))?;
        let token: Self = serde_json::from_slice(&json)
            .map_err(|error| refused(format!("{INVALID}: {error}")))?;
        let Self { v, rv, start } = &token;
        if v != CONTINUE_VERSION {
            let why = "server does not recognize this encoded version";
            return Err(refused(format!("{INVALID}: {why} {v}")));
        }
        if *rv == 0 {
            let why = "incorrect encoded start resourceVersion (version meta.k8s.io/v1)";
            return Err(refused(format!("{INVALID}: {why}")));
        }
        if start.is_empty() {
            let why = "encoded start key empty (version meta.k8s.io/v1)";
            return Err(refused(format!("{INVALID}: {why}")));
        }
        // Nobody leaves his prefix, or asks for what cannot be a key.
        if start.trim_start_matches('/').split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(refused(format!("{INVALID}: {start}")));
        }
        Ok(token)
    }
}

/// What a list found.
pub(super) struct Listed {
    pub(super) revision: Revision,
    pub(super) entries: Vec<Arc<Entry>>,
    continue_at: Option<String>,
    /// Only known if every object is selected.
    remaining: Option<usize>,
}

impl Listed {
    /// All that there is, in one piece.
    pub(super) fn whole(revision: Revision, entries: Vec<Arc<Entry>>) -> Self {
        Self { revision, entries, continue_at: None, remaining: None }
    }
}

pub(super) async fn list(call: &Call, kind: &dyn Kind) -> Result<Response<Body>> {
    let output = call.output(kind.names())?;
    let options = ListOptions::read(call, kind)?;
    let listed = select(call, kind, &options).await?;
    show(kind, output, &listed).await
}

/// The namespace that a request is about: its path's, or the one that its selection names.
pub(super) fn narrowed<'a>(call: &'a Call, kind: &dyn Kind, selection: &'a Selection) -> &'a str {
    let own = call.target.namespace.as_str();
    let selected = selection.fields.exact("metadata.namespace").filter(|name| !name.is_empty());
    match selected {
        Some(selected) if own.is_empty() && kind.names().namespaced => selected,
        _ => own,
    }
}

/// The objects that a list is about.
pub(super) async fn select(call: &Call, kind: &dyn Kind, options: &ListOptions) -> Result<Listed> {
    let kind = kind.hub();
    let names = kind.names();
    let store = &call.server.store;
    let namespace = narrowed(call, kind, &options.selection);
    if let (Some(name), false) =
        (options.selection.name(), names.namespaced && namespace.is_empty())
        && matches!(options.at, At::Newest)
    {
        let revision = store.revision().await?;
        let entry = store.get(&key(names, namespace, name)).await?;
        let entries: Vec<_> =
            entry.into_iter().filter(|entry| options.selection.matches(entry, kind)).collect();
        // An object newer than the revision read before it would be missed by a watch from there.
        let revision = entries.iter().map(|e| e.modified).fold(revision, Revision::max);
        return Ok(Listed::whole(revision, entries));
    }
    let prefix = prefix(names, namespace);
    let everything = options.selection.is_everything();
    let limit = options.limit.map(|limit| if everything { limit } else { limit.max(SCAN) });
    let mut range = Range { limit, ..Range::default() };
    match (&options.continue_at, options.at) {
        (Some(token), _) => {
            let Continue { rv, start, .. } = Continue::decode(token)?;
            range.at = Revision::try_from(rv).ok();
            range.after = Some(format!("{prefix}{start}"));
        }
        (None, At::Exactly(revision)) => range.at = Some(revision),
        (None, At::NotOlderThan(revision)) => {
            let current = store.revision().await?;
            if revision > current {
                return Err(ApiError::future(revision, current));
            }
        }
        (None, At::Newest) => {}
    }
    let mut found = vec![];
    loop {
        let page = match store.range(&prefix, range.clone()).await {
            Ok(page) => page,
            Err(StoreError::Compacted { .. }) if options.continue_at.is_some() => {
                return Err(stale_continue(&prefix, range.after.as_deref())?);
            }
            Err(StoreError::Compacted { .. }) => {
                return Err(ApiError::expired(
                    "The resourceVersion for the provided list is too old.",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        let revision = page.revision;
        let last = page.entries.last().map(|entry| entry.key.clone());
        let wanted = options.limit.unwrap_or(usize::MAX);
        let mut cut = None;
        for entry in page.entries {
            if everything || options.selection.matches(&entry, kind) {
                if found.len() == wanted {
                    cut = Some(());
                    break;
                }
                found.push(entry);
            }
        }
        let more = page.remaining > 0 || cut.is_some();
        let full = found.len() >= wanted;
        if !more || last.is_none() {
            return Ok(Listed::whole(revision, found));
        }
        if full {
            // With a selector the page may have held more than was wanted of it.
            let end =
                if everything { last } else { found.last().map(|e: &Arc<Entry>| e.key.clone()) };
            let start =
                end.as_deref().and_then(|key| key.strip_prefix(&prefix)).unwrap_or_default();
            let continue_at = Some(Continue::encode(Some(revision), start)?);
            let remaining = everything.then_some(page.remaining);
            return Ok(Listed { revision, entries: found, continue_at, remaining });
        }
        range.at = Some(revision);
        range.after = last.map(|key| key.to_string());
    }
}

/// Says how to go on although the first page's state is forgotten.
fn stale_continue(prefix: &str, after: Option<&str>) -> Result<ApiError> {
    let start = after.and_then(|key| key.strip_prefix(prefix)).unwrap_or_default();
    let error = ApiError::expired(
        "The provided continue parameter is too old to display a consistent list result. You can \
         start a new list without the continue parameter, or use the continue token in this \
         response to retrieve the remainder of the results. Continuing with the provided token \
         results in an inconsistent list - objects that were created, modified, or deleted between \
         the time the first chunk was returned and now may show up in the list.",
    );
    Ok(ApiError { continue_at: Some(Continue::encode(None, start)?), ..error })
}

pub(super) async fn show(
    kind: &dyn Kind,
    output: Output,
    listed: &Listed,
) -> Result<Response<Body>> {
    if let View::Metadata(Extent::One, _) = output.view {
        let message = format!(
            "you requested PartialObjectMetadata, but the requested object is a list ({})",
            respond::go_type(kind.names(), "List")
        );
        return Err(ApiError::new(Reason::NotAcceptable, message));
    }
    let mut metadata = json!({ "resourceVersion": listed.revision.to_string() });
    if let Some(token) = &listed.continue_at {
        metadata["continue"] = json!(token);
    }
    if let Some(remaining) = listed.remaining.filter(|remaining| *remaining > 0) {
        metadata["remainingItemCount"] = json!(remaining);
    }
    let metadata = metadata.to_string();
    let items = Items::of(kind, &listed.entries).await?;
    if output.media == Media::Protobuf {
        let body = binary(kind, output, &metadata, &items)?;
        return Ok(respond::finished(StatusCode::OK, output, body));
    }
    let body = match output.view {
        View::Object => {
            let names = kind.names();
            let size: usize = items.iter().map(|item| item.len() + 1).sum();
            let mut body = BytesMut::with_capacity(size + 256);
            let head = format!(
                r#"{{"kind":"{}","apiVersion":"{}","metadata":{metadata},"items":["#,
                names.list,
                names.api_version()
            );
            body.put_slice(head.as_bytes());
            separated(&items, &mut body, |item, body| {
                body.put_slice(item);
                Ok(())
            })?;
            body
        }
        View::Metadata(_, version) => {
            let mut body = BytesMut::new();
            let head = format!(
                r#"{{"kind":"PartialObjectMetadataList","apiVersion":"{version}","metadata":{metadata},"items":["#
            );
            body.put_slice(head.as_bytes());
            separated(&items, &mut body, |item, body| {
                body.put_slice(&table::metadata(version, item)?);
                Ok(())
            })?;
            body
        }
        View::Table(include, version) => {
            let mut body = table::head(kind, true, version, &metadata)?;
            separated(&items, &mut body, |item, body| {
                table::row(kind, include, version, item, body)
            })?;
            body
        }
    };
    let mut body = body;
    body.put_slice(table::TAIL);
    respond::raw(StatusCode::OK, output, body.freeze())
}

/// The list as protobuf.
fn binary(kind: &dyn Kind, output: Output, metadata: &str, items: &Items<'_>) -> Result<Bytes> {
    let names = kind.names();
    let own = names.api_version();
    let (version, name) = match output.view {
        View::Metadata(_, version) => (version, "PartialObjectMetadata"),
        View::Object | View::Table(..) => (&*own, &*names.kind),
    };
    let items = items.iter().map(|item| &**item);
    let list = format!("{name}List");
    Ok(respond::message(version, &list)?.list(version, &list, metadata, items)?.into())
}

/// The objects of a list in the version that was asked for.
enum Items<'a> {
    Stored(&'a [Arc<Entry>]),
    Converted(Vec<Bytes>),
}

impl<'a> Items<'a> {
    async fn of(kind: &dyn Kind, entries: &'a [Arc<Entry>]) -> Result<Self> {
        let Some(conversion) = kind.conversion() else { return Ok(Self::Stored(entries)) };
        let stored = entries.iter().map(|entry| entry.value.clone()).collect();
        Ok(Self::Converted(conversion.from_hub(stored).await?))
    }

    fn iter(&self) -> impl Iterator<Item = &Bytes> {
        let (entries, converted) = match self {
            Self::Stored(entries) => (*entries, &[][..]),
            Self::Converted(converted) => (&[][..], &converted[..]),
        };
        entries.iter().map(|entry| &entry.value).chain(converted)
    }
}

fn separated(
    items: &Items<'_>,
    body: &mut BytesMut,
    mut put: impl FnMut(&Bytes, &mut BytesMut) -> Result<()>,
) -> Result<()> {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            body.put_u8(b',');
        }
        put(item, body)?;
    }
    Ok(())
}
