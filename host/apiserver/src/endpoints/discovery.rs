//! What is served, as views of the table of kinds: the old way (`APIGroupList`,
//! `APIResourceList`) and aggregated.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::negotiate::{Media, Output, clauses, not_acceptable};
use super::{respond, subresources};
use crate::aggregator::{Group, GroupVersion};
use crate::error::{ApiError, Result};
use crate::registry::{ApiResource, Resource, Table};
use crate::request::Params;
use crate::server::Server;

const STORED: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// What can be done with objects of a resource.
fn verbs(resource: &Resource) -> &'static [&'static str] {
    match resource {
        Resource::Stored(kind) if kind.rules().observed => &["get", "list"],
        Resource::Stored(_) => STORED,
        Resource::Virtual(_) => &["create"],
    }
}

pub(super) async fn discover(
    server: &Server,
    params: &Params,
    request: &Parts,
    segments: &[&str],
) -> Result<Response<Body>> {
    let table = &server.registry.table();
    let groups = server.aggregator.groups(&*server.store, table).await?;
    if let (["api"] | ["apis"], Some(form)) = (segments, aggregated_form(request)) {
        let core = segments == ["api"];
        let groups = groups.iter().filter(|group| group.name.is_empty() == core);
        return aggregated(table, groups, form, &request.headers);
    }
    let mut named = groups.iter().filter(|group| !group.name.is_empty());
    let value = match segments {
        ["api"] => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs":
                [{ "clientCIDR": "0.0.0.0/0", "serverAddress": host(request) }],
        }),
        ["apis"] => {
            let groups: Vec<_> = named.map(|one| group(one, false)).collect();
            json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
        }
        ["api", version] => resource_list(table, "", version)?,
        ["apis", name] => {
            let known = named.find(|group| *group.name == **name);
            group(known.ok_or_else(ApiError::no_such_path)?, true)
        }
        ["apis", group, version] => resource_list(table, group, version)?,
        _ => return Err(ApiError::no_such_path()),
    };
    respond::value(StatusCode::OK, Output::negotiate(&request.headers, params)?, &value)
}

fn host(request: &Parts) -> String {
    let header = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = request.uri.authority().map(|authority| authority.as_str());
    header.or(authority).unwrap_or_default().to_owned()
}

fn group(group: &Group, with_type: bool) -> Value {
    let name = &group.name;
    let versions: Vec<_> = group
        .versions
        .iter()
        .map(|GroupVersion { name: version, .. }| {
            json!({ "groupVersion": format!("{name}/{version}"), "version": version })
        })
        .collect();
    let mut group =
        json!({ "name": name, "preferredVersion": versions.first(), "versions": versions });
    if with_type {
        group["kind"] = json!("APIGroup");
        group["apiVersion"] = json!("v1");
    }
    group
}

/// The old view of one group and version.
fn resource_list(table: &Table, group: &str, version: &str) -> Result<Value> {
    let mut list = vec![];
    for resource in table.resources() {
        let names = resource.names();
        if &*names.group != group || &*names.version != version {
            continue;
        }
        let mut entry = described(names, verbs(&resource));
        if let Resource::Stored(kind) = &resource
            && !kind.rules().observed
        {
            entry["storageVersionHash"] = json!(storage_version_hash(kind.hub().names()));
        }
        list.push(entry);
        if let Resource::Stored(kind) = &resource {
            for sub in subresources::of(&**kind) {
                let mut entry = json!({
                    "name": format!("{}/{}", names.plural, sub.name),
                    "singularName": "",
                    "namespaced": names.namespaced,
                    "kind": sub.kind,
                    "verbs": sub.verbs,
                });
                if (sub.group, sub.version) != (&*names.group, &*names.version) {
                    entry["group"] = json!(sub.group);
                    entry["version"] = json!(sub.version);
                }
                list.push(entry);
            }
        }
    }
    if list.is_empty() {
        return Err(ApiError::no_such_path());
    }
    let group_version =
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    list.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    Ok(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": list,
    }))
}

