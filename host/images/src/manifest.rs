//! The OCI image manifest of a WebAssembly module.

use coracle_api::clock;
use coracle_api::module::Form;
use serde::Deserialize;
use serde_json::json;

use crate::{Digest, Stored};

/// The media type of manifests.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of the configuration of a WebAssembly artifact.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The media type of WebAssembly.
const WASM: &str = "application/wasm";
/// What tools before the present convention wrote instead.
const OLDER_WASM: &[&str] = &[
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
];

/// A manifest as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    pub(crate) media_type: Option<String>,
    pub(crate) config: Descriptor,
    #[serde(default)]
    pub(crate) layers: Vec<Descriptor>,
}

/// A reference from a manifest to a blob.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
}

impl Manifest {
    /// Reads a manifest; the error is for the person who sent it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|error| format!("not an image manifest: {error}"))?;
        match (manifest.schema_version, manifest.media_type.as_deref()) {
            (2, None | Some(MANIFEST)) => Ok(manifest),
            (2, Some(other)) => Err(format!("{other} is not accepted here, only {MANIFEST}")),
            (version, _) => Err(format!("schemaVersion is {version}, not 2")),
        }
    }

    /// The layer that is the module. One that does not say so is taken if it is the only one: its
    /// bytes tell.
    pub(crate) fn module(&self) -> Result<&Descriptor, String> {
        let is_wasm = |layer: &&Descriptor| {
            layer.media_type == WASM || OLDER_WASM.contains(&layer.media_type.as_str())
        };
        let mut modules = self.layers.iter().filter(is_wasm);
        match (modules.next(), modules.next(), self.layers.as_slice()) {
            (Some(module), None, _) | (None, None, [module]) => Ok(module),
            (Some(_), Some(_), _) => Err("it has several WebAssembly layers".to_owned()),
            (None, _, layers) => {
                let types: Vec<&str> =
                    layers.iter().map(|layer| layer.media_type.as_str()).collect();
                Err(format!("it has no layer of type {WASM}, but [{}]", types.join(", ")))
            }
        }
    }
}

/// The configuration that tools write for a module.
pub(crate) fn config(
    stored: &Stored,
    form: Form,
    imports: &[String],
    exports: &[String],
) -> Vec<u8> {
    let component = match form {
        Form::CoreCommand => None,
        Form::Command | Form::HttpHandler => {
            Some(json!({ "imports": imports, "exports": exports }))
        }
    };
    let created = clock::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "created": created,
        "architecture": "wasm",
        "os": if component.is_some() { "wasip2" } else { "wasip1" },
        "layerDigests": [stored.digest.to_string()],
        "component": component,
    })
    .to_string()
    .into_bytes()
}

/// A manifest of a configuration and a module.
pub(crate) fn manifest(config: &Stored, module: &Stored) -> Vec<u8> {
    let descriptor = |media_type: &str, stored: &Stored| {
        json!({
            "mediaType": media_type,
            "digest": stored.digest.to_string(),
            "size": stored.size,
        })
    };
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": [descriptor(WASM, module)],
    })
    .to_string()
    .into_bytes()
}

/// Every digest that a manifest refers to.
pub(crate) fn referred(bytes: &[u8]) -> Vec<Digest> {
    let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) else { return Vec::new() };
    let descriptors = std::iter::once(&manifest.config).chain(&manifest.layers);
    descriptors.filter_map(|descriptor| descriptor.digest.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_layers(layers: &[&str]) -> Manifest {
        let digest = Digest::of(b"");
        let layers: Vec<_> = layers
            .iter()
            .map(|media_type| json!({ "mediaType": media_type, "digest": digest.to_string(), "size": 0 }))
            .collect();
        let config = json!({ "mediaType": CONFIG, "digest": digest.to_string(), "size": 0 });
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        Manifest::parse(manifest.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_module_is_found_among_layers() {
        assert_eq!(with_layers(&["text/plain", WASM]).module().unwrap().media_type, WASM);
        assert!(with_layers(&[OLDER_WASM[0]]).module().is_ok());
        assert!(with_layers(&["application/octet-stream"]).module().is_ok());
        assert!(with_layers(&[WASM, WASM]).module().unwrap_err().contains("several"));
        assert!(with_layers(&["a/b", "c/d"]).module().unwrap_err().contains("[a/b, c/d]"));
        assert!(with_layers(&[]).module().is_err());
    }

    #[test]
    fn what_is_written_can_be_read() {
        let stored = Stored { digest: Digest::of(b"x"), size: 1 };
        let bytes = manifest(&stored, &stored);
        let manifest = Manifest::parse(&bytes).unwrap();
        assert_eq!(manifest.module().unwrap().digest, stored.digest.to_string());
        assert_eq!(referred(&bytes), [stored.digest, stored.digest]);
    }

    #[test]
    fn other_documents_are_not_manifests() {
        for text in ["", "{}", "[]", r#"{"schemaVersion":1,"config":{}}"#] {
            assert!(Manifest::parse(text.as_bytes()).is_err(), "{text}");
        }
        let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",
            "config":{"mediaType":"a","digest":"b","size":0}}"#;
        assert!(Manifest::parse(index.as_bytes()).unwrap_err().contains("only"));
    }
}
