//! OpenAPI v2 and v3: the table of kinds as documents that clients read to know what there is,
//! what its fields mean, and how its lists are merged. Made when first asked for; when the table has
//! changed, what has changed of it is made again. What other servers say of what they serve is
//! added.

mod binary;
mod merge;
mod paths;
mod schemas;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use serde_json::{Map, Value, json};

use self::schemas::Definitions;
use super::negotiate::{clauses, not_acceptable};
use super::respond;
use crate::aggregator::Extension;
use crate::error::{ApiError, Result};
use crate::registry::{ApiResource, Kind, Table};

const TITLE: &str = "Kubernetes";
/// How long a document may be kept whose address names its content: a year.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

/// The two forms of OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    V2,
    V3,
}

/// A document and the hash of its content.
#[derive(Clone, Debug)]
struct Document {
    bytes: Bytes,
    hash: String,
}

impl Document {
    fn new(value: &Value) -> Result<Self> {
        let bytes = Bytes::from(serde_json::to_vec(value).map_err(ApiError::internal)?);
        Ok(Self { hash: respond::hash(&bytes), bytes })
    }
}

/// What another server says of the version of a group that it serves.
#[derive(Clone)]
pub(crate) struct Foreign {
    /// `apis/wardle.example.com/v1`.
    root: String,
    /// Its whole v2 document.
    v2: Option<Arc<Bytes>>,
    /// Where its v3 document is.
    v3: Option<Value>,
}

impl Foreign {
    pub(crate) fn of(extension: &Extension) -> Self {
        let told = extension.told.load();
        let root = extension.root().trim_start_matches('/').to_owned();
        Self { root, v2: told.v2.clone(), v3: told.v3.clone() }
    }

    fn is(&self, other: &Self) -> bool {
        let same = match (&self.v2, &other.v2) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        };
        same && self.root == other.root && self.v3 == other.v3
    }
}

/// The documents of the table of the moment.
#[derive(Default)]
pub(crate) struct OpenApi(Mutex<Option<(Arc<Table>, Arc<Documents>)>>);

impl OpenApi {
    /// The documents of `table` and of what others serve.
    pub(crate) fn of(&self, table: &Arc<Table>, foreign: &[Foreign]) -> Result<Arc<Documents>> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, documents)) = &*made
            && Arc::ptr_eq(known, table)
            && documents.foreign.len() == foreign.len()
            && documents.foreign.iter().zip(foreign).all(|(known, own)| known.is(own))
        {
            return Ok(documents.clone());
        }
        let before = made.as_ref().map(|(_, documents)| &**documents);
        let documents =
            Arc::new(Documents::new(table.kinds(), table.questions(), foreign, before)?);
        *made = Some((table.clone(), documents.clone()));
        Ok(documents)
    }
}

/// Every OpenAPI document of a table of kinds.
pub(crate) struct Documents {
    /// Without those that others serve.
    kinds: Vec<Arc<dyn Kind>>,
    questions: Vec<Arc<ApiResource>>,
    foreign: Vec<Foreign>,
    /// Few ask for it, and it is large.
    v2: OnceLock<Document>,
    /// Its protobuf form.
    v2_binary: OnceLock<Bytes>,
    v3_index: Document,
    /// By `api/v1`, `apis/apps/v1`, ...
    v3: BTreeMap<String, Version>,
}

/// What is served of one group and version.
#[derive(Clone)]
struct Version {
    kinds: Vec<Arc<dyn Kind>>,
    document: Document,
}

impl Documents {
    /// The documents of `kinds`; those that are as they were `before` are taken from there.
    fn new(
        kinds: &[Arc<dyn Kind>],
        questions: &[Arc<ApiResource>],
        foreign: &[Foreign],
        before: Option<&Self>,
    ) -> Result<Self> {
        let elsewhere = |names: &ApiResource| foreign.iter().any(|other| other.root == root(names));
        let here = |kind: &&Arc<dyn Kind>| !elsewhere(kind.names());
        let kinds: Vec<_> = kinds.iter().filter(here).cloned().collect();
        let questions: Vec<_> =
            questions.iter().filter(|names| !elsewhere(names)).cloned().collect();
        let mut v3 = BTreeMap::new();
        let kept = kinds.iter().map(|kind| root(kind.names()));
        let versions: BTreeSet<_> = kept.chain(questions.iter().map(|names| root(names))).collect();
        for version in versions {
            let own: Vec<_> =
                kinds.iter().filter(|kind| root(kind.names()) == version).cloned().collect();
            let same = |known: &&Version| {
                known.kinds.len() == own.len()
                    && known.kinds.iter().zip(&own).all(|(a, b)| Arc::ptr_eq(a, b))
            };
            let kept = before.and_then(|before| before.v3.get(&version)).filter(same).cloned();
            let made = match kept {
                Some(kept) => kept,
                None => {
                    let asked: Vec<_> =
                        questions.iter().filter(|own| root(own) == version).cloned().collect();
                    let document = Document::new(&document(&own, &asked, Form::V3))?;
                    Version { kinds: own, document }
                }
            };
            v3.insert(version, made);
        }
        let index = v3.iter().map(|(path, version)| {
            let url = format!("/openapi/v3/{path}?hash={}", version.document.hash);
            (path.clone(), json!({ "serverRelativeURL": url }))
        });
        let others = foreign.iter().filter_map(|own| Some((own.root.clone(), own.v3.clone()?)));
        let index = json!({ "paths": index.chain(others).collect::<Map<_, _>>() });
        Ok(Self {
            kinds,
            questions,
            foreign: foreign.to_vec(),
            v2: OnceLock::new(),
            v2_binary: OnceLock::new(),
            v3_index: Document::new(&index)?,
            v3,
        })
    }

