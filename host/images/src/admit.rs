//! Stored bytes become a module: recognised, and its runnable form stored beside it.

use bytes::Bytes;
use coracle_api::clock;
use coracle_api::module::{Form, Tag};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::error::AdmitError;
use crate::recognise::{Recognised, recognise};
use crate::{Digest, Images, Result, Stored, manifest};

/// A stored module, and what was recognised in it.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) stored: Stored,
    pub(crate) form: Form,
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

impl Images {
    /// Recognises the blob `digest`.
    pub(crate) async fn admit(&self, digest: &Digest) -> Result<Admitted, AdmitError> {
        // The semaphore is never closed; without a permit the only loss would be the bound.
        let _permit = self.recognising.acquire().await.ok();
        let bytes = self.open_bytes(digest).await?;
        let stored = Stored { digest: *digest, size: bytes.len() as u64 };
        let recognised = in_background(bytes).await?;
        if recognised.converted {
            let made = self.put_bytes(&recognised.wasm).await?;
            self.set_runnable(digest, &made.digest).await?;
        }
        let Recognised { form, imports, exports, .. } = recognised;
        Ok(Admitted { stored, form, imports, exports })
    }

    /// Writes the manifest of a module that came without one. Its digest.
    pub(crate) async fn put_manifest(
        &self,
        namespace: &str,
        name: &str,
        module: &Admitted,
    ) -> Result<Digest> {
        let config =
            manifest::config(&module.stored, module.form, &module.imports, &module.exports);
        let config = self.put_bytes(&config).await?;
        let manifest = self.put_bytes(&manifest::manifest(&config, &module.stored)).await?;
        for digest in [module.stored.digest, config.digest, manifest.digest] {
            self.link(namespace, name, &digest).await?;
        }
        Ok(manifest.digest)
    }
}

impl Admitted {
    /// The module under a tag's name.
    pub(crate) fn tag(self, name: &str, manifest: &Digest) -> Tag {
        Tag {
            name: name.to_owned(),
            digest: self.stored.digest.to_string(),
            manifest: manifest.to_string(),
            // The limit of a file's size is far below.
            size: i64::try_from(self.stored.size).unwrap_or(i64::MAX),
            form: self.form,
            imports: self.imports,
            exports: self.exports,
            pushed_at: Some(Time(clock::now())),
        }
    }
}

async fn in_background(bytes: Bytes) -> Result<Recognised, AdmitError> {
    let recognised = tokio::task::spawn_blocking(move || recognise(bytes)).await;
    Ok(recognised.map_err(AdmitError::Interrupted)??)
}
