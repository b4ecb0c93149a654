//! A write in the forms that webhooks and expressions see it in, each made when first asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use coracle_cel::Check;
use coracle_store::Entry;
use serde_json::{Value, json};

use super::matching::{Matching, Subject};
use crate::admission::{Attributes, Operation};
use crate::error::{ApiError, Result};
use crate::registry::{ApiResource, Facts, Kind, Object, key};

/// A write under review.
pub(super) struct Review<'a> {
    pub(super) attributes: &'a Attributes<'a>,
    object: Option<&'a dyn Object>,
    old: Option<&'a dyn Object>,
    /// The version that was asked for, then those that are equivalent.
    versions: Vec<Arc<dyn Kind>>,
    forms: Vec<(usize, Arc<Form>)>,
    namespace: Option<Arc<Entry>>,
}

/// A write in one version of its kind.
pub(super) struct Form {
    /// Null for a deletion.
    pub(super) object: Value,
    /// Null for a creation.
    pub(super) old: Value,
    /// `admission.k8s.io/v1 AdmissionRequest` but for its uid and the objects.
    pub(super) request: Value,
}

impl<'a> Review<'a> {
    pub(super) fn new(
        attributes: &'a Attributes<'a>,
        object: Option<&'a dyn Object>,
        old: Option<&'a dyn Object>,
    ) -> Self {
        let write = attributes.write;
        let (stored, requested) = (write.kind.names(), write.served.names());
        let table = write.server.registry.table();
        let same = |kind: &&Arc<dyn Kind>| {
            let hub = kind.hub().names();
            hub.group == stored.group && hub.plural == stored.plural
        };
        let mut versions: Vec<_> = table.kinds().iter().filter(same).cloned().collect();
        versions.sort_by_key(|kind| kind.names() != requested);
        Self { attributes, object, old, versions, forms: vec![], namespace: None }
    }

    pub(super) fn names(&self) -> &ApiResource {
        self.attributes.write.kind.names()
    }

    /// Whether the write is about a Namespace, which is counted to itself.
    fn is_namespace(&self) -> bool {
        let names = self.names();
        names.group.is_empty() && &*names.plural == "namespaces"
    }

    /// The namespace of the request.
    pub(super) fn namespace(&self) -> &str {
        if self.is_namespace() { self.attributes.name } else { self.attributes.write.namespace }
    }

    /// In which version the write is matched, if it is.
    pub(super) async fn matches(&mut self, matching: &Matching) -> Result<Option<usize>> {
        let names: Vec<_> = self.versions.iter().map(|kind| kind.names()).collect();
        let subject = Subject {
            operation: self.attributes.operation,
            name: self.attributes.name,
            subresource: self.attributes.write.subresource,
            namespaced: !self.attributes.write.namespace.is_empty(),
        };
        let Some(version) = matching.version(subject, &names) else { return Ok(None) };
        let labels = [self.object, self.old].into_iter();
        let labels = labels.map(|object| object.and_then(|object| object.meta().labels.as_ref()));
        // What is not there has no labels, and a selector may want that.
        let present = [self.object.is_some(), self.old.is_some()];
        let labels = labels.zip(present).filter(|(_, there)| *there).map(|(labels, _)| labels);
        if !matching.selects(labels) {
            return Ok(None);
        }
        let selected = !matching.selects_namespaces()
            || self.namespace().is_empty() && !self.is_namespace()
            || matching.in_namespace(&self.namespace_labels().await?);
        Ok(selected.then_some(version))
    }

    async fn namespace_labels(&mut self) -> Result<BTreeMap<String, String>> {
        if self.is_namespace()
            && let Some(object) = self.object
        {
            return Ok(object.meta().labels.clone().unwrap_or_default());
        }
        let server = self.attributes.write.server;
        let Some(kind) = server.registry.kind("", "namespaces") else { return Ok(BTreeMap::new()) };
        let entry = self.namespace_entry().await?;
        let facts = entry.as_ref().and_then(|entry| Facts::of(entry, &*kind));
        Ok(facts.map(|facts| facts.labels.clone()).unwrap_or_default())
    }

    async fn namespace_entry(&mut self) -> Result<Option<Arc<Entry>>> {
        let name = self.namespace();
        if name.is_empty() || self.namespace.is_some() {
            return Ok(self.namespace.clone());
        }
        let server = self.attributes.write.server;
        let Some(kind) = server.registry.kind("", "namespaces") else { return Ok(None) };
        let entry = server.store.get(&key(kind.names(), "", name)).await?;
        let missing = || ApiError::not_found("", "namespaces", name);
        self.namespace = Some(entry.ok_or_else(missing)?);
        Ok(self.namespace.clone())
    }

