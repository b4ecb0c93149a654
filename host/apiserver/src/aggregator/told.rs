//! What an extension tells of itself: its resources for discovery, and its OpenAPI documents.
//! Asked for now and then; between times, and while it does not answer, what it said last counts.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::Extension;
use super::extension::Answer;
use crate::server::Server;
use crate::timeouts;

/// Bytes of a document.
const DISCOVERY: usize = 4 << 20;
const OPENAPI: usize = 16 << 20;

const AGGREGATED: HeaderValue = HeaderValue::from_static(
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
);
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Whether what is told is still true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Freshness {
    Current,
    /// It could not be asked lately.
    #[default]
    Stale,
}

impl Freshness {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Current => "Current",
            Self::Stale => "Stale",
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Told {
    pub(crate) freshness: Freshness,
    /// `resources` of its version in aggregated discovery.
    pub(crate) resources: Vec<Value>,
    resources_tag: Option<HeaderValue>,
    /// The whole OpenAPI v2 document, as text.
    pub(crate) v2: Option<Arc<Bytes>>,
    v2_tag: Option<HeaderValue>,
    /// Where its OpenAPI v3 document is, as `/openapi/v3` says.
    pub(crate) v3: Option<Value>,
}

/// Asks for everything.
pub(super) async fn refresh(server: &Server, extension: &Extension) {
    let mut told = Told::clone(&extension.told.load());
    match told.discover(server, extension).await {
        Ok(()) => told.freshness = Freshness::Current,
        Err(why) => {
            tracing::warn!(
                name = extension.name,
                why,
                "an extension tells nothing of its resources"
            );
            told.freshness = Freshness::Stale;
        }
    }
    if let Err(why) = told.describe(server, extension).await {
        tracing::warn!(name = extension.name, why, "an extension has no OpenAPI");
    }
    extension.told.store(Arc::new(told));
}

/// Notes that an extension does not answer.
pub(super) fn forget(extension: &Extension) {
    if extension.told.load().freshness == Freshness::Current {
        let told = Told::clone(&extension.told.load());
        extension.told.store(Arc::new(Told { freshness: Freshness::Stale, ..told }));
    }
}

impl Told {
    async fn discover(&mut self, server: &Server, extension: &Extension) -> Result<(), String> {
        let path = if extension.group.is_empty() { "/api" } else { "/apis" };
        let limits = (timeouts::EXTENSION, DISCOVERY);
        let mut headers = HeaderMap::from_iter([(header::ACCEPT, AGGREGATED)]);
        headers.extend(self.resources_tag.clone().map(|tag| (header::IF_NONE_MATCH, tag)));
        let answer = extension.get(server, path, &headers, limits).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(());
        }
        if answer.status == StatusCode::OK && answer.is_aggregated() {
            self.resources = aggregated(&answer.json()?, extension);
            self.resources_tag = answer.headers.get(header::ETAG).cloned();
            return Ok(());
        }
        // It knows the old view only.
        let headers = HeaderMap::from_iter([(header::ACCEPT, JSON)]);
        let answer = extension.get(server, &extension.root(), &headers, limits).await?;
        let list = answer.ok()?.json()?;
        self.resources = legacy(&list, extension);
        self.resources_tag = None;
        Ok(())
    }

    async fn describe(&mut self, server: &Server, extension: &Extension) -> Result<(), String> {
        let limits = (timeouts::OPENAPI, OPENAPI);
        let accept = HeaderMap::from_iter([(header::ACCEPT, JSON)]);
        let index = extension.get(server, "/openapi/v3", &accept, limits).await?;
        self.v3 = match index.status {
            StatusCode::OK => {
                let path = extension.root();
                index.json()?["paths"].get(path.trim_start_matches('/')).cloned()
            }
            _ => None,
        };
        let mut headers = accept;
        headers.extend(self.v2_tag.clone().map(|tag| (header::IF_NONE_MATCH, tag)));
        let answer = extension.get(server, "/openapi/v2", &headers, limits).await?;
        match answer.status {
            StatusCode::NOT_MODIFIED => {}
            StatusCode::NOT_FOUND => (self.v2, self.v2_tag) = (None, None),
            _ => {
                let answer = answer.ok()?;
                self.v2_tag = answer.headers.get(header::ETAG).cloned();
                // The same text is the same document to whoever has merged it.
                if self.v2.as_deref() != Some(&answer.body) {
                    self.v2 = Some(Arc::new(answer.body));
                }
            }
        }
        Ok(())
    }
}

impl Answer {
    fn ok(self) -> Result<Self, String> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(format!("the server responded with the status code {}", self.status.as_u16()))
    }

    fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| error.to_string())
    }

    fn is_aggregated(&self) -> bool {
        let media = self.headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
        media.is_some_and(|media| media.contains("as=APIGroupDiscoveryList"))
    }
}

fn items<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

/// The fields of `from` that are there, and nothing else.
fn some(from: &Value, fields: &[&str]) -> Map<String, Value> {
    let there =
        fields.iter().filter_map(|field| Some(((*field).to_owned(), from.get(*field)?.clone())));
    there.collect()
}

