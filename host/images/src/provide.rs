//! The ready-made modules: part of the program, registered when it starts.

use coracle_api::module::READY_MADE_NAMESPACE;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, PostParams};

use crate::reference::DEFAULT_TAG;
use crate::{Digest, Images, ProvideError, module};

/// Makes `bytes` the ready-made module `name`, in its namespace, which is made if it is not there.
/// Writes nothing if it is so already.
pub async fn provide(
    client: &Client,
    images: &Images,
    name: &str,
    bytes: &[u8],
) -> Result<(), ProvideError> {
    let home = READY_MADE_NAMESPACE;
    let digest = Digest::of(bytes);
    let known = module::find(client, home, name).await?;
    if let Some(tag) = known.as_ref().and_then(|module| module::by_name(module, DEFAULT_TAG))
        && tag.digest == digest.to_string()
        && images.path(&digest).await.is_ok()
    {
        return Ok(());
    }
    images.put_bytes(bytes).await?;
    let admitted = images.admit(&digest).await.map_err(|error| (name, error))?;
    let manifest = images.put_manifest(home, name, &admitted).await?;
    if known.is_none() {
        ensure_namespace(client).await?;
    }
    module::put_tag(client, home, name, admitted.tag(DEFAULT_TAG, &manifest)).await?;
    Ok(())
}

async fn ensure_namespace(client: &Client) -> Result<(), Box<kube::Error>> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let name = Some(READY_MADE_NAMESPACE.to_owned());
    let namespace = Namespace {
        metadata: ObjectMeta { name, ..ObjectMeta::default() },
        ..Namespace::default()
    };
    match namespaces.create(&PostParams::default(), &namespace).await {
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}
