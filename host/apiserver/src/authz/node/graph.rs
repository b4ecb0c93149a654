//! What the pods of each node refer to, which is what the node may read.

use std::collections::HashMap;

use bytes::Bytes;
use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar, Pod, PodSpec, Volume};

use crate::registry::View;
use crate::registry::split;

/// What a node may have a relationship to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Related {
    Secret,
    ConfigMap,
    Claim,
    ServiceAccount,
    Pod,
}

#[derive(Default)]
pub(crate) struct Graph {
    /// By the key in the store; only pods that are on a node.
    pods: HashMap<Box<str>, Bound>,
    /// By node, how many of its pods refer to a thing.
    nodes: HashMap<Box<str>, HashMap<Thing, usize>>,
}

struct Bound {
    node: Box<str>,
    things: Vec<Thing>,
}

/// Kind, namespace and name.
type Thing = (Related, Box<str>, Box<str>);

/// Containers that come later are the only thing that changes in what a bound pod refers to.
const GROWING: &[u8] = b"\"ephemeralContainers\"";

impl View for Graph {
    const PREFIX: &'static str = "/registry/core/pods/";

    fn put(&mut self, key: &str, value: &Bytes) {
        let known = self.pods.contains_key(key);
        if known && memchr::memmem::find(value, GROWING).is_none() {
            return;
        }
        let pod: Pod = match serde_json::from_slice(value) {
            Ok(pod) => pod,
            Err(error) => return tracing::error!(key, %error, "a stored object cannot be read"),
        };
        self.remove(key);
        let Some(spec) = pod.spec else { return };
        let Some(node) = spec.node_name.as_deref().filter(|node| !node.is_empty()) else { return };
        let (namespace, name) = split(key);
        let mut things = vec![(Related::Pod, Box::from(namespace), Box::from(name))];
        let mut add = |related, name: &str| {
            let thing = (related, Box::from(namespace), Box::from(name));
            if !name.is_empty() && !things.contains(&thing) {
                things.push(thing);
            }
        };
        references(&spec, name, &mut add);
        let node: Box<str> = node.into();
        let held = self.nodes.entry(node.clone()).or_default();
        for thing in &things {
            *held.entry(thing.clone()).or_default() += 1;
        }
        self.pods.insert(key.into(), Bound { node, things });
    }

    fn remove(&mut self, key: &str) {
        let Some(Bound { node, things }) = self.pods.remove(key) else { return };
        let Some(held) = self.nodes.get_mut(&node) else { return };
        for thing in things {
            if let Some(count) = held.get_mut(&thing) {
                *count -= 1;
                if *count == 0 {
                    held.remove(&thing);
                }
            }
        }
        if held.is_empty() {
            self.nodes.remove(&node);
        }
    }
}

impl Graph {
    /// Whether a pod of the node refers to the object, or is it.
    pub(crate) fn relates(
        &self,
        node: &str,
        related: Related,
        namespace: &str,
        name: &str,
    ) -> bool {
        let thing = (related, Box::from(namespace), Box::from(name));
        self.nodes.get(node).is_some_and(|held| held.contains_key(&thing))
    }
}

/// What kind of objects a pod refers to, if any, as messages name it.
pub(crate) fn refers_to_objects(spec: &PodSpec) -> Option<&'static str> {
    let mut found = vec![];
    references(spec, "", &mut |related, name| {
        if !name.is_empty() {
            found.push(related);
        }
    });
    let bundles = spec.volumes.iter().flatten().any(|volume| {
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter());
        sources.flatten().any(|source| source.cluster_trust_bundle.is_some())
    });
    [
        (found.contains(&Related::ServiceAccount), "a service account"),
        (found.contains(&Related::Secret), "secrets"),
        (found.contains(&Related::ConfigMap), "configmaps"),
        (bundles, "clustertrustbundles"),
        (found.contains(&Related::Claim), "persistentvolumeclaims"),
    ]
    .into_iter()
    .find_map(|(refers, what)| refers.then_some(what))
}

/// Calls `add` with the kind and name of everything that a pod named `pod` refers to.
pub(crate) fn references(spec: &PodSpec, pod: &str, add: &mut impl FnMut(Related, &str)) {
    let account = spec.service_account_name.as_deref().unwrap_or_default();
    add(Related::ServiceAccount, account);
    for secret in spec.image_pull_secrets.iter().flatten() {
        add(Related::Secret, &secret.name);
    }
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    for Container { env, env_from, .. } in containers {
        environment(env, env_from, add);
    }
    for container in spec.ephemeral_containers.iter().flatten() {
        environment(&container.env, &container.env_from, add);
    }
    for volume in spec.volumes.iter().flatten() {
        mounted(volume, pod, add);
    }
}

