//! Server-side apply: a configuration that says what its applier wants of an object, merged into it
//! with the owners of fields kept (`application/apply-patch+yaml`).

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use coracle_api::clock;
use coracle_kinds::validation;
use coracle_schema::managed::{Applied, ApplyError, Conflicts, Managed, Owner, cut};
use coracle_schema::tree::Map;
use coracle_schema::typed::validate;
use coracle_schema::{Schema, Tree};
use coracle_store::Entry;
use http::{Response, StatusCode};

use super::decode::complete;
use super::options::{FieldValidation, WriteOptions};
use super::{Call, body, respond, scale, update};
use crate::authz::{Attributes, Decision, ResourceAttributes};
use crate::error::{ApiError, Cause, CauseReason, Reason, Result};
use crate::registry::{
    self, ApiResource, Change, Decoded, Kind, Object, Owners, Part, Settled, Write, text,
};

/// The media type of applied configurations.
pub(super) const MEDIA_TYPE: &str = "application/apply-patch+yaml";

/// Applies a configuration to an object or what of it a subresource is about.
pub(super) async fn apply(
    call: &Call,
    kind: &dyn Kind,
    part: Option<Part>,
    body: Body,
) -> Result<Response<Body>> {
    let output = call.output(kind.names())?;
    let options = WriteOptions::read_patch(&call.params, true)?;
    let config = Config::read(call, body, &options).await?;
    config.is_of(kind.names())?;
    let write = call.write(kind, options.dry_run);
    let mut applying = Applying { call, write, config: config.json, owners: Owners::Compared };
    let name = &call.target.name;
    let (written, created) = registry::update(write, name, part, &mut applying).await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    respond::object(kind, status, output, written).await
}

/// Applies a configuration to an object's scale.
pub(super) async fn apply_scale(
    call: &Call,
    kind: &dyn Kind,
    body: Body,
) -> Result<Response<Body>> {
    let kind = kind.hub();
    let options = WriteOptions::read_patch(&call.params, true)?;
    let config = Config::read(call, body, &options).await?;
    config.is_of(&scale::resource())?;
    let tree = config.tree()?;
    let schema = coracle_schema::builtin::schema_of_kind("autoscaling", "v1", "Scale");
    check(&tree, &schema.unwrap_or_else(Schema::deduced))?;
    let write = call.write(kind, options.dry_run);
    let config = of_scaled(&tree, kind)?;
    let mut applying = Applying { call, write, config, owners: Owners::Compared };
    let part = Some(Part::Main);
    let (written, _) = registry::update(write, &call.target.name, part, &mut applying).await?;
    scale::answer(call, kind, &written)
}

/// What a configuration of a scale says of the object that is scaled.
fn of_scaled(config: &Tree<'_>, kind: &dyn Kind) -> Result<Bytes> {
    let mut object = Map::default();
    if let Some(replicas) = config.at(&["spec", "replicas"]) {
        let mut value = replicas.clone();
        for name in kind.scale_field().into_iter().rev() {
            object = Map::default();
            object.insert(name.into(), value);
            value = Tree::Map(std::mem::take(&mut object));
        }
        if let Tree::Map(map) = value {
            object = map;
        }
    }
    let names = kind.names();
    object.insert("apiVersion".into(), Tree::Text(names.api_version().into()));
    object.insert("kind".into(), Tree::Text(names.kind.to_string().into()));
    if let Some(metadata) = config.at(&["metadata"]) {
        object.insert("metadata".into(), metadata.clone());
    }
    serde_json::to_vec(&Tree::Map(object)).map(Bytes::from).map_err(ApiError::internal)
}

/// A configuration as it was sent.
struct Config {
    json: Bytes,
}

impl Config {
    async fn read(call: &Call, body: Body, options: &WriteOptions) -> Result<Self> {
        let sent = body::read(call, body).await?;
        let bad = |error: String| ApiError::bad_request(format!("error decoding YAML: {error}"));
        // JSON is YAML, and what kubectl sends.
        let json = if sent.trim_ascii_start().starts_with(b"{") && Tree::parse(&sent).is_ok() {
            sent
        } else {
            let json = body::yaml_to_json(&sent).map_err(|error| bad(error.to_string()))?;
            if !json.starts_with(b"{") {
                return Err(bad("error unmarshaling JSON: not an object".into()));
            }
            json
        };
        if options.field_validation != FieldValidation::Ignore {
            let repeated = validation::repeated_fields(&json);
            if !repeated.is_empty() {
                let message = format!("error strict decoding YAML: {}", repeated.join(", "));
                if options.field_validation == FieldValidation::Strict {
                    return Err(ApiError::bad_request(message));
                }
                call.warnings.add(message);
            }
        }
        Ok(Self { json })
    }

    fn tree(&self) -> Result<Tree<'_>> {
        Tree::parse(&self.json).map_err(ApiError::internal)
    }

    /// Refuses a configuration of another kind than the path's.
    fn is_of(&self, names: &ApiResource) -> Result<()> {
        let tree = self.tree()?;
        let word = |name: &str| tree.at(&[name]).and_then(Tree::as_str).unwrap_or_default();
        if word("apiVersion") != names.api_version() || word("kind") != &*names.kind {
            return Err(ApiError::bad_request(format!("invalid object type: {}", gvk(&tree))));
        }
        if tree.at(&["metadata", "managedFields"]).is_some_and(|list| !matches!(list, Tree::Null)) {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        Ok(())
    }
}

