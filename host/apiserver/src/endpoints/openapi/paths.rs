//! The operations on kinds.

use serde_json::{Map, Value, json};

use super::Form;
use super::schemas::{
    BINDING, DELETE_OPTIONS, Definitions, EVICTION, PATCH, SCALE, STATUS, TOKEN_REQUEST,
    definition, gvk, is_kubernetes,
};
use crate::registry::{ApiResource, Kind};

const JSON: &[&str] = &["application/json", "application/yaml"];
const STREAMS: &[&str] = &["application/json", "application/yaml", "application/json;stream=watch"];
const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
    "application/strategic-merge-patch+json",
];

/// A parameter of the query.
struct Query {
    name: &'static str,
    r#type: &'static str,
    description: &'static str,
}

const fn query(name: &'static str, r#type: &'static str, description: &'static str) -> Query {
    Query { name, r#type, description }
}

const PRETTY: &[Query] = &[query("pretty", "string", "If 'true', the output is pretty printed.")];
const WRITE: &[Query] = &[
    query("dryRun", "string", "With 'All', nothing is kept of what is processed."),
    query("fieldManager", "string", "Name of the actor that makes these changes."),
    query(
        "fieldValidation",
        "string",
        "What to do about unknown or repeated fields: Ignore, Warn or Strict.",
    ),
];
const LIST: &[Query] = &[
    query("allowWatchBookmarks", "boolean", "Whether watches may send BOOKMARK events."),
    query("continue", "string", "Where a listing in pieces goes on."),
    query("fieldSelector", "string", "Restricts the list by fields."),
    query("labelSelector", "string", "Restricts the list by labels."),
    query("limit", "integer", "The most objects to return in one piece."),
    query("resourceVersion", "string", "The version that the answer is based on."),
    query("resourceVersionMatch", "string", "How resourceVersion is applied to lists."),
    query("sendInitialEvents", "boolean", "Whether a watch begins with the present state."),
    query("timeoutSeconds", "integer", "The longest that the call may take."),
    query("watch", "boolean", "Watch for changes instead of returning a list."),
];
const DELETE: &[Query] = &[
    query("dryRun", "string", "With 'All', nothing is really deleted."),
    query("gracePeriodSeconds", "integer", "Seconds that the object has to end."),
    query("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    query(
        "propagationPolicy",
        "string",
        "What becomes of dependents: Orphan, Background, Foreground.",
    ),
];

/// What is done, as `x-kubernetes-action` says, with the HTTP method and the verb of the
/// operation's id.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Get,
    List,
    Post,
    Put,
    Patch,
    Delete,
    DeleteCollection,
}

impl Action {
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Get => ("get", "get", "read"),
            Self::List => ("list", "get", "list"),
            Self::Post => ("post", "post", "create"),
            Self::Put => ("put", "put", "replace"),
            Self::Patch => ("patch", "patch", "patch"),
            Self::Delete => ("delete", "delete", "delete"),
            Self::DeleteCollection => ("deletecollection", "delete", "delete"),
        }
    }

    fn queries(self) -> Vec<&'static Query> {
        let own: &[&[Query]] = match self {
            Self::Get => &[],
            Self::List => &[LIST],
            Self::Post | Self::Put | Self::Patch => &[WRITE],
            Self::Delete => &[DELETE],
            Self::DeleteCollection => &[DELETE, LIST],
        };
        let mut all: Vec<&Query> = own.iter().copied().flatten().chain(PRETTY).collect();
        all.sort_by_key(|query| query.name);
        all.dedup_by_key(|query| query.name);
        all
    }
}

/// What an operation is about.
struct Subject<'a> {
    /// Definition, and what is said of it as group, version and kind.
    definition: &'a str,
    gvk: Value,
    /// The operation's id after its verb: `CoreV1` and `NamespacedPodStatus`.
    version: String,
    id: String,
    /// Whether a deletion answers with the object.
    returns_deleted: bool,
    /// Whether strategic patches are known.
    strategic: bool,
}