    fn v2(&self) -> Result<&Document> {
        if let Some(made) = self.v2.get() {
            return Ok(made);
        }
        let mut made = document(&self.kinds, &self.questions, Form::V2);
        for Foreign { root, v2, .. } in &self.foreign {
            let Some(text) = v2 else { continue };
            match serde_json::from_slice(text) {
                Ok(other) => merge::merge(&mut made, &other, root),
                Err(error) => tracing::warn!(root, %error, "an extension's OpenAPI is no JSON"),
            }
        }
        let made = Document::new(&made)?;
        Ok(self.v2.get_or_init(|| made))
    }

    fn v2_binary(&self) -> Result<Bytes> {
        if let Some(made) = self.v2_binary.get() {
            return Ok(made.clone());
        }
        let document: Value =
            serde_json::from_slice(&self.v2()?.bytes).map_err(ApiError::internal)?;
        let (made, unknown) = binary::write(&document);
        if !unknown.is_empty() {
            tracing::error!(?unknown, "the protobuf form of OpenAPI v2 lacks some fields");
        }
        Ok(self.v2_binary.get_or_init(|| made.into()).clone())
    }

    /// The answer for `/openapi/v2`, `/openapi/v3` and what is below; `segments` begin with
    /// `openapi`. `hash` is the query's.
    pub(crate) fn answer(
        &self,
        segments: &[&str],
        hash: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Response<Body>> {
        let document = match segments {
            [_, "v2"] => self.v2()?,
            [_, "v3"] => &self.v3_index,
            [_, "v3", path @ ..] => {
                let version = self.v3.get(&path.join("/")).ok_or_else(ApiError::no_such_path)?;
                &version.document
            }
            _ => return Err(ApiError::no_such_path()),
        };
        let wanted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        let v2 = matches!(segments, [_, "v2"]);
        let (body, media) = match chosen(wanted.unwrap_or_default(), v2) {
            Some(Chosen::Json) => (document.bytes.clone(), "application/json"),
            Some(Chosen::Binary) => (self.v2_binary()?, BINARY),
            None => return Err(not_acceptable(false)),
        };
        let mut response = Response::new(Body::from(body));
        let answered = response.headers_mut();
        answered.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        let for_good = hash.is_some_and(|hash| hash == document.hash);
        let keep = if for_good { FOR_GOOD } else { "no-cache, private" };
        answered.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
        Ok(respond::tagged(response, &document.hash, headers))
    }
}

/// What the protobuf form of OpenAPI v2 is called now; it was asked for with an `@` before.
const BINARY: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const BINARY_BEFORE: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

enum Chosen {
    Json,
    Binary,
}

/// The first form that the caller accepts and the document has.
fn chosen(accept: &str, v2: bool) -> Option<Chosen> {
    if accept.is_empty() {
        return Some(Chosen::Json);
    }
    clauses(accept).iter().find_map(|clause| match clause.media {
        "application/json" | "application/*" | "*/*" => Some(Chosen::Json),
        BINARY | BINARY_BEFORE if v2 => Some(Chosen::Binary),
        _ => None,
    })
}

/// Where a kind's version is served: `api/v1` or `apis/apps/v1`.
fn root(names: &ApiResource) -> String {
    match &*names.group {
        "" => format!("api/{}", names.version),
        group => format!("apis/{group}/{}", names.version),
    }
}

fn document(kinds: &[Arc<dyn Kind>], questions: &[Arc<ApiResource>], form: Form) -> Value {
    let definitions = Definitions::of(kinds, questions, form);
    let mut all = Map::new();
    for kind in kinds {
        all.extend(paths::of_kind(&**kind, &root(kind.names()), &definitions));
    }
    for names in questions {
        all.extend(paths::of_question(names, &root(names), &definitions));
    }
    let info = json!({ "title": TITLE, "version": coracle_api::version::KUBERNETES });
    let token = json!({
        "description": "Bearer Token authentication",
        "type": "apiKey",
        "name": "authorization",
        "in": "header",
    });
    match form {
        Form::V2 => json!({
            "swagger": "2.0",
            "info": info,
            "paths": all,
            "definitions": definitions.into_all(),
            "securityDefinitions": { "BearerToken": token },
            "security": [{ "BearerToken": [] }],
        }),
        Form::V3 => json!({
            "openapi": "3.0.0",
            "info": info,
            "paths": all,
            "components": {
                "schemas": definitions.into_all(),
                "securitySchemes": { "BearerToken": token },
            },
        }),
    }
}

#[cfg(test)]
mod tests;
