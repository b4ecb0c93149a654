//! Namespaces that go: everything in them is deleted, pods first, then the namespace is let go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use coracle_api::clock;
use coracle_api::conditions::{self, Condition};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};

use crate::context::Context;
use crate::dynamic::{self, Kind};
use crate::error::{Error, Result, While};
use crate::runner::{Key, Next, Reconcile};

const WORKERS: usize = 10;
const FINALIZER: &str = "kubernetes";
/// What has a finalizer is expected to take this long.
const FINALIZER_SECONDS: i64 = 15;
/// After a pod has gone its siblings are given this long to go too.
const SIBLINGS: Duration = Duration::from_millis(50);

const DISCOVERY: &str = "NamespaceDeletionDiscoveryFailure";
const PARSING: &str = "NamespaceDeletionGroupVersionParsingFailure";
const DELETION: &str = "NamespaceDeletionContentFailure";
const CONTENT: &str = "NamespaceContentRemaining";
const FINALIZERS: &str = "NamespaceFinalizersRemaining";

/// Each condition of a namespace that goes, with reason and message while nothing is wrong.
const IN_ORDER: [(&str, &str, &str); 5] = [
    (DISCOVERY, "ResourcesDiscovered", "All resources successfully discovered"),
    (PARSING, "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        DELETION,
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    (CONTENT, "ContentRemoved", "All content successfully removed"),
    (FINALIZERS, "ContentRemoved", "All content successfully removed"),
];

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("namespace");
    context.informers.namespaces.on_change({
        let queue = queue.clone();
        move |change| {
            let leaving =
                |namespace: &&Arc<Namespace>| namespace.metadata.deletion_timestamp.is_some();
            if let Some(namespace) = change.new.as_ref().filter(leaving) {
                queue.add(Key::of(&**namespace));
            }
        }
    });
    context.informers.pods.on_change({
        let queue = queue.clone();
        let informers = Arc::downgrade(&context.informers);
        move |change| {
            let (Some(pod), None, Some(informers)) =
                (&change.old, &change.new, informers.upgrade())
            else {
                return;
            };
            let key = Key::new("", pod.metadata.namespace.clone().unwrap_or_default());
            let namespace = informers.namespaces.get(&key);
            if namespace.is_some_and(|one| one.metadata.deletion_timestamp.is_some()) {
                queue.add_after(key, SIBLINGS);
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, WORKERS, Namespaces { context: context.clone() });
    Box::pin(async move {
        waiting.informers.namespaces.synced().await;
        waiting.informers.pods.synced().await;
        runner.run().await;
    })
}

struct Namespaces {
    context: Context,
}

/// What is left of a namespace's content.
#[derive(Debug, Default)]
struct Content {
    /// How many of each kind.
    remaining: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
    discovery: BTreeMap<String, String>,
    failures: Vec<String>,
    /// Seconds until it may be gone.
    estimate: i64,
}

#[async_trait]
impl Reconcile<Key> for Namespaces {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, .. } = &self.context;
        let api = Api::<Namespace>::all(client.clone());
        let Some(namespace) = informers.namespaces.get(key) else { return Ok(Next::Wait) };
        let has_finalizer = namespace
            .spec
            .as_ref()
            .and_then(|spec| spec.finalizers.as_ref())
            .is_some_and(|finalizers| finalizers.iter().any(|one| one == FINALIZER));
        if namespace.metadata.deletion_timestamp.is_none() || !has_finalizer {
            return Ok(Next::Wait);
        }
        let namespace = self.mark(&api, &namespace).await?;
        let content = self.delete_content(&key.name).await?;
        let namespace = self.write_status(&api, &namespace, &content).await?;
        if content.estimate > 0 {
            let seconds = u64::try_from(content.estimate / 2 + 1).unwrap_or(1);
            return Ok(Next::After(Duration::from_secs(seconds)));
        }
        if !content.failures.is_empty() || !content.discovery.is_empty() {
            return Err(Error::Unfinished(describe_failures(&content)));
        }
        finalize(&api, &namespace).await?;
        Ok(Next::Wait)
    }
}

impl Namespaces {
    /// Makes sure that the phase says what is going on.
    async fn mark(
        &self,
        api: &Api<Namespace>,
        namespace: &Arc<Namespace>,
    ) -> Result<Arc<Namespace>> {
        let mut status = namespace.status.clone().unwrap_or_default();
        if status.phase.as_deref() == Some("Terminating") {
            return Ok(namespace.clone());
        }
        status.phase = Some("Terminating".to_owned());
        self.put_status(api, Namespace { status: Some(status), ..(**namespace).clone() }).await
    }

    async fn put_status(
        &self,
        api: &Api<Namespace>,
        namespace: Namespace,
    ) -> Result<Arc<Namespace>> {
        let name = namespace.metadata.name.clone().unwrap_or_default();
        let written = api.replace_status(&name, &PostParams::default(), &namespace).await;
        let written = written.doing("writing a namespace's status")?;
        Ok(self.context.informers.namespaces.observe(written))
    }

    async fn write_status(
        &self,
        api: &Api<Namespace>,
        namespace: &Arc<Namespace>,
        content: &Content,
    ) -> Result<Arc<Namespace>> {
        let mut status = namespace.status.clone().unwrap_or_default();
        let mut changed = false;
        for condition in conditions_of(content) {
            changed |= conditions::set(&mut status.conditions, condition);
        }
        if !changed {
            return Ok(namespace.clone());
        }
        self.put_status(api, Namespace { status: Some(status), ..(**namespace).clone() }).await
    }

    /// Deletes what there is: pods alone while there are some, since they may use the rest.
    async fn delete_content(&self, namespace: &str) -> Result<Content> {
        let mut content = Content::default();
        let discovered = dynamic::discover(&self.context.client).await?;
        content.discovery = discovered.failures;
        let is_pods =
            |kind: &Arc<Kind>| kind.resource.group.is_empty() && kind.resource.plural == "pods";
        let (pods, others): (Vec<_>, Vec<_>) = discovered
            .kinds
            .into_iter()
            .filter(|kind| kind.namespaced && kind.can("delete") && kind.can("list"))
            .partition(is_pods);
        for kind in &pods {
            self.delete_kind(kind, namespace, &mut content).await;
        }
        if content.remaining.is_empty() && content.failures.is_empty() {
            for kind in &others {
                self.delete_kind(kind, namespace, &mut content).await;
            }
        }
        Ok(content)
    }

    async fn delete_kind(&self, kind: &Kind, namespace: &str, content: &mut Content) {
        match self.try_delete_kind(kind, namespace).await {
            Ok((estimate, left)) => {
                content.estimate = content.estimate.max(estimate);
                if !left.is_empty() {
                    content.remaining.insert(kind.qualified(), left.len());
                }
                for finalizer in left.into_iter().flatten() {
                    *content.finalizers.entry(finalizer).or_default() += 1;
                }
            }
            Err(error) => content.failures.push(error.to_string()),
        }
    }

    /// The finalizers of each object that is left, and the seconds until they may be gone.
    async fn try_delete_kind(
        &self,
        kind: &Kind,
        namespace: &str,
    ) -> Result<(i64, Vec<Vec<String>>)> {
        let api = kind.api(&self.context.client, namespace);
        // What is done here is done for everything, so nothing need be orphaned or waited for.
        let params = DeleteParams::background();
        let everything = ListParams::default();
        let listed =
            api.list_metadata(&everything).await.doing("listing what is in a namespace")?;
        if listed.items.is_empty() {
            return Ok((0, Vec::new()));
        }
        if kind.can("deletecollection") {
            let deleted = api.delete_collection(&params, &everything).await;
            deleted.doing("deleting what is in a namespace")?;
        } else {
            for object in &listed.items {
                let name = object.metadata.name.as_deref().unwrap_or_default();
                match api.delete(name, &params).await.doing("deleting what is in a namespace") {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => {}
                }
            }
        }
        let left = api.list_metadata(&everything).await.doing("listing what is in a namespace")?;
        let mut estimate = 0;
        if kind.resource.plural == "pods" && kind.resource.group.is_empty() {
            estimate = self.grace(namespace).await?;
        }
        let left: Vec<_> =
            left.items.into_iter().map(|one| one.metadata.finalizers.unwrap_or_default()).collect();
        if estimate == 0 && left.iter().any(|finalizers| !finalizers.is_empty()) {
            estimate = FINALIZER_SECONDS;
        } else if estimate == 0 && !left.is_empty() {
            estimate = 1;
        }
        Ok((estimate, left))
    }

    /// The longest time that a pod still has to go in peace.
    async fn grace(&self, namespace: &str) -> Result<i64> {
        let api = Api::<Pod>::namespaced(self.context.client.clone(), namespace);
        let pods = api.list(&ListParams::default()).await.doing("listing a namespace's pods")?;
        let now = clock::now();
        let left = pods.items.iter().filter_map(|pod| {
            let deletion = pod.metadata.deletion_timestamp.as_ref()?;
            Some(deletion.0.duration_since(now).as_secs().max(1))
        });
        Ok(left.max().unwrap_or(0))
    }
}

async fn finalize(api: &Api<Namespace>, namespace: &Namespace) -> Result<()> {
    let mut changed = namespace.clone();
    if let Some(finalizers) = changed.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
        finalizers.retain(|one| one != FINALIZER);
    }
    let name = changed.metadata.name.clone().unwrap_or_default();
    let written =
        api.replace_subresource("finalize", &name, &PostParams::default(), &changed).await;
    match written.doing("letting a namespace go") {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

fn describe_failures(content: &Content) -> String {
    let failures = content.discovery.values().chain(&content.failures).cloned();
    failures.collect::<Vec<_>>().join(", ")
}

/// What the conditions say of the content, in Kubernetes' words.
fn conditions_of(content: &Content) -> Vec<NamespaceCondition> {
    let trouble = |type_: &str| -> Option<(&'static str, String)> {
        let join = |list: Vec<String>| list.join(", ");
        match type_ {
            DISCOVERY if !content.discovery.is_empty() => {
                let groups = &content.discovery;
                let texts = groups.iter().map(|(group, text)| format!("{group}: {text}"));
                let message = format!(
                    "Discovery failed for some groups, {} failing: unable to retrieve the complete \
                     list of server APIs: {}",
                    groups.len(),
                    join(texts.collect())
                );
                Some(("DiscoveryFailed", message))
            }
            DELETION if !content.failures.is_empty() => {
                let mut failures = content.failures.clone();
                failures.sort();
                let message = format!(
                    "Failed to delete all resource types, {} remaining: {}",
                    failures.len(),
                    join(failures)
                );
                Some(("ContentDeletionFailed", message))
            }
            CONTENT if !content.remaining.is_empty() => {
                let kinds = content.remaining.iter();
                let texts =
                    kinds.map(|(kind, count)| format!("{kind} has {count} resource instances"));
                let message = format!("Some resources are remaining: {}", join(texts.collect()));
                Some(("SomeResourcesRemain", message))
            }
            FINALIZERS if !content.finalizers.is_empty() => {
                let finalizers = content.finalizers.iter();
                let texts =
                    finalizers.map(|(one, count)| format!("{one} in {count} resource instances"));
                let message = format!("Some finalizers are remaining: {}", join(texts.collect()));
                Some(("SomeFinalizerRemain", message))
            }
            _ => None,
        }
    };
    let condition = |(type_, reason, message): &(&str, &str, &str)| match trouble(type_) {
        Some((reason, message)) => NamespaceCondition::new(type_, "True", reason, message),
        None => NamespaceCondition::new(type_, "False", reason, *message),
    };
    IN_ORDER.iter().map(condition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_say_what_remains() {
        let mut content = Content::default();
        assert!(conditions_of(&content).iter().all(|one| !one.is_true()));
        content.remaining.insert("pods.".into(), 2);
        content.remaining.insert("deployments.apps".into(), 1);
        content.finalizers.insert("example.com/hold".into(), 1);
        content.failures = vec!["b".into(), "a".into()];
        let conditions = Some(conditions_of(&content));
        let message = |type_: &str| {
            conditions::find(conditions.as_ref(), type_).unwrap().message().to_owned()
        };
        assert_eq!(
            message(CONTENT),
            "Some resources are remaining: deployments.apps has 1 resource instances, \
             pods. has 2 resource instances"
        );
        assert_eq!(
            message(FINALIZERS),
            "Some finalizers are remaining: example.com/hold in 1 resource instances"
        );
        assert_eq!(message(DELETION), "Failed to delete all resource types, 2 remaining: a, b");
        assert_eq!(message(DISCOVERY), "All resources successfully discovered");
    }
}