fn environment(
    env: &Option<Vec<EnvVar>>,
    from: &Option<Vec<EnvFromSource>>,
    add: &mut impl FnMut(Related, &str),
) {
    for source in env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
        source.secret_key_ref.iter().for_each(|key| add(Related::Secret, &key.name));
        source.config_map_key_ref.iter().for_each(|key| add(Related::ConfigMap, &key.name));
    }
    for source in from.iter().flatten() {
        source.secret_ref.iter().for_each(|secret| add(Related::Secret, &secret.name));
        source.config_map_ref.iter().for_each(|map| add(Related::ConfigMap, &map.name));
    }
}

fn mounted(volume: &Volume, pod: &str, add: &mut impl FnMut(Related, &str)) {
    if let Some(source) = &volume.secret {
        add(Related::Secret, source.secret_name.as_deref().unwrap_or_default());
    }
    if let Some(source) = &volume.config_map {
        add(Related::ConfigMap, &source.name);
    }
    for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
        source.secret.iter().for_each(|secret| add(Related::Secret, &secret.name));
        source.config_map.iter().for_each(|map| add(Related::ConfigMap, &map.name));
    }
    if let Some(source) = &volume.persistent_volume_claim {
        add(Related::Claim, &source.claim_name);
    }
    if volume.ephemeral.is_some() {
        add(Related::Claim, &format!("{pod}-{}", volume.name));
    }
    if let Some(source) = &volume.azure_file {
        add(Related::Secret, &source.secret_name);
    }
    let references = [
        volume.cephfs.as_ref().and_then(|source| source.secret_ref.as_ref()),
        volume.cinder.as_ref().and_then(|source| source.secret_ref.as_ref()),
        volume.csi.as_ref().and_then(|source| source.node_publish_secret_ref.as_ref()),
        volume.flex_volume.as_ref().and_then(|source| source.secret_ref.as_ref()),
        volume.iscsi.as_ref().and_then(|source| source.secret_ref.as_ref()),
        volume.rbd.as_ref().and_then(|source| source.secret_ref.as_ref()),
        volume.scale_io.as_ref().map(|source| &source.secret_ref),
        volume.storageos.as_ref().and_then(|source| source.secret_ref.as_ref()),
    ];
    references.into_iter().flatten().for_each(|secret| add(Related::Secret, &secret.name));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_relates_to_what_its_pods_name() {
        let mut graph = Graph::default();
        let key = |name: &str| format!("{}a/{name}", Graph::PREFIX);
        let pod = |node: &str| {
            json!({ "spec": {
                "nodeName": node,
                "serviceAccountName": "robot",
                "imagePullSecrets": [{ "name": "pull" }],
                "initContainers": [{
                    "name": "i",
                    "envFrom": [{ "configMapRef": { "name": "init" } }],
                }],
                "containers": [{
                    "name": "c",
                    "env": [{ "name": "E", "valueFrom": {
                        "secretKeyRef": { "name": "env", "key": "k" },
                    } }],
                }],
                "volumes": [
                    { "name": "s", "secret": { "secretName": "mounted" } },
                    { "name": "p", "projected": { "sources": [
                        { "configMap": { "name": "root" } },
                        { "secret": { "name": "projected" } },
                    ] } },
                    { "name": "d", "persistentVolumeClaim": { "claimName": "disk" } },
                    { "name": "e", "ephemeral": {} },
                ],
            } })
            .to_string()
            .into()
        };
        graph.put(&key("waiting"), &pod(""));
        assert!(!graph.relates("n", Related::Secret, "a", "env"));
        graph.put(&key("p"), &pod("n"));
        graph.put(&key("q"), &pod("n"));
        let all = [
            (Related::Pod, "p"),
            (Related::ServiceAccount, "robot"),
            (Related::Secret, "pull"),
            (Related::Secret, "env"),
            (Related::Secret, "mounted"),
            (Related::Secret, "projected"),
            (Related::ConfigMap, "init"),
            (Related::ConfigMap, "root"),
            (Related::Claim, "disk"),
            (Related::Claim, "p-e"),
        ];
        for (related, name) in all {
            assert!(graph.relates("n", related, "a", name), "{related:?} {name}");
            assert!(!graph.relates("m", related, "a", name), "{related:?} {name}");
            assert!(!graph.relates("n", related, "b", name), "{related:?} {name}");
        }
        assert!(!graph.relates("n", Related::ConfigMap, "a", "env"));
        graph.remove(&key("p"));
        assert!(graph.relates("n", Related::Secret, "a", "env"), "the other pod still needs it");
        graph.remove(&key("q"));
        assert!(graph.nodes.is_empty() && graph.pods.is_empty());
    }
}
