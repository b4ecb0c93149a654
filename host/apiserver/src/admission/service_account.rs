//! Every pod runs as a service account: its namespace's `default` unless it names another, which
//! must exist. It is given the account's token, unless account or pod want none, and the account's
//! secrets for pulling images (`plugin/pkg/admission/serviceaccount`).

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use coracle_api::dice;
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, Container, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath,
    ObjectFieldSelector, Pod, PodSpec, ProjectedVolumeSource, ServiceAccount as Account,
    ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};

use super::{Attributes, Operation, Plugin};
use crate::authn::service_account::WARN_AFTER;
use crate::authz::node::{Related, references};
use crate::error::{ApiError, Result};
use crate::registry::{Object, Write, key};

const DEFAULT: &str = "default";
/// How long a namespace's `default` is waited for between two looks: twice as long each time, and
/// about a second and a half in all.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LAST_WAIT: Duration = Duration::from_millis(640);
/// Where containers find the token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// What the names of token volumes begin with.
const VOLUME: &str = "kube-api-access-";
const MIRROR: &str = "kubernetes.io/config.mirror";
/// The annotation of accounts whose pods may mount no secrets but theirs.
const MOUNTABLE: &str = "kubernetes.io/enforce-mountable-secrets";

pub(super) struct ServiceAccount;

#[async_trait]
impl Plugin for ServiceAccount {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.operation == Operation::Create && attributes.is("", "pods")
    }

    async fn admit(
        &self,
        attributes: &Attributes<'_>,
        object: &mut dyn Object,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let Some(pod) = object.downcast_mut::<Pod>() else { return Ok(()) };
        if is_mirror(pod) {
            return Ok(());
        }
        let Some(spec) = &mut pod.spec else { return Ok(()) };
        let given = [&spec.service_account_name, &spec.service_account];
        let given = given.into_iter().flatten().find(|name| !name.is_empty()).cloned();
        let name = given.unwrap_or_else(|| DEFAULT.into());
        let account = account(attributes, &name).await?;
        spec.service_account_name = Some(name.clone());
        spec.service_account = Some(name);
        let wanted = spec.automount_service_account_token;
        if wanted.or(account.automount_service_account_token).unwrap_or(true) {
            mount_token(spec);
        }
        if spec.image_pull_secrets.as_ref().is_none_or(Vec::is_empty) {
            spec.image_pull_secrets.clone_from(&account.image_pull_secrets);
        }
        Ok(())
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let Some(pod) = object.and_then(|object| object.downcast_ref::<Pod>()) else {
            return Ok(());
        };
        let Some(spec) = &pod.spec else { return Ok(()) };
        let refuse = |why: &str| Err(ApiError::forbidden("", "pods", attributes.name, why));
        let name = spec.service_account_name.as_deref().unwrap_or_default();
        if is_mirror(pod) {
            let mut secrets = false;
            references(spec, "", &mut |related, _| secrets |= related == Related::Secret);
            if !name.is_empty() {
                return refuse("a mirror pod may not reference service accounts");
            }
            return if secrets { refuse("a mirror pod may not reference secrets") } else { Ok(()) };
        }
        let account = account(attributes, name).await?;
        let annotations = account.metadata.annotations.as_ref();
        let enforced = annotations.and_then(|all| all.get(MOUNTABLE)).map(String::as_str);
        if !enforced.is_some_and(|text| matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True"))
        {
            return Ok(());
        }
        match unmountable(spec, &account) {
            Some(why) => refuse(&why),
            None => Ok(()),
        }
    }
}

fn is_mirror(pod: &Pod) -> bool {
    pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(MIRROR))
}

