//! A version of a kind that is defined at run time, as the verbs see it.

use std::sync::Arc;

use coracle_kinds::validation;
use coracle_kinds::{Error, Result};
use coracle_schema::Schema as MergeSchema;
use coracle_schema::managed::cut;
use coracle_schema::structural::{Structural, default, metadata, prune};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::checks::Checks;
use super::column::{Columns, text};
use super::conversion::Strategy;
use super::jsonpath::JsonPath;
use super::object::CustomResource;
use super::openapi;
use crate::error::Cause;
use crate::registry::{ApiResource, Column, Conversion, Decoded, Kind, Object, Part, Rules, Scale};

/// A version of a kind.
pub(crate) struct CustomKind {
    pub(super) names: ApiResource,
    rules: Rules,
    pub(super) checks: Arc<Checks>,
    columns: Columns,
    selectable: Vec<String>,
    selected: Vec<Option<JsonPath>>,
    definition: Value,
    /// How objects are merged.
    fields: MergeSchema,
    deprecation: Option<String>,
    retired: CancellationToken,
    /// The stored version, if it is not that itself.
    pub(super) hub: Option<Arc<CustomKind>>,
    /// How versions become each other.
    pub(super) strategy: Strategy,
    /// Whether objects may have been stored in other versions.
    mixed: bool,
}

/// Where an object came from that was not sent in the stored version.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A version whose rules it has to obey.
    Rules(Arc<Checks>),
    /// A version whose rules it was found to obey.
    Checked,
}

impl CustomKind {
    /// The kind of a version of `crd`, until it is `retired`.
    pub(super) fn new(
        crd: &CustomResourceDefinition,
        version: &CustomResourceDefinitionVersion,
        hub: Option<Arc<Self>>,
        strategy: Strategy,
        retired: CancellationToken,
    ) -> Result<Self, String> {
        let accepted = crd.status.as_ref().and_then(|status| status.accepted_names.as_ref());
        let called = accepted.unwrap_or(&crd.spec.names);
        let parts = version.subresources.as_ref();
        let names = ApiResource {
            group: crd.spec.group.as_str().into(),
            version: version.name.as_str().into(),
            kind: called.kind.as_str().into(),
            list: called.list_kind.as_deref().unwrap_or_default().into(),
            plural: called.plural.as_str().into(),
            singular: called.singular.as_deref().unwrap_or_default().into(),
            short: called.short_names.clone().unwrap_or_default(),
            categories: called.categories.clone().unwrap_or_default(),
            namespaced: crd.spec.scope == "Namespaced",
            status: parts.is_some_and(|parts| parts.status.is_some()),
        };
        let props = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        let mut schema = match props {
            Some(props) => Structural::new(props)?,
            None => Structural::default(),
        };
        let free = props.is_none() || crd.spec.preserve_unknown_fields == Some(true);
        if free {
            schema.preserve_unknown_fields = true;
        }
        let stored = crd.status.as_ref().and_then(|status| status.stored_versions.as_ref());
        let mixed = stored.is_some_and(|stored| stored.len() > 1);
        let written = serde_json::to_value(props).unwrap_or_default();
        let scale = parts.and_then(|parts| parts.scale.clone());
        let rules = Rules {
            scalable: scale.is_some(),
            unconditional_update: false,
            terminating: super::conditions::is_true(crd, "Terminating"),
            any_finalizer: true,
            ..Rules::USUAL
        };
        let fields = version.selectable_fields.iter().flatten();
        let (selectable, selected) = fields
            .map(|field| {
                let name = field.json_path.trim_start_matches('.').to_owned();
                (name, JsonPath::new(&field.json_path))
            })
            .unzip();
        let deprecation = version.deprecated.unwrap_or_default().then(|| {
            let usual = || format!("{} {} is deprecated", names.api_version(), names.kind);
            version.deprecation_warning.clone().unwrap_or_else(usual)
        });
        let definition = openapi::definition(&names, &written);
        let fields = if free {
            MergeSchema::deduced()
        } else {
            MergeSchema::of_custom_resource(&definition)
        };
        Ok(Self {
            definition,
            fields,
            columns: Columns::new(
                version.additional_printer_columns.as_deref().unwrap_or_default(),
            ),
            checks: Arc::new(Checks::new(&names, schema, &written, scale)),
            names,
            rules,
            selectable,
            selected,
            deprecation,
            retired,
            hub,
            strategy,
            mixed,
        })
    }

    fn schema_of(&self) -> &Structural {
        &self.checks.schema
    }

    /// Takes away from a tree what this version does not know.
    pub(super) fn prune(&self, content: &mut Value) {
        let schema = self.schema_of();
        prune::prune(content, schema, true);
        if self.checks.embeds {
            metadata::coerce(schema, content, true);
        }
    }

