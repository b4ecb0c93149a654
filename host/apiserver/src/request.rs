//! What a request asks for, read once from its method, path and query.

use http::{Method, Uri};
use percent_encoding::percent_decode_str;

/// What is done to a resource, as authorizers and metrics call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// As metrics spell it.
    pub(crate) fn metric(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::List => "LIST",
            Self::Watch => "WATCH",
            Self::Create => "POST",
            Self::Update => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::DeleteCollection => "DELETECOLLECTION",
        }
    }

    pub(crate) fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// A resource, or one object of it, or a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    /// Empty for cluster-scoped resources and for all namespaces.
    pub(crate) namespace: String,
    pub(crate) resource: String,
    /// Empty if the request is about the whole collection.
    pub(crate) name: String,
    /// Empty if the request is about the object itself.
    pub(crate) subresource: String,
}

/// What stands behind a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Resource(Verb, Target),
    /// Discovery, health, metrics and everything else.
    Path,
}

impl Route {
    /// Reads the path below `/api` or `/apis`; the query only tells lists from watches.
    pub(crate) fn read(method: &Method, path: &str, params: &Params) -> Self {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty()).map(decode);
        let group = match segments.next().as_deref() {
            Some("api") => String::new(),
            Some("apis") => match segments.next() {
                Some(group) => group,
                None => return Self::Path,
            },
            _ => return Self::Path,
        };
        let Some(version) = segments.next() else { return Self::Path };
        let rest: Vec<String> = segments.collect();
        let mut target = Target { group, version, ..Target::default() };
        let mut rest = rest.into_iter().peekable();
        let Some(mut first) = rest.next() else { return Self::Path };
        // Before the query could say it, the path did.
        let watched = first == "watch" && rest.peek().is_some();
        if watched {
            first = rest.next().unwrap_or_default();
        }
        if first == "namespaces" {
            let namespace = rest.next().unwrap_or_default();
            match rest.next() {
                // The namespaces themselves, and what hangs on one of them.
                None => (target.resource, target.name) = (first, namespace),
                Some(part) if is_namespace_part(&part) && rest.peek().is_none() => {
                    (target.resource, target.name, target.subresource) = (first, namespace, part);
                }
                Some(resource) => (target.resource, target.namespace) = (resource, namespace),
            }
        } else {
            target.resource = first;
        }
        if let Some(name) = rest.next() {
            target.name = name;
            // What follows on a proxy is for whoever is behind it.
            target.subresource = match rest.next_if_eq("proxy") {
                Some(proxy) => proxy,
                None => rest.collect::<Vec<_>>().join("/"),
            };
        }
        let whole = target.name.is_empty();
        let verb = match *method {
            Method::GET | Method::HEAD if watched => Verb::Watch,
            _ if watched => return Self::Path,
            Method::GET | Method::HEAD if !whole => Verb::Get,
            Method::GET | Method::HEAD if params.flag("watch") => Verb::Watch,
            Method::GET | Method::HEAD => Verb::List,
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH => Verb::Patch,
            Method::DELETE if whole => Verb::DeleteCollection,
            Method::DELETE => Verb::Delete,
            _ => return Self::Path,
        };
        Self::Resource(verb, target)
    }
}

/// What hangs on a namespace itself, rather than being a resource inside it.
fn is_namespace_part(segment: &str) -> bool {
    matches!(segment, "status" | "finalize")
}

fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// The query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn read(uri: &Uri) -> Self {
        let Some(query) = uri.query().filter(|query| !query.is_empty()) else {
            return Self::default();
        };
        let pairs = form_urlencoded::parse(query.as_bytes());
        Self(pairs.map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
    }

    /// The first value of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The first value of that name, unless it is empty.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Kubernetes' reading of a boolean parameter: there, and not `false` or `0`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: Method, uri: &str) -> (Verb, String) {
        let uri: Uri = uri.parse().unwrap();
        match Route::read(&method, uri.path(), &Params::read(&uri)) {
            Route::Resource(verb, t) => (
                verb,
                [t.group, t.version, t.namespace, t.resource, t.name, t.subresource].join("|"),
            ),
            Route::Path => (Verb::Get, "path".into()),
        }
    }

    #[test]
    fn paths_are_resources() {
        for (method, uri, verb, target) in [
            (Method::GET, "/api/v1/pods", Verb::List, "|v1||pods||"),
            (Method::GET, "/api/v1/pods?watch=1", Verb::Watch, "|v1||pods||"),
            (Method::GET, "/api/v1/pods?watch=false", Verb::List, "|v1||pods||"),
            (Method::GET, "/api/v1/watch/namespaces/a/pods/p", Verb::Watch, "|v1|a|pods|p|"),
            (Method::GET, "/apis/apps/v1/watch/deployments", Verb::Watch, "apps|v1||deployments||"),
            (Method::POST, "/api/v1/watch/pods", Verb::Get, "path"),
            (Method::GET, "/api/v1/namespaces", Verb::List, "|v1||namespaces||"),
            (Method::PUT, "/api/v1/namespaces/a", Verb::Update, "|v1||namespaces|a|"),
            (
                Method::PUT,
                "/api/v1/namespaces/a/finalize",
                Verb::Update,
                "|v1||namespaces|a|finalize",
            ),
            (Method::POST, "/api/v1/namespaces/a/pods", Verb::Create, "|v1|a|pods||"),
            (Method::GET, "/api/v1/namespaces/a/pods/p/log", Verb::Get, "|v1|a|pods|p|log"),
            (
                Method::POST,
                "/api/v1/namespaces/a/services/http:s:80/proxy/x/y",
                Verb::Create,
                "|v1|a|services|http:s:80|proxy",
            ),
            (
                Method::DELETE,
                "/apis/apps/v1/namespaces/a/deployments",
                Verb::DeleteCollection,
                "apps|v1|a|deployments||",
            ),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                Verb::Patch,
                "apps|v1|a|deployments|d|scale",
            ),
            (Method::GET, "/apis/apps/v1", Verb::Get, "path"),
            (Method::GET, "/apis", Verb::Get, "path"),
            (Method::GET, "/healthz", Verb::Get, "path"),
        ] {
            assert_eq!(read(method, uri), (verb, target.to_owned()), "{uri}");
        }
    }
}