/// Tells apart the versions in which objects are kept: what is kept in one may have to be written
/// again when it changes.
fn storage_version_hash(names: &ApiResource) -> String {
    let ApiResource { group, version, kind, .. } = names;
    let hash = Sha256::digest(format!("{group}/{version}/{kind}"));
    STANDARD.encode(&hash[..8])
}

fn described(names: &ApiResource, verbs: &[&str]) -> Value {
    let mut entry = json!({
        "name": names.plural,
        "singularName": names.singular,
        "namespaced": names.namespaced,
        "kind": names.kind,
        "verbs": verbs,
    });
    named(&mut entry, names);
    entry
}

fn named(entry: &mut Value, names: &ApiResource) {
    if !names.short.is_empty() {
        entry["shortNames"] = json!(names.short);
    }
    if !names.categories.is_empty() {
        entry["categories"] = json!(names.categories);
    }
}

/// The form and version of aggregated discovery that the caller would rather have than the old
/// view.
fn aggregated_form(request: &Parts) -> Option<(Media, &'static str)> {
    let accept = request.headers.get(header::ACCEPT)?.to_str().ok()?;
    let best = clauses(accept).into_iter().find_map(|clause| {
        let media = match clause.media {
            "application/json" => Media::Json,
            "application/vnd.kubernetes.protobuf" => Media::Protobuf,
            _ => return None,
        };
        match (clause.get("as"), clause.get("g"), clause.get("v")) {
            (None, ..) => Some(None),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), asked) => {
                let version = ["v2", "v2beta1"].into_iter().find(|known| Some(*known) == asked);
                version.map(|version| Some((media, version)))
            }
            _ => None,
        }
    });
    best.flatten()
}

fn aggregated<'a>(
    table: &Table,
    groups: impl Iterator<Item = &'a Group>,
    (media, version): (Media, &'static str),
    asked: &HeaderMap,
) -> Result<Response<Body>> {
    let items: Vec<_> = groups
        .map(|Group { name: group, versions }| {
            let versions: Vec<_> =
                versions.iter().map(|version| aggregated_version(table, group, version)).collect();
            let mut metadata = Map::new();
            if !group.is_empty() {
                metadata.insert("name".into(), json!(group));
            }
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    });
    let json = serde_json::to_vec(&list).map_err(ApiError::internal)?;
    let hash = respond::hash(&json);
    let output = Output { media, ..Output::PLAIN };
    let mut response = respond::raw(StatusCode::OK, output, json.into())?;
    let name = output.content_type();
    let media = format!("{name};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    let media = HeaderValue::try_from(media).map_err(|_| not_acceptable(false))?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    Ok(respond::tagged(response, &hash, asked))
}

fn aggregated_version(table: &Table, group: &str, version: &GroupVersion) -> Value {
    let GroupVersion { name, extension } = version;
    if let Some(extension) = extension {
        let told = extension.told.load();
        return json!({
            "version": name,
            "resources": told.resources,
            "freshness": told.freshness.as_str(),
        });
    }
    let own = table.resources().filter(|resource| {
        let names = resource.names();
        *names.group == *group && names.version == *name
    });
    let resources: Vec<_> = own.map(|resource| aggregated_resource(&resource)).collect();
    json!({ "version": name, "resources": resources, "freshness": "Current" })
}

fn aggregated_resource(resource: &Resource) -> Value {
    let names = resource.names();
    let subresources = match resource {
        Resource::Stored(kind) => subresources::of(&**kind),
        Resource::Virtual(_) => vec![],
    };
    let kind = |group: &str, version: &str, kind: &str| json!({ "group": group, "version": version, "kind": kind });
    let mut entry = json!({
        "resource": names.plural,
        "responseKind": kind(&names.group, &names.version, &names.kind),
        "scope": if names.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": names.singular,
        "verbs": verbs(resource),
    });
    named(&mut entry, names);
    if !subresources.is_empty() {
        let subresources = subresources.iter().map(|sub| {
            json!({
                "subresource": sub.name,
                "responseKind": kind(sub.group, sub.version, sub.kind),
                "verbs": sub.verbs,
            })
        });
        entry["subresources"] = subresources.collect();
    }
    entry
}
