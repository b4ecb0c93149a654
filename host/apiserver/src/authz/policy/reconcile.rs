//! Makes the cluster's roles and bindings hold at least what they have to.

use std::collections::BTreeMap;
use std::fmt::Debug;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1 as rbac;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ClusterRole, Subject, controllers, namespaces, policy_rules, roles, user_roles};
use crate::authz::rbac::cover::uncovered;

const GROUP: &str = "rbac.authorization.k8s.io";
/// The annotation by which the owner of a role keeps his hand on it.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
/// How many objects are looked after at once: their writes share the store's commits.
const AT_ONCE: usize = 64;

/// Creates and completes everything through a client that may do everything.
pub(crate) async fn reconcile(client: &Client) -> kube::Result<()> {
    for name in ["kube-system", "kube-public"] {
        let metadata = ObjectMeta { name: Some(name.into()), ..Default::default() };
        let namespace = Namespace { metadata, ..Default::default() };
        let made = Api::all(client.clone()).create(&PostParams::default(), &namespace).await;
        exists(made)?;
    }
    let cluster_roles = roles::ROLES.iter().chain(user_roles::ROLES);
    let cluster_roles = cluster_roles.map(|role| cluster_role(role.name, role));
    let controllers = controllers::ROLES.iter();
    let of_controllers = controllers.clone().map(|(name, rules)| {
        let name = format!("system:controller:{name}");
        cluster_role(&name, &super::role("", rules))
    });
    let all = Api::<rbac::ClusterRole>::all(client.clone());
    let roles = cluster_roles.chain(of_controllers).map(|role| ensure(all.clone(), role));

    let all = Api::<rbac::ClusterRoleBinding>::all(client.clone());
    let bound = roles::BINDINGS.iter().map(|(name, subjects)| cluster_binding(name, subjects));
    let of_controllers = controllers.map(|(name, _)| {
        cluster_binding(&format!("system:controller:{name}"), &[Subject::Account(name)])
    });
    let bindings = bound.chain(of_controllers).map(|binding| ensure(all.clone(), binding));

    let inside = namespaces::ROLES.iter().map(|(namespace, name, rules)| {
        let role = rbac::Role { metadata: metadata(name), rules: Some(policy_rules(rules)) };
        ensure(Api::namespaced(client.clone(), namespace), role)
    });
    let bound_inside = namespaces::BINDINGS.iter().map(|(namespace, name, role, subjects)| {
        let binding = rbac::RoleBinding {
            metadata: metadata(name),
            role_ref: role_ref("Role", role),
            subjects: self::subjects(subjects),
        };
        ensure(Api::namespaced(client.clone(), namespace), binding)
    });
    let work: Vec<_> = roles.chain(bindings).chain(inside).chain(bound_inside).collect();
    stream::iter(work).buffer_unordered(AT_ONCE).try_collect().await
}

fn metadata(name: &str) -> ObjectMeta {
    let pair = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(pair("kubernetes.io/bootstrapping", "rbac-defaults")),
        annotations: Some(pair(AUTOUPDATE, "true")),
        ..ObjectMeta::default()
    }
}

fn aggregation_label(part_of: &str) -> String {
    format!("{GROUP}/aggregate-to-{part_of}")
}

fn cluster_role(name: &str, role: &ClusterRole) -> rbac::ClusterRole {
    let mut metadata = metadata(name);
    if let Some(whole) = role.part_of {
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(aggregation_label(whole), "true".into());
    }
    let selector = |whole: &str| LabelSelector {
        match_labels: Some(BTreeMap::from([(aggregation_label(whole), "true".to_owned())])),
        ..LabelSelector::default()
    };
    rbac::ClusterRole {
        metadata,
        aggregation_rule: role.made_of.map(|whole| rbac::AggregationRule {
            cluster_role_selectors: Some(vec![selector(whole)]),
        }),
        rules: role.made_of.is_none().then(|| policy_rules(role.rules)),
    }
}

fn cluster_binding(role: &str, to: &[Subject]) -> rbac::ClusterRoleBinding {
    rbac::ClusterRoleBinding {
        metadata: metadata(role),
        role_ref: role_ref("ClusterRole", role),
        subjects: subjects(to),
    }
}

fn role_ref(kind: &str, name: &str) -> rbac::RoleRef {
    rbac::RoleRef { api_group: Some(GROUP.into()), kind: kind.into(), name: name.into() }
}