    /// Brings a tree into the form of this version: nothing unknown, defaults in place.
    pub(super) fn coerce(&self, content: &mut Value) {
        self.prune(content);
        let schema = self.schema_of();
        if self.checks.defaults {
            default::default(content, schema);
        }
    }

    /// The rules that an object has yet to obey.
    fn checks_of<'a>(&'a self, object: &'a CustomResource) -> Option<&'a Checks> {
        match &object.origin {
            None => Some(&self.checks),
            Some(Origin::Rules(checks)) => Some(checks),
            Some(Origin::Checked) => None,
        }
    }

    /// The error for a body that cannot be read.
    fn unreadable(&self, error: &serde_json::Error) -> Error {
        let ApiResource { kind, version, .. } = &self.names;
        let message =
            format!("{kind} in version {version:?} cannot be handled as a {kind}: json: {error}");
        Error::Malformed(message)
    }

    fn resource(&self, metadata: ObjectMeta, content: Map<String, Value>) -> CustomResource {
        CustomResource {
            api_version: self.names.api_version(),
            kind: self.names.kind.to_string(),
            metadata,
            content,
            origin: None,
        }
    }
}

/// `object` as a custom resource. Others cannot reach a kind's methods.
macro_rules! custom {
    ($object:expr $(, $or:expr)?) => {
        match $object.downcast_ref::<CustomResource>() {
            Some(object) => object,
            None => return $($or)?,
        }
    };
    (mut $object:expr) => {
        match $object.downcast_mut::<CustomResource>() {
            Some(object) => object,
            None => return,
        }
    };
}

impl Kind for CustomKind {
    fn names(&self) -> &ApiResource {
        &self.names
    }

    fn conversion(&self) -> Option<&dyn Conversion> {
        self.hub.as_ref().map(|_| self as &dyn Conversion)
    }

    fn upgrade(&self) -> Option<&dyn Conversion> {
        let asked =
            self.hub.is_none() && self.mixed && matches!(self.strategy, Strategy::Webhook(_));
        asked.then_some(self)
    }

    fn rules(&self) -> Rules {
        self.rules
    }

    fn retired(&self) -> Option<&CancellationToken> {
        Some(&self.retired)
    }

    fn deprecation(&self) -> Option<&str> {
        self.deprecation.as_deref()
    }

    fn definition(&self) -> Option<&Value> {
        Some(&self.definition)
    }