/// The resources of an extension in an `APIGroupDiscoveryList`.
fn aggregated(list: &Value, extension: &Extension) -> Vec<Value> {
    let group =
        |item: &&Value| item["metadata"]["name"].as_str().unwrap_or_default() == extension.group;
    let versions = items(list, "items").filter(group).flat_map(|item| items(item, "versions"));
    let mut own = versions.filter(|version| version["version"] == *extension.version);
    let Some(version) = own.next() else { return vec![] };
    let kind = |of: &Value| json!(some(of, &["group", "version", "kind"]));
    items(version, "resources")
        .map(|resource| {
            let fields =
                ["resource", "scope", "singularResource", "verbs", "shortNames", "categories"];
            let mut shown = some(resource, &fields);
            shown.insert("responseKind".into(), kind(&resource["responseKind"]));
            let parts: Vec<_> = items(resource, "subresources")
                .map(|part| {
                    let mut shown = some(part, &["subresource", "verbs"]);
                    shown.insert("responseKind".into(), kind(&part["responseKind"]));
                    json!(shown)
                })
                .collect();
            if !parts.is_empty() {
                shown.insert("subresources".into(), json!(parts));
            }
            json!(shown)
        })
        .collect()
}

/// The same, from an `APIResourceList`: `ConvertGroupVersionIntoToDiscovery`.
fn legacy(list: &Value, extension: &Extension) -> Vec<Value> {
    let mut resources: Vec<Value> = vec![];
    for resource in items(list, "resources") {
        let text = |field: &str| resource[field].as_str().unwrap_or_default();
        let or = |given: &'_ str, own: &str| {
            if given.is_empty() { own.to_owned() } else { given.to_owned() }
        };
        let kind = json!({
            "group": or(text("group"), &extension.group),
            "version": or(text("version"), &extension.version),
            "kind": text("kind"),
        });
        let scope = if resource["namespaced"] == true { "Namespaced" } else { "Cluster" };
        let verbs = resource.get("verbs").cloned().unwrap_or_else(|| json!([]));
        let Some((whole, part)) = text("name").split_once('/') else {
            let mut shown = some(resource, &["shortNames", "categories"]);
            shown.insert("resource".into(), json!(text("name")));
            shown.insert("responseKind".into(), kind);
            shown.insert("scope".into(), json!(scope));
            shown.insert("singularResource".into(), json!(text("singularName")));
            shown.insert("verbs".into(), verbs);
            // Its parts may have come before it.
            match resources.iter_mut().find(|known| known["resource"] == *text("name")) {
                Some(known) => {
                    known.as_object_mut().into_iter().for_each(|known| known.extend(shown.clone()))
                }
                None => resources.push(json!(shown)),
            }
            continue;
        };
        let shown = json!({ "subresource": part, "responseKind": kind, "verbs": verbs });
        let at = resources.iter().position(|known| known["resource"] == *whole);
        let at = at.unwrap_or_else(|| {
            resources.push(json!({ "resource": whole, "scope": scope }));
            resources.len() - 1
        });
        if let Some(known) = resources.get_mut(at) {
            match known["subresources"].as_array_mut() {
                Some(parts) => parts.push(shown),
                None => known["subresources"] = json!([shown]),
            }
        }
    }
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension() -> Extension {
        let object = json!({
            "metadata": { "name": "v1.example.com" },
            "spec": { "group": "example.com", "version": "v1", "groupPriorityMinimum": 1,
                "versionPriority": 1, "service": { "namespace": "a", "name": "b" } },
        });
        Extension::of(&serde_json::from_value(object).unwrap()).unwrap()
    }

    #[test]
    fn the_old_view_says_the_same() {
        let old = json!({ "resources": [
            { "name": "foos", "singularName": "foo", "namespaced": true, "kind": "Foo",
              "verbs": ["get"], "shortNames": ["f"] },
            { "name": "foos/status", "singularName": "", "namespaced": true, "kind": "Foo",
              "verbs": ["update"] },
            { "name": "foos/scale", "singularName": "", "namespaced": true, "kind": "Scale",
              "group": "autoscaling", "version": "v1", "verbs": ["get"] },
        ] });
        let kind = |kind: &str| json!({ "group": "example.com", "version": "v1", "kind": kind });
        let scale = json!({ "group": "autoscaling", "version": "v1", "kind": "Scale" });
        let expected = json!([{
            "resource": "foos", "singularResource": "foo", "scope": "Namespaced",
            "responseKind": kind("Foo"), "verbs": ["get"], "shortNames": ["f"],
            "subresources": [
                { "subresource": "status", "responseKind": kind("Foo"), "verbs": ["update"] },
                { "subresource": "scale", "responseKind": scale, "verbs": ["get"] },
            ],
        }]);
        assert_eq!(json!(legacy(&old, &extension())), expected);
        let mut strange = expected.clone();
        strange[0]["unknown"] = json!(1);
        let of = |group: &str, version: &str| {
            json!({ "metadata": { "name": group },
                "versions": [{ "version": version, "resources": strange }] })
        };
        let list = json!({ "items": [of("other", "v1"), of("example.com", "v1")] });
        assert_eq!(json!(aggregated(&list, &extension())), expected);
        let list = json!({ "items": [of("example.com", "v2")] });
        assert!(aggregated(&list, &extension()).is_empty());
    }
}