/// The paths of a kind below `root`.
pub(super) fn of_kind(
    kind: &dyn Kind,
    root: &str,
    definitions: &Definitions,
) -> Map<String, Value> {
    let names = kind.names();
    let ApiResource { group, version, kind: name, plural, .. } = names;
    let (group, version, name) = (&**group, &**version, &**name);
    let namespaced = names.namespaced;
    let own = definition(names);
    let package = pascal(if group.is_empty() { "core" } else { short(group) });
    let scope = if namespaced { "Namespaced" } else { "" };
    let whence = format!("{package}{}", pascal(version));
    let id = |end: &str| format!("{scope}{name}{end}");
    let subject = |end: &str| Subject {
        definition: &own,
        gvk: gvk(group, version, name),
        version: whence.clone(),
        id: id(end),
        returns_deleted: kind.rules().returns_deleted,
        strategic: is_kubernetes(group) && kind.definition().is_none(),
    };
    let foreign = |definition, gvk, end: &str| Subject {
        definition,
        gvk,
        version: whence.clone(),
        id: id(end),
        returns_deleted: false,
        strategic: is_kubernetes(group) && kind.definition().is_none(),
    };
    let base = if namespaced {
        format!("/{root}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("/{root}/{plural}")
    };
    let one = format!("{base}/{{name}}");
    // Namespaces go one by one.
    let one_by_one = (group, name) == ("", "Namespace");
    let whole = &[Action::List, Action::Post, Action::DeleteCollection];
    let whole = if one_by_one { &whole[..2] } else { whole };
    let single = [Action::Get, Action::Put, Action::Patch, Action::Delete];
    let part = [Action::Get, Action::Put, Action::Patch];
    let mut paths = Map::new();
    if kind.rules().observed {
        paths.insert(base.clone(), item(&base, &subject(""), &[Action::List], definitions));
        paths.insert(one.clone(), item(&one, &subject(""), &[Action::Get], definitions));
        return paths;
    }
    let mut add = |path: &str, subject: &Subject<'_>, actions: &[Action]| {
        paths.insert(path.into(), item(path, subject, actions, definitions));
    };
    add(&base, &subject(""), whole);
    add(&one, &subject(""), &single);
    if namespaced {
        let everywhere = Subject { id: format!("{name}ForAllNamespaces"), ..subject("") };
        add(&format!("/{root}/{plural}"), &everywhere, &[Action::List]);
    }
    if (group, name) == ("certificates.k8s.io", "CertificateSigningRequest") {
        add(&format!("{one}/approval"), &subject("Approval"), &part);
    }
    if names.status {
        add(&format!("{one}/status"), &subject("Status"), &part);
    }
    if kind.rules().scalable {
        let scale = foreign(SCALE, gvk("autoscaling", "v1", "Scale"), "Scale");
        add(&format!("{one}/scale"), &scale, &part);
    }
    if (group, name) == ("", "Pod") {
        let binding = foreign(BINDING, gvk("", "v1", "Binding"), "Binding");
        add(&format!("{one}/binding"), &binding, &[Action::Post]);
        let eviction = foreign(EVICTION, gvk("policy", "v1", "Eviction"), "Eviction");
        add(&format!("{one}/eviction"), &eviction, &[Action::Post]);
    }
    if (group, name) == ("", "ServiceAccount") {
        let gvk = gvk("authentication.k8s.io", "v1", "TokenRequest");
        let token = foreign(TOKEN_REQUEST, gvk, "Token");
        add(&format!("{one}/token"), &token, &[Action::Post]);
    }
    if one_by_one {
        add(&format!("{one}/finalize"), &subject("Finalize"), &[Action::Put]);
    }
    paths
}