    fn decode(&self, json: &[u8]) -> Result<Decoded> {
        let unreadable = |error| self.unreadable(&error);
        let mut complaints = validation::repeated_fields(json);
        let mut content: Map<String, Value> = serde_json::from_slice(json).map_err(unreadable)?;
        let kind = content.remove("kind");
        let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
        if kind.is_empty() {
            let body = String::from_utf8_lossy(json);
            let message = format!("Object 'Kind' is missing in '{}'", body.trim());
            return Err(Error::Malformed(message));
        }
        let version = content.remove("apiVersion");
        let version = version.as_ref().and_then(Value::as_str).unwrap_or_default();
        let expected = self.names.api_version();
        if version != expected {
            let message = format!(
                "the API version in the data ({version}) does not match the expected API version \
                 ({expected})"
            );
            return Err(Error::Malformed(message));
        }
        let metadata = match content.remove("metadata") {
            None | Some(Value::Null) => ObjectMeta::default(),
            Some(metadata) => serde_ignored::deserialize(metadata, |path| {
                complaints.push(format!("unknown field \"metadata.{path}\""));
            })
            .map_err(unreadable)?,
        };
        if kind != &*self.names.kind {
            let name = metadata.name.as_deref().unwrap_or_default();
            let detail = format!("must be {}", self.names.kind);
            let cause = Cause::invalid("kind", kind, &detail);
            return Err(Error::Invalid {
                group: self.names.group.to_string(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                causes: vec![cause],
            });
        }
        let mut content = Value::Object(content);
        let unknown = prune::prune_and_tell(&mut content, self.schema_of(), true);
        complaints.extend(unknown.iter().map(|path| format!("unknown field {path:?}")));
        if self.checks.embeds {
            let coerced = metadata::coerce(self.schema_of(), &mut content, false);
            complaints.extend(coerced.unknown.iter().map(|path| format!("unknown field {path:?}")));
            if let Some(fault) = coerced.faults.first() {
                let message = format!("{}: {}", fault.field, fault.message);
                return Err(Error::Malformed(message));
            }
        }
        let Value::Object(content) = content else { return Err(Error::internal("no object")) };
        Ok(Decoded { object: Box::new(self.resource(metadata, content)), complaints })
    }

    fn restore(&self, json: &[u8]) -> Result<Box<dyn Object>> {
        let broken = |error| Error::Internal(format!("stored object: {error}"));
        let (json, _) = cut(json);
        let mut content: Map<String, Value> = serde_json::from_slice(&json).map_err(broken)?;
        content.remove("kind");
        content.remove("apiVersion");
        let metadata = content.remove("metadata").unwrap_or_default();
        let metadata = serde_json::from_value(metadata).map_err(broken)?;
        let mut content = Value::Object(content);
        self.coerce(&mut content);
        let Value::Object(content) = content else { return Err(Error::internal("no object")) };
        Ok(Box::new(self.resource(metadata, content)))
    }

    fn default(&self, object: &mut dyn Object) {
        let object = custom!(mut object);
        if self.checks.defaults {
            let mut content = Value::Object(std::mem::take(&mut object.content));
            default::default(&mut content, self.schema_of());
            if let Value::Object(content) = content {
                object.content = content;
            }
        }
    }

    fn prepare_create(&self, object: &mut dyn Object) {
        let object = custom!(mut object);
        if self.names.status {
            object.content.remove("status");
        }
        object.metadata.generation = Some(1);
    }

    fn prepare_update(&self, new: &mut dyn Object, old: &dyn Object, part: Part) {
        let new = custom!(mut new);
        let old = custom!(old);
        let before = old.metadata.generation.unwrap_or(1);
        match part {
            Part::Main => {
                if self.names.status {
                    match old.content.get("status") {
                        Some(status) => {
                            new.content.insert("status".into(), status.clone());
                        }
                        None => {
                            new.content.remove("status");
                        }
                    }
                }
                let changed = new.content != old.content;
                new.metadata.generation = Some(before + i64::from(changed));
            }
            Part::Status => {
                let status = new.content.remove("status");
                let version = new.metadata.resource_version.take();
                let managed = new.metadata.managed_fields.take();
                new.metadata = old.metadata.clone();
                new.metadata.resource_version = version;
                new.metadata.managed_fields = managed;
                new.content = old.content.clone();
                match status {
                    Some(status) => {
                        new.content.insert("status".into(), status);
                    }
                    None => {
                        new.content.remove("status");
                    }
                }
            }
        }
    }

    fn validate(&self, object: &dyn Object) -> Vec<Cause> {
        let object = custom!(object, vec![]);
        self.checks_of(object).map_or(vec![], |checks| checks.faults(object, None, Part::Main))
    }

    fn validate_update(&self, new: &dyn Object, old: &dyn Object, part: Part) -> Vec<Cause> {
        let (new, old) = (custom!(new, vec![]), custom!(old, vec![]));
        self.checks_of(new).map_or(vec![], |checks| checks.faults(new, Some(old), part))
    }

    fn validate_change(&self, new: &dyn Object, old: &dyn Object, part: Part) -> Vec<Cause> {
        self.validate_update(new, old, part)
    }

    fn warnings(&self, new: &dyn Object, old: Option<&dyn Object>) -> Vec<String> {
        let known = |finalizer: &String| {
            let old = old.and_then(|old| old.meta().finalizers.as_ref());
            old.is_some_and(|old| old.contains(finalizer))
        };
        let standard = ["orphan", "foregroundDeletion"];
        let added = new.meta().finalizers.iter().flatten().filter(|finalizer| !known(finalizer));
        let odd = added.filter(|f| !f.contains('/') && !standard.contains(&f.as_str()));
        odd.map(|finalizer| {
            format!(
                "metadata.finalizers: {finalizer:?}: prefer a domain-qualified finalizer name \
                 including a path (/) to avoid accidental conflicts with other finalizer writers"
            )
        })
        .collect()
    }

    fn validate_name(&self, name: &str) -> Vec<String> {
        validation::dns_subdomain(name)
    }

    fn selectable(&self) -> &[String] {
        &self.selectable
    }

    fn select(&self, object: &dyn Object) -> Vec<String> {
        let object = custom!(object, vec![]);
        if self.selected.is_empty() {
            return vec![];
        }
        let tree = object.tree();
        let found = self.selected.iter().map(|path| {
            let value = path.as_ref().and_then(|path| path.first(&tree));
            value.filter(|value| !value.is_null()).map(text).unwrap_or_default()
        });
        found.collect()
    }

    fn columns(&self) -> &[Column] {
        &self.columns.shown
    }

    fn row(&self, object: &dyn Object) -> Vec<Value> {
        let object = custom!(object, vec![]);
        self.columns.row(object.metadata.name.as_deref().unwrap_or_default(), &object.tree())
    }

    fn rename(&self, object: &mut dyn Object, name: String) {
        object.meta_mut().name = Some(name);
    }

    fn grace(&self, _object: &dyn Object) -> i64 {
        0
    }

    fn fields(&self) -> MergeSchema {
        self.fields.clone()
    }

    fn scale_field(&self) -> Vec<String> {
        self.checks.scale_field()
    }

    fn scale(&self, object: &dyn Object) -> Option<Scale> {
        self.checks.scale_of(custom!(object, None))
    }

    fn set_scale(&self, object: &mut dyn Object, desired: i32) {
        self.checks.set_scale(custom!(mut object), desired);
    }

    fn schema(&self, _generator: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}