fn subjects(subjects: &[Subject]) -> Option<Vec<rbac::Subject>> {
    let subject = |subject: &Subject| {
        let (kind, name, namespace) = match *subject {
            Subject::User(name) => ("User", name, None),
            Subject::Group(name) => ("Group", name, None),
            Subject::Account(name) => ("ServiceAccount", name, Some("kube-system".to_owned())),
        };
        let api_group = namespace.is_none().then(|| GROUP.to_owned());
        rbac::Subject { api_group, kind: kind.into(), name: name.into(), namespace }
    };
    (!subjects.is_empty()).then(|| subjects.iter().map(subject).collect())
}

/// What has to be done with an object that is there.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Keep,
    Update,
    /// What cannot be changed is not what it has to be.
    Replace,
}

trait Policy:
    Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
    /// Adds to `self`, the present object, what the `wanted` one has; metadata left out.
    fn complete(&mut self, wanted: &Self) -> Step;
}

fn add_rules(
    present: &mut Option<Vec<rbac::PolicyRule>>,
    wanted: &Option<Vec<rbac::PolicyRule>>,
) -> Step {
    let missing =
        uncovered(present.as_deref().unwrap_or_default(), wanted.as_deref().unwrap_or_default());
    if missing.is_empty() {
        return Step::Keep;
    }
    present.get_or_insert_default().extend(missing);
    Step::Update
}

fn add_subjects(
    present: &mut Option<Vec<rbac::Subject>>,
    wanted: &Option<Vec<rbac::Subject>>,
) -> Step {
    let present = present.get_or_insert_default();
    let before = present.len();
    for subject in wanted.iter().flatten() {
        if !present.contains(subject) {
            present.push(subject.clone());
        }
    }
    if present.len() == before { Step::Keep } else { Step::Update }
}

impl Policy for rbac::Role {
    fn complete(&mut self, wanted: &Self) -> Step {
        add_rules(&mut self.rules, &wanted.rules)
    }
}

impl Policy for rbac::ClusterRole {
    fn complete(&mut self, wanted: &Self) -> Step {
        let Some(rule) = &wanted.aggregation_rule else {
            return add_rules(&mut self.rules, &wanted.rules);
        };
        let present = self.aggregation_rule.get_or_insert_default();
        let present = present.cluster_role_selectors.get_or_insert_default();
        let wanted = rule.cluster_role_selectors.iter().flatten();
        let missing: Vec<_> =
            wanted.filter(|selector| !present.contains(selector)).cloned().collect();
        if missing.is_empty() {
            return Step::Keep;
        }
        present.extend(missing);
        Step::Update
    }
}

impl Policy for rbac::RoleBinding {
    fn complete(&mut self, wanted: &Self) -> Step {
        if self.role_ref != wanted.role_ref {
            return Step::Replace;
        }
        add_subjects(&mut self.subjects, &wanted.subjects)
    }
}

impl Policy for rbac::ClusterRoleBinding {
    fn complete(&mut self, wanted: &Self) -> Step {
        if self.role_ref != wanted.role_ref {
            return Step::Replace;
        }
        add_subjects(&mut self.subjects, &wanted.subjects)
    }
}

/// Adds the labels and annotations that are missing; whether any were.
fn complete_metadata(present: &mut ObjectMeta, wanted: &ObjectMeta) -> bool {
    let mut changed = false;
    let maps =
        [(&mut present.labels, &wanted.labels), (&mut present.annotations, &wanted.annotations)];
    for (present, wanted) in maps {
        for (key, value) in wanted.iter().flatten() {
            let present = present.get_or_insert_default();
            if !present.contains_key(key) {
                present.insert(key.clone(), value.clone());
                changed = true;
            }
        }
    }
    changed
}

fn ensure<K: Policy>(api: Api<K>, wanted: K) -> BoxFuture<'static, kube::Result<()>> {
    async move {
        let name = wanted.meta().name.clone().unwrap_or_default();
        let Some(mut present) = api.get_opt(&name).await? else {
            return exists(api.create(&PostParams::default(), &wanted).await);
        };
        let annotations = present.meta().annotations.as_ref();
        let own_care = annotations.and_then(|all| all.get(AUTOUPDATE)).map(String::as_str);
        if own_care == Some("false") {
            return Ok(());
        }
        let metadata = complete_metadata(present.meta_mut(), wanted.meta());
        match present.complete(&wanted) {
            Step::Keep if !metadata => Ok(()),
            Step::Keep | Step::Update => {
                api.replace(&name, &PostParams::default(), &present).await.map(drop)
            }
            Step::Replace => {
                api.delete(&name, &DeleteParams::default()).await?;
                exists(api.create(&PostParams::default(), &wanted).await)
            }
        }
    }
    .boxed()
}

/// A creation that somebody else was faster with is as good.
fn exists<K>(made: kube::Result<K>) -> kube::Result<()> {
    match made {
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
        made => made.map(drop),
    }
}