/// The service account. A namespace's `default` comes a moment after it, so it is waited for.
async fn account(attributes: &Attributes<'_>, name: &str) -> Result<Account> {
    let Write { server, namespace, .. } = attributes.write;
    let kind = server.registry.kind("", "serviceaccounts").ok_or_else(ApiError::no_such_path)?;
    let key = key(kind.names(), namespace, name);
    let mut wait = FIRST_WAIT;
    loop {
        if let Some(entry) = server.store.get(&key).await? {
            return serde_json::from_slice(&entry.value).map_err(ApiError::internal);
        }
        if name != DEFAULT || wait > LAST_WAIT {
            break;
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    let why = format!(
        "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
    );
    Err(ApiError::forbidden("", "pods", attributes.name, &why))
}

/// Gives every container that has nothing at the token's place the token of the pod's account.
fn mount_token(spec: &mut PodSpec) {
    let volumes = spec.volumes.get_or_insert_default();
    let known = volumes.iter().find(|volume| volume.name.starts_with(VOLUME));
    let (name, new) = match known {
        Some(volume) => (volume.name.clone(), false),
        None => (format!("{VOLUME}{}", dice::suffix(5)), true),
    };
    let mut mounted = false;
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        mounted |= mount(container, &name);
    }
    if mounted && new {
        volumes.push(Volume { projected: Some(projected()), name, ..Volume::default() });
    }
    spec.volumes.take_if(|volumes| volumes.is_empty());
}

fn mount(container: &mut Container, volume: &str) -> bool {
    let mounts = container.volume_mounts.get_or_insert_default();
    if mounts.iter().any(|mount| mount.mount_path == MOUNT_PATH) {
        return false;
    }
    mounts.push(VolumeMount {
        name: volume.to_owned(),
        read_only: Some(true),
        mount_path: MOUNT_PATH.to_owned(),
        ..VolumeMount::default()
    });
    true
}

/// The token, the authority to trust the API server by, and the pod's namespace.
fn projected() -> ProjectedVolumeSource {
    let token = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            expiration_seconds: Some(WARN_AFTER),
            path: "token".into(),
            ..ServiceAccountTokenProjection::default()
        }),
        ..VolumeProjection::default()
    };
    let authority = KeyToPath { key: "ca.crt".into(), path: "ca.crt".into(), mode: None };
    let authority = VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: "kube-root-ca.crt".into(),
            items: Some(vec![authority]),
            optional: None,
        }),
        ..VolumeProjection::default()
    };
    let namespace = DownwardAPIVolumeFile {
        path: "namespace".into(),
        field_ref: Some(ObjectFieldSelector {
            api_version: Some("v1".into()),
            field_path: "metadata.namespace".into(),
        }),
        ..DownwardAPIVolumeFile::default()
    };
    let namespace = VolumeProjection {
        downward_api: Some(DownwardAPIProjection { items: Some(vec![namespace]) }),
        ..VolumeProjection::default()
    };
    ProjectedVolumeSource {
        default_mode: Some(0o644),
        sources: Some(vec![token, authority, namespace]),
    }
}

/// What the pod uses of secrets that its account does not list, in Kubernetes' words.
fn unmountable(spec: &PodSpec, account: &Account) -> Option<String> {
    let name = account.metadata.name.as_deref().unwrap_or_default();
    let listed: BTreeSet<&str> =
        account.secrets.iter().flatten().filter_map(|secret| secret.name.as_deref()).collect();
    for volume in spec.volumes.iter().flatten() {
        let secret = volume.secret.as_ref().and_then(|source| source.secret_name.as_deref());
        if let Some(secret) = secret.filter(|secret| !listed.contains(secret)) {
            return Some(format!(
                "volume with secret.secretName={secret:?} is not allowed because service account \
                 {name} does not reference that secret"
            ));
        }
    }
    let containers = [
        ("init container", spec.init_containers.as_deref().unwrap_or_default()),
        ("container", &spec.containers[..]),
    ];
    for (what, containers) in containers {
        for Container { name: container, env, env_from, .. } in containers {
            for variable in env.iter().flatten() {
                let source = variable.value_from.as_ref();
                let secret = source.and_then(|source| source.secret_key_ref.as_ref());
                if let Some(secret) = secret.filter(|key| !listed.contains(key.name.as_str())) {
                    return Some(format!(
                        "{what} {container} with envVar {} referencing secret.secretName={:?} is \
                         not allowed because service account {name} does not reference that secret",
                        variable.name, secret.name
                    ));
                }
            }
            for source in env_from.iter().flatten().filter_map(|source| source.secret_ref.as_ref())
            {
                if !listed.contains(source.name.as_str()) {
                    return Some(format!(
                        "{what} {container} with envFrom referencing secret.secretName={:?} is not \
                         allowed because service account {name} does not reference that secret",
                        source.name
                    ));
                }
            }
        }
    }
    let pulls: BTreeSet<&str> =
        account.image_pull_secrets.iter().flatten().map(|secret| secret.name.as_str()).collect();
    let mut used = spec.image_pull_secrets.iter().flatten().enumerate();
    used.find(|(_, secret)| !pulls.contains(secret.name.as_str())).map(|(at, secret)| {
        format!(
            "imagePullSecrets[{at}].name={:?} is not allowed because service account {name} does \
             not reference that imagePullSecret",
            secret.name
        )
    })
}
