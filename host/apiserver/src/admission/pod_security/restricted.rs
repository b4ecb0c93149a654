//! What the restricted standard forbids beyond the baseline, in the order in which Kubernetes
//! names it.

use k8s_openapi::api::core::v1::{PodSpec, Volume};

use super::baseline::{confines, seccomp_fields};
use super::pod::{containers, distinct, named, plural, quoted, setters};
use super::policy::{Version, Violation};

pub(super) fn check(version: Version, spec: &PodSpec) -> Vec<Violation> {
    // Since 1.25 a pod for Windows need not say what means nothing there.
    let windows = version.since(25) && spec.os.as_ref().is_some_and(|os| os.name == "windows");
    let all = [
        privilege_escalation(spec).filter(|_| version.since(8) && !windows),
        capabilities(spec).filter(|_| version.since(22) && !windows),
        volumes(spec),
        run_as_non_root(spec),
        run_as_user(spec).filter(|_| version.since(23)),
        seccomp(spec).filter(|_| version.since(19) && !windows),
    ];
    all.into_iter().flatten().collect()
}

fn privilege_escalation(spec: &PodSpec) -> Option<Violation> {
    let names: Vec<_> = containers(spec)
        .filter(|c| c.context.and_then(|c| c.allow_privilege_escalation) != Some(false))
        .map(|c| c.name)
        .collect();
    let detail =
        || format!("{} must set securityContext.allowPrivilegeEscalation=false", named(&names));
    let reason = "allowPrivilegeEscalation != false";
    (!names.is_empty()).then(|| Violation { reason, detail: detail() })
}

fn capabilities(spec: &PodSpec) -> Option<Violation> {
    let (mut keeping, mut adding, mut added) = (vec![], vec![], vec![]);
    for container in containers(spec) {
        let capabilities = container.context.and_then(|c| c.capabilities.as_ref());
        let drop = capabilities.and_then(|c| c.drop.as_deref()).unwrap_or_default();
        if !drop.iter().any(|name| name == "ALL") {
            keeping.push(container.name);
        }
        let add = capabilities.and_then(|c| c.add.as_deref()).unwrap_or_default();
        let wrong: Vec<_> = add.iter().filter(|name| *name != "NET_BIND_SERVICE").collect();
        if !wrong.is_empty() {
            adding.push(container.name);
            added.extend(wrong);
        }
    }
    let mut details = vec![];
    if !keeping.is_empty() {
        let who = named(&keeping);
        details.push(format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    if !adding.is_empty() {
        let (who, what) = (named(&adding), quoted(&distinct(added)));
        details.push(format!("{who} must not include {what} in securityContext.capabilities.add"));
    }
    let reason = "unrestricted capabilities";
    (!details.is_empty()).then(|| Violation { reason, detail: details.join("; ") })
}

fn volumes(spec: &PodSpec) -> Option<Violation> {
    let wrong: Vec<_> = spec
        .volumes
        .iter()
        .flatten()
        .filter_map(|volume| restricted(volume).map(|source| (volume.name.as_str(), source)))
        .collect();
    let names: Vec<_> = wrong.iter().map(|(name, _)| *name).collect();
    let sources = distinct(wrong.iter().map(|(_, source)| *source).collect());
    let detail = || {
        format!(
            "{} {} {} {} {}",
            plural(&names, "volume", "volumes"),
            quoted(&names),
            plural(&names, "uses", "use"),
            plural(&sources, "restricted volume type", "restricted volume types"),
            quoted(&sources),
        )
    };
    (!names.is_empty()).then(|| Violation { reason: "restricted volume types", detail: detail() })
}

/// The source of a volume, if it is none that everybody may use.
fn restricted(volume: &Volume) -> Option<&'static str> {
    let open = volume.config_map.is_some()
        || volume.csi.is_some()
        || volume.downward_api.is_some()
        || volume.empty_dir.is_some()
        || volume.ephemeral.is_some()
        || volume.image.is_some()
        || volume.persistent_volume_claim.is_some()
        || volume.projected.is_some()
        || volume.secret.is_some();
    if open {
        return None;
    }
    let sources = [
        (volume.host_path.is_some(), "hostPath"),
        (volume.gce_persistent_disk.is_some(), "gcePersistentDisk"),
        (volume.aws_elastic_block_store.is_some(), "awsElasticBlockStore"),
        (volume.git_repo.is_some(), "gitRepo"),
        (volume.nfs.is_some(), "nfs"),
        (volume.iscsi.is_some(), "iscsi"),
        (volume.glusterfs.is_some(), "glusterfs"),
        (volume.rbd.is_some(), "rbd"),
        (volume.flex_volume.is_some(), "flexVolume"),
        (volume.cinder.is_some(), "cinder"),
        (volume.cephfs.is_some(), "cephfs"),
        (volume.flocker.is_some(), "flocker"),
        (volume.fc.is_some(), "fc"),
        (volume.azure_file.is_some(), "azureFile"),
        (volume.vsphere_volume.is_some(), "vsphereVolume"),
        (volume.quobyte.is_some(), "quobyte"),
        (volume.azure_disk.is_some(), "azureDisk"),
        (volume.photon_persistent_disk.is_some(), "photonPersistentDisk"),
        (volume.portworx_volume.is_some(), "portworxVolume"),
        (volume.scale_io.is_some(), "scaleIO"),
        (volume.storageos.is_some(), "storageos"),
    ];
    Some(sources.iter().find(|(used, _)| *used).map_or("unknown", |(_, name)| name))
}

fn run_as_non_root(spec: &PodSpec) -> Option<Violation> {
    let pod = spec.security_context.as_ref().and_then(|context| context.run_as_non_root);
    let of = |wanted: fn(Option<bool>) -> bool| -> Vec<_> {
        containers(spec)
            .filter(|c| wanted(c.context.and_then(|context| context.run_as_non_root)))
            .map(|c| c.name)
            .collect()
    };
    let explicit = of(|set| set == Some(false));
    let reason = "runAsNonRoot != true";
    if let Some(setters) = setters(pod == Some(false), &explicit) {
        let detail = format!("{setters} must not set securityContext.runAsNonRoot=false");
        return Some(Violation { reason, detail });
    }
    let implicit = of(|set| set.is_none());
    if pod == Some(true) || implicit.is_empty() {
        return None;
    }
    let detail = format!("pod or {} must set securityContext.runAsNonRoot=true", named(&implicit));
    Some(Violation { reason, detail })
}

fn run_as_user(spec: &PodSpec) -> Option<Violation> {
    let pod = spec.security_context.as_ref().and_then(|c| c.run_as_user) == Some(0);
    let offenders: Vec<_> = containers(spec)
        .filter(|c| c.context.and_then(|context| context.run_as_user) == Some(0))
        .map(|c| c.name)
        .collect();
    let setters = setters(pod, &offenders)?;
    Some(Violation { reason: "runAsUser=0", detail: format!("{setters} must not set runAsUser=0") })
}

fn seccomp(spec: &PodSpec) -> Option<Violation> {
    if let Some(given) = seccomp_fields(spec) {
        return Some(given);
    }
    let pod = spec.security_context.as_ref().and_then(|c| c.seccomp_profile.as_ref());
    let silent: Vec<_> = containers(spec)
        .filter(|c| c.context.and_then(|c| c.seccomp_profile.as_ref()).is_none())
        .map(|c| c.name)
        .collect();
    if pod.is_some_and(confines) || silent.is_empty() {
        return None;
    }
    let who = named(&silent);
    let detail = format!(
        "pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \
         \"Localhost\""
    );
    Some(Violation { reason: "seccompProfile", detail })
}
