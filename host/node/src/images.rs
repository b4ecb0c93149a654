//! From a container's image to a loaded module, by its pull policy, with the kubelet's events and
//! reasons.

use std::sync::Arc;

use coracle_api::clock;
use coracle_images::{ResolveError, Resolved};
use coracle_sandbox::{LoadError, Module, Source};
use k8s_openapi::api::core::v1::{Container, Pod};

use crate::Node;

/// An image that is here and loaded.
pub(crate) struct Pulled {
    pub(crate) module: Arc<Module>,
    pub(crate) image_id: String,
}

/// Why an image is not.
pub(crate) enum Unavailable {
    /// It cannot be had now; the reason is the container's waiting reason.
    Missing { reason: &'static str, message: String },
    /// It is there and cannot run here.
    Unusable(LoadError),
}

impl Node {
    /// The module that the container's image stands for.
    pub(crate) async fn pull(
        &self,
        pod: &Pod,
        container: &Container,
    ) -> Result<Pulled, Unavailable> {
        let image = container.image.as_deref().unwrap_or_default();
        let name = Some(container.name.as_str());
        let policy = container.image_pull_policy.as_deref();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let began = clock::now();
        if policy == Some("Always") {
            self.recorder.normal(pod, name, "Pulling", format!("Pulling image {image:?}"));
        }
        // Held while a module may have to be compiled: a flood of new images must not take every
        // thread. Fails only if it is closed, which it never is.
        let turn = self.pulls.acquire().await;
        let resolved = coracle_images::resolve(&self.images, &self.client, namespace, image).await;
        let resolved = resolved.map_err(|error| self.missing(pod, container, image, error))?;
        let took = clock::now().duration_since(began);
        let Resolved { digest, path, image_id, alias, .. } = resolved;
        self.recorder.normal(
            pod,
            name,
            "Pulled",
            if policy == Some("Always") {
                format!("Successfully pulled image {image:?} in {}ms", took.as_millis())
            } else {
                format!("Container image {image:?} already present on machine")
            },
        );
        if let Some(alias) = alias {
            self.recorder.normal(pod, name, "ImageAlias", alias);
        }
        let module = self.engine.load(&digest.to_string(), Source::File(path)).await;
        drop(turn);
        let module = module.map_err(Unavailable::Unusable)?;
        Ok(Pulled { module, image_id })
    }

    fn missing(
        &self,
        pod: &Pod,
        container: &Container,
        image: &str,
        error: ResolveError,
    ) -> Unavailable {
        let name = Some(container.name.as_str());
        let never = container.image_pull_policy.as_deref() == Some("Never");
        let (reason, message) = match error {
            ResolveError::Invalid(error) => {
                let message = format!("Failed to apply default image tag {image:?}: {error}");
                self.recorder.warn(pod, name, "InspectFailed", message.clone());
                ("InvalidImageName", message)
            }
            ResolveError::NotFound(_) if never => {
                let message =
                    format!("Container image {image:?} is not present with pull policy of Never");
                self.recorder.warn(pod, name, "ErrImageNeverPull", message.clone());
                ("ErrImageNeverPull", message)
            }
            error => {
                let message = error.to_string();
                let event = format!("Failed to pull image {image:?}: {message}");
                self.recorder.warn(pod, name, "Failed", event);
                ("ErrImagePull", message)
            }
        };
        self.recorder.warn(pod, name, "Failed", format!("Error: {reason}"));
        Unavailable::Missing { reason, message }
    }
}
