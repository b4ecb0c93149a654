//! `Module`: what the built-in registry holds under one name of one namespace. The tags of a
//! Module are the only record of which bytes a name means; the bytes lie in the image store.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The namespace of the ready-made modules: looked in when a pod's own namespace has no Module
/// of the name its `image` gives.
pub const READY_MADE_NAMESPACE: &str = "coracle-modules";

/// The names and tags that point at stored WebAssembly.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "coracle.dev", version = "v1", kind = "Module", plural = "modules", namespaced)]
#[serde(rename_all = "camelCase")]
pub struct ModuleSpec {
    /// The tags of this name, one entry a tag, newest first.
    #[serde(default)]
    pub tags: Vec<Tag>,
}

/// One tag: `image: <module>:<name>` in a pod's container runs its `digest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tag {
    /// The tag's name as the OCI distribution specification allows it.
    pub name: String,
    /// `sha256:<hex>` of the WebAssembly itself.
    pub digest: String,
    /// `sha256:<hex>` of the OCI manifest that carries it.
    pub manifest: String,
    /// Bytes of WebAssembly.
    pub size: i64,
    /// What was recognised in the bytes.
    pub form: Form,
    /// Interfaces or functions that the host must provide, sorted.
    #[serde(default)]
    pub imports: Vec<String>,
    /// Interfaces or functions that the module provides, sorted.
    #[serde(default)]
    pub exports: Vec<String>,
    /// When the tag was last pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed_at: Option<Time>,
}

/// The forms of WebAssembly that a pod can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Form {
    /// A component exporting `wasi:cli/run`.
    Command,
    /// A component exporting `wasi:http/incoming-handler`.
    HttpHandler,
    /// A core module that imports only `wasi_snapshot_preview1` and exports `_start`.
    CoreCommand,
}