/// The path of a kind whose objects are not kept: they are sent, and answered.
pub(super) fn of_question(
    names: &ApiResource,
    root: &str,
    definitions: &Definitions,
) -> Map<String, Value> {
    let ApiResource { group, version, kind, plural, namespaced, .. } = names;
    let package = pascal(if group.is_empty() { "core" } else { short(group) });
    let scope = if *namespaced { "Namespaced" } else { "" };
    let path = if *namespaced {
        format!("/{root}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("/{root}/{plural}")
    };
    let subject = Subject {
        definition: &definition(names),
        gvk: gvk(group, version, kind),
        version: format!("{package}{}", pascal(version)),
        id: format!("{scope}{kind}"),
        returns_deleted: false,
        strategic: false,
    };
    let item = item(&path, &subject, &[Action::Post], definitions);
    [(path, item)].into_iter().collect()
}

/// `rbac.authorization` of `rbac.authorization.k8s.io`, all of other groups.
fn short(group: &str) -> &str {
    group.strip_suffix(".k8s.io").unwrap_or(group)
}

/// `CoracleDev` of `coracle.dev`.
fn pascal(text: &str) -> String {
    let word = |word: &str| {
        let mut chars = word.chars();
        let first = chars.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(chars).collect::<String>()
    };
    text.split(['.', '-']).map(word).collect()
}

fn item(path: &str, subject: &Subject<'_>, actions: &[Action], definitions: &Definitions) -> Value {
    let mut item = Map::new();
    for action in actions {
        let (_, method, _) = action.words();
        item.insert(method.into(), operation(*action, subject, definitions));
    }
    let named = [("namespace", "object name and auth scope"), ("name", "name of the object")];
    let parameters = named.into_iter().filter(|(name, _)| path.contains(&format!("{{{name}}}")));
    let parameters: Vec<_> = parameters
        .map(|(name, description)| {
            parameter(definitions.form, name, "path", "string", description, true)
        })
        .collect();
    if !parameters.is_empty() {
        item.insert("parameters".into(), json!(parameters));
    }
    item.into()
}

fn parameter(
    form: Form,
    name: &str,
    place: &str,
    r#type: &str,
    description: &str,
    required: bool,
) -> Value {
    let mut parameter = json!({
        "name": name,
        "in": place,
        "description": description,
        "uniqueItems": true,
    });
    if required {
        parameter["required"] = true.into();
    }
    match form {
        Form::V2 => parameter["type"] = r#type.into(),
        Form::V3 => {
            parameter["schema"] = json!({ "type": r#type, "uniqueItems": true });
            if let Some(map) = parameter.as_object_mut() {
                map.remove("uniqueItems");
            }
        }
    }
    parameter
}

fn operation(action: Action, subject: &Subject<'_>, definitions: &Definitions) -> Value {
    let (name, _, verb) = action.words();
    let form = definitions.form;
    let answer = match action {
        Action::List => format!("{}List", subject.definition),
        Action::Delete if subject.returns_deleted => subject.definition.into(),
        Action::DeleteCollection | Action::Delete => STATUS.into(),
        _ => subject.definition.into(),
    };
    let body = match action {
        Action::Get | Action::List => None,
        Action::Post | Action::Put => Some(subject.definition),
        Action::Patch => Some(PATCH),
        Action::Delete | Action::DeleteCollection => Some(DELETE_OPTIONS),
    };
    let codes: &[(&str, &str)] = match action {
        Action::Post => &[("200", "OK"), ("201", "Created"), ("202", "Accepted")],
        Action::Put | Action::Patch => &[("200", "OK"), ("201", "Created")],
        Action::Delete => &[("200", "OK"), ("202", "Accepted")],
        _ => &[("200", "OK")],
    };
    let produced = if action == Action::List { STREAMS } else { JSON };
    let mut parameters: Vec<_> = action
        .queries()
        .into_iter()
        .map(|each| parameter(form, each.name, "query", each.r#type, each.description, false))
        .collect();
    if action == Action::Patch {
        let description = "Whether conflicts with other managers are overruled.";
        parameters.push(parameter(form, "force", "query", "boolean", description, false));
    }
    let collection = if action == Action::DeleteCollection { "Collection" } else { "" };
    let mut operation = json!({
        "operationId": format!("{verb}{}{collection}{}", subject.version, subject.id),
        "description": format!("{verb} {}", subject.gvk["kind"].as_str().unwrap_or_default()),
        "x-kubernetes-action": name,
        "x-kubernetes-group-version-kind": subject.gvk,
    });
    let consumed: &[&str] = match action {
        Action::Patch if subject.strategic => PATCHES,
        Action::Patch => &PATCHES[..3],
        _ => &["*/*"],
    };
    if let Some(body) = body {
        let required = !matches!(action, Action::Delete | Action::DeleteCollection);
        let schema = definitions.refer(body);
        match form {
            Form::V2 => {
                let mut body = json!({ "name": "body", "in": "body", "schema": schema });
                if required {
                    body["required"] = true.into();
                }
                parameters.push(body);
            }
            Form::V3 => {
                let mut request = json!({ "content": content(consumed, &schema) });
                if required {
                    request["required"] = true.into();
                }
                operation["requestBody"] = request;
            }
        }
    }
    let schema = definitions.refer(&answer);
    let mut responses: Map<_, _> = codes
        .iter()
        .map(|(code, text)| {
            let response = match form {
                Form::V2 => json!({ "description": text, "schema": schema }),
                Form::V3 => json!({ "description": text, "content": content(produced, &schema) }),
            };
            ((*code).to_owned(), response)
        })
        .collect();
    responses.insert("401".into(), json!({ "description": "Unauthorized" }));
    operation["responses"] = responses.into();
    operation["parameters"] = parameters.into();
    if form == Form::V2 {
        operation["consumes"] = json!(consumed);
        operation["produces"] = json!(produced);
        operation["schemes"] = json!(["https"]);
    }
    operation
}

fn content(types: &[&str], schema: &Value) -> Value {
    let content = types.iter().map(|each| ((*each).to_owned(), json!({ "schema": schema })));
    content.collect::<Map<_, _>>().into()
}