    /// The variable `namespaceObject`: null for what is in no namespace.
    pub(super) async fn namespace_object(&mut self) -> Result<Value> {
        if self.is_namespace() {
            return Ok(Value::Null);
        }
        let Some(entry) = self.namespace_entry().await? else { return Ok(Value::Null) };
        let mut namespace: Value =
            serde_json::from_slice(&entry.value).map_err(ApiError::internal)?;
        if let Some(metadata) = namespace["metadata"].as_object_mut() {
            metadata.remove("managedFields");
            metadata.remove("ownerReferences");
        }
        Ok(namespace)
    }

    /// The write in one of its versions.
    pub(super) async fn form(&mut self, version: usize) -> Result<Arc<Form>> {
        if let Some((_, form)) = self.forms.iter().find(|(known, _)| *known == version) {
            return Ok(form.clone());
        }
        let kind = self.kind(version)?;
        let form = Arc::new(Form {
            object: shown(&*kind, self.object).await?,
            old: shown(&*kind, self.old).await?,
            request: self.request(kind.names()),
        });
        self.forms.push((version, form.clone()));
        Ok(form)
    }

    /// The kind in one of its versions.
    pub(super) fn kind(&self, version: usize) -> Result<Arc<dyn Kind>> {
        self.versions.get(version).cloned().ok_or_else(ApiError::no_such_path)
    }

    fn request(&self, matched: &ApiResource) -> Value {
        let write = self.attributes.write;
        let requested = write.served.names();
        let kind = |names: &ApiResource| json!({ "group": *names.group, "version": *names.version, "kind": *names.kind });
        let resource = |names: &ApiResource| json!({ "group": *names.group, "version": *names.version, "resource": *names.plural });
        let (operation, options) = match self.attributes.operation {
            Operation::Create => ("CREATE", "CreateOptions"),
            Operation::Update => ("UPDATE", "UpdateOptions"),
            Operation::Delete => ("DELETE", "DeleteOptions"),
        };
        let mut options = json!({ "kind": options, "apiVersion": "meta.k8s.io/v1" });
        if write.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        let identity = write.identity;
        let mut user = json!({ "username": identity.name, "groups": identity.groups });
        if !identity.uid.is_empty() {
            user["uid"] = json!(identity.uid);
        }
        if !identity.extra.is_empty() {
            let extra: BTreeMap<_, _> = identity.extra.iter().cloned().collect();
            user["extra"] = json!(extra);
        }
        let mut request = json!({
            "kind": kind(matched),
            "resource": resource(matched),
            "requestKind": kind(requested),
            "requestResource": resource(requested),
            "operation": operation,
            "userInfo": user,
            "dryRun": write.dry_run,
            "options": options,
        });
        for (field, value) in [
            ("subResource", write.subresource),
            ("requestSubResource", write.subresource),
            ("name", self.attributes.name),
            ("namespace", self.namespace()),
        ] {
            if !value.is_empty() {
                request[field] = json!(value);
            }
        }
        request
    }

    /// What `authorizer.requestResource` asks about.
    pub(super) fn check(&self) -> Check {
        let (write, names) = (self.attributes.write, self.attributes.write.served.names());
        Check {
            group: names.group.to_string(),
            resource: names.plural.to_string(),
            subresource: write.subresource.to_owned(),
            namespace: self.namespace().to_owned(),
            name: self.attributes.name.to_owned(),
            ..Check::default()
        }
    }
}

/// An object in a version's form.
async fn shown(kind: &dyn Kind, object: Option<&dyn Object>) -> Result<Value> {
    let Some(object) = object else { return Ok(Value::Null) };
    let bytes = Bytes::from(object.json().map_err(ApiError::internal)?);
    let shown = kind.shown(bytes).await?;
    serde_json::from_slice(&shown).map_err(ApiError::internal)
}

/// The object that `json`, an object in a version's form, becomes: completed as one that a caller
/// sends.
pub(super) async fn read(kind: &dyn Kind, json: &Value) -> Result<Box<dyn Object>> {
    let bytes = serde_json::to_vec(json).map_err(ApiError::internal)?;
    let mut object = kind.decode(&bytes)?.object;
    kind.default(&mut *object);
    match kind.conversion() {
        Some(conversion) => Ok(conversion.to_hub(object).await?),
        None => Ok(object),
    }
}