/// `apps/v1, Kind=Deployment`.
fn gvk(tree: &Tree<'_>) -> String {
    let word = |name: &str| tree.at(&[name]).and_then(Tree::as_str).unwrap_or_default();
    let version = word("apiVersion");
    let slash = if version.contains('/') { "" } else { "/" };
    format!("{slash}{version}, Kind={}", word("kind"))
}

/// Refuses a configuration that is not of its schema's form.
fn check(config: &Tree<'_>, schema: &Schema) -> Result<()> {
    validate(config, schema, false).map_err(|invalid| {
        let word =
            |name: &str| config.at(&["metadata", name]).and_then(Tree::as_str).unwrap_or_default();
        let message = format!(
            "failed to create typed patch object ({}/{}; {}): {invalid}",
            word("namespace"),
            word("name"),
            gvk(config)
        );
        ApiError::new(Reason::Unknown, message)
    })
}

struct Applying<'a> {
    call: &'a Call,
    write: Write<'a>,
    config: Bytes,
    owners: Owners,
}

impl Applying<'_> {
    /// The object that becomes of `live`, of which `owners` is known. Both are of the version that
    /// the caller speaks.
    async fn merged(&mut self, live: &[u8], owners: Option<&[u8]>) -> Result<Box<dyn Object>> {
        let kind = self.write.served;
        let parse = |json| Tree::parse(json).map_err(ApiError::internal);
        let (live, config) = (parse(live)?, Tree::parse(&self.config).map_err(ApiError::internal)?);
        let settled = Settled::of(self.write);
        check(&config, settled.schema())?;
        let managed = owners.map(Managed::read).transpose().map_err(|error| {
            let message = format!("failed to decode managed fields: {error}");
            ApiError::new(Reason::Unknown, message)
        })?;
        let managed = managed.unwrap_or_default();
        let name = self.call.params.get("fieldManager").unwrap_or_default();
        let owner = Owner { name, now: clock::now() };
        let force = self.call.params.flag("force");
        let applied =
            settled.run(|rules| rules.apply(managed.clone(), &live, &config, owner, force)).await;
        let Applied { value, managed } = applied.map_err(refused)?;
        self.owners = Owners::Known(text(&managed));
        let json = serde_json::to_vec(&value).map_err(ApiError::internal)?;
        let Decoded { object, .. } = kind.decode(&json)?;
        complete(kind, object).await
    }

    /// Refuses an object of another name or namespace than the path's.
    fn place(&self, object: &mut dyn Object) -> Result<()> {
        let target = &self.call.target;
        registry::place(object, self.write.kind.names().namespaced, &target.namespace)?;
        update::same_object(self.call, object)
    }
}

#[async_trait]
impl Change for Applying<'_> {
    async fn apply(&mut self, entry: &Entry, _old: &dyn Object) -> Result<Box<dyn Object>> {
        let (live, owners) = cut(&entry.value);
        let live = self.write.served.shown(Bytes::from(live.into_owned())).await?;
        let mut object = self.merged(&live, owners).await?;
        self.place(&mut *object)?;
        Ok(object)
    }

    async fn create(&mut self, _usual: bool) -> Result<Option<Box<dyn Object>>> {
        if !self.write.subresource.is_empty() {
            return Ok(None);
        }
        let target = &self.call.target;
        let resource = ResourceAttributes {
            group: &target.group,
            resource: &target.resource,
            subresource: "",
            namespace: &target.namespace,
            name: &target.name,
            fields: None,
        };
        let attributes = Attributes {
            identity: &self.call.identity,
            verb: "create",
            resource: Some(resource),
            path: "",
        };
        let server = &self.call.server;
        let decision = server.authorizer.authorize(&*server.store, &attributes).await?;
        if let Decision::Refuse(reason) = decision {
            return Err(attributes.forbidden(&reason));
        }
        let mut object = self.merged(b"{}", None).await?;
        if let Some(uid) = object.meta().uid.as_deref().filter(|uid| !uid.is_empty()) {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was \
                 found"
            );
            let names = self.write.kind.names();
            return Err(ApiError::conflict(&names.group, &names.plural, &target.name, &why));
        }
        self.place(&mut *object)?;
        Ok(Some(object))
    }

    fn owners(&mut self) -> Owners {
        self.owners.clone()
    }
}

/// The answer to a configuration that cannot be applied.
fn refused(error: ApplyError) -> ApiError {
    match error {
        ApplyError::Invalid(invalid) => {
            ApiError::new(Reason::Unknown, format!("failed to merge config: {invalid}"))
        }
        ApplyError::Conflicts(conflicts) => conflict(&conflicts),
    }
}

fn conflict(conflicts: &Conflicts) -> ApiError {
    let cause = |conflict: &coracle_schema::managed::Conflict| {
        let message = format!("conflict with {}", conflict.owner);
        Cause::new(CauseReason::FieldManagerConflict, conflict.field.clone(), message)
    };
    let causes = conflicts.0.iter().map(cause).collect();
    ApiError { causes, ..ApiError::new(Reason::Conflict, conflicts.to_string()) }
}
