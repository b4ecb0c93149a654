//! Claims and Ingresses that name no class get the default one, if there is one
//! (`plugin/pkg/admission/storage/storageclass/setdefault`, `.../network/defaultingressclass`).

use async_trait::async_trait;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Attributes, Operation, Plugin, everywhere};
use crate::error::{ApiError, Result};
use crate::registry::Object;

const DEFAULT_STORAGE: &[&str] = &[
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];
const DEFAULT_INGRESS: &[&str] = &["ingressclass.kubernetes.io/is-default-class"];
const CLAIMS_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const INGRESS_CLASS: &str = "kubernetes.io/ingress.class";

pub(super) struct DefaultStorageClass;

#[async_trait]
impl Plugin for DefaultStorageClass {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.operation == Operation::Create && attributes.is("", "persistentvolumeclaims")
    }

    async fn admit(
        &self,
        attributes: &Attributes<'_>,
        object: &mut dyn Object,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let Some(claim) = object.downcast_mut::<PersistentVolumeClaim>() else { return Ok(()) };
        let spec = claim.spec.get_or_insert_default();
        if spec.storage_class_name.is_some() || has(&claim.metadata, &[CLAIMS_CLASS]) {
            return Ok(());
        }
        let classes =
            everywhere::<StorageClass>(attributes.write, "storage.k8s.io", "storageclasses")
                .await?;
        let marked = classes.into_iter().filter(|class| is_true(&class.metadata, DEFAULT_STORAGE));
        // Of several, the newest is meant; of those as new, the first by name.
        let chosen = marked.max_by(|a, b| {
            let (a, b) = (&a.metadata, &b.metadata);
            let created = |meta: &ObjectMeta| meta.creation_timestamp.as_ref().map(|time| time.0);
            created(a).cmp(&created(b)).then_with(|| b.name.cmp(&a.name))
        });
        if let Some(class) = chosen {
            spec.storage_class_name = class.metadata.name;
        }
        Ok(())
    }
}

pub(super) struct DefaultIngressClass;

#[async_trait]
impl Plugin for DefaultIngressClass {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.operation == Operation::Create && attributes.is("networking.k8s.io", "ingresses")
    }

    async fn admit(
        &self,
        attributes: &Attributes<'_>,
        object: &mut dyn Object,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let Some(ingress) = object.downcast_mut::<Ingress>() else { return Ok(()) };
        let spec = ingress.spec.get_or_insert_default();
        if spec.ingress_class_name.is_some() || has(&ingress.metadata, &[INGRESS_CLASS]) {
            return Ok(());
        }
        let (group, plural) = ("networking.k8s.io", "ingressclasses");
        let classes = everywhere::<IngressClass>(attributes.write, group, plural).await?;
        let mut marked =
            classes.into_iter().filter(|class| is_true(&class.metadata, DEFAULT_INGRESS));
        let chosen = marked.next();
        let others = marked.count();
        if others > 0 {
            let why = format!("{} default IngressClasses were found, only 1 allowed", others + 1);
            return Err(ApiError::forbidden(group, "ingresses", attributes.name, &why));
        }
        if let Some(class) = chosen {
            spec.ingress_class_name = class.metadata.name;
        }
        Ok(())
    }
}

fn has(meta: &ObjectMeta, annotations: &[&str]) -> bool {
    let own = meta.annotations.as_ref();
    annotations.iter().any(|name| own.is_some_and(|own| own.contains_key(*name)))
}

fn is_true(meta: &ObjectMeta, annotations: &[&str]) -> bool {
    let own = meta.annotations.as_ref();
    let value = |name: &&str| own.and_then(|own| own.get(*name)).is_some_and(|v| v == "true");
    annotations.iter().any(value)
}
