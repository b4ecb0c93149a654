//! `eviction`: a deletion that asks the pod's disruption budget first
//! (`pkg/registry/core/pod/storage/eviction.go`).

use std::sync::Arc;

use axum::body::Body;
use coracle_api::conditions::{self, Condition};
use coracle_api::selector::Selector;
use coracle_api::{clock, pods};
use coracle_schema::managed::owners_in;
use coracle_store::{Entry, Error as StoreError, Range};
use http::{Response, StatusCode};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as MetaCondition, Time};
use serde::Deserialize;

use super::negotiate::Output;
use super::options::WriteOptions;
use super::{Call, body, respond};
use crate::error::{ApiError, Cause, CauseReason, Reason, Result};
use crate::registry::{self, DeleteOptions, Kind, Object, Preconditions, encode, key, prefix};

/// How often is tried what others change meanwhile.
const ATTEMPTS: usize = 20;
/// Evictions that the budget's controller has not confirmed yet, at most.
const MAX_DISRUPTED: usize = 2000;
const VIOLATES: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// `policy/v1 Eviction`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Eviction {
    metadata: Metadata,
    delete_options: Option<DeleteOptions>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
}

pub(super) async fn create(call: &Call, kind: &dyn Kind, body: Body) -> Result<Response<Body>> {
    let output = Output::negotiate(&call.headers, &call.params)?;
    let options = WriteOptions::read(&call.params, "CreateOptions")?;
    let json = body::json(call, body).await?;
    let eviction: Eviction = serde_json::from_slice(&json).map_err(|error| {
        let message =
            format!("Eviction in version \"v1\" cannot be handled as a Eviction: json: {error}");
        ApiError::bad_request(message)
    })?;
    let name = &call.target.name;
    if !eviction.metadata.name.is_empty() && eviction.metadata.name != *name {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let delete = eviction.delete_options.unwrap_or_default();
    let dry = |values: &Vec<String>| values.iter().any(|value| value == "All");
    let dry_run = options.dry_run || delete.dry_run.as_ref().is_some_and(dry);
    Evicting { call, kind, name, delete, dry_run }.run().await?;
    respond::success(StatusCode::CREATED, output, None)
}

struct Evicting<'a> {
    call: &'a Call,
    kind: &'a dyn Kind,
    name: &'a str,
    delete: DeleteOptions,
    dry_run: bool,
}

impl Evicting<'_> {
    async fn run(&self) -> Result<()> {
        let given = self.delete.preconditions.as_ref();
        let version_given = given.is_some_and(|given| given.resource_version.is_some());
        let (mut pod, mut entry) = self.pod().await?;
        // Pods that serve nobody go without asking, unless they come to serve meanwhile.
        for attempt in 1.. {
            let over = pods::is_terminal(&pod) || pods::is_terminating(&pod);
            if !over && pods::phase(&pod) != "Pending" {
                break;
            }
            match self.delete(if over { None } else { Some(&entry) }).await {
                Err(error)
                    if error.reason == Reason::Conflict && !version_given && attempt < ATTEMPTS =>
                {
                    (pod, entry) = self.pod().await?;
                }
                done => return done,
            }
        }
        let mut bound = None;
        let mut budgets = self.budgets(&pod).await?;
        let budget = budgets.pop();
        if !budgets.is_empty() {
            let message = "This pod has more than one PodDisruptionBudget, which the eviction \
                           subresource does not support.";
            return Err(ApiError::new(Reason::Unknown, message));
        }
        if let Some((_, budget)) = &budget {
            // A pod that is not ready is not among the healthy ones that the budget counts.
            if !pods::is_ready(&pod) && may_lose_unready(budget) {
                bound = Some(&entry);
            } else {
                self.decrement(&pod).await?;
            }
        }
        if bound.is_none() {
            self.announce().await?;
        }
        match (self.delete(bound.map(|entry| &**entry)).await, &budget) {
            (Err(error), Some((_, budget)))
                if error.reason == Reason::Conflict && bound.is_some() && !version_given =>
            {
                Err(unsettled(&name_of(budget)))
            }
            (done, _) => done,
        }
    }

    async fn pod(&self) -> Result<(Pod, Arc<Entry>)> {
        let key = key(self.kind.names(), &self.call.target.namespace, self.name);
        let entry = self.call.server.store.get(&key).await?;
        let entry = entry.ok_or_else(|| ApiError::not_found("", "pods", self.name))?;
        let object = self.kind.restore(&entry.value)?;
        let pod = object.downcast_ref::<Pod>().cloned().unwrap_or_default();
        Ok((pod, entry))
    }

    /// The deletion itself; of the pod exactly as in `state`, if one is given.
    async fn delete(&self, state: Option<&Entry>) -> Result<()> {
        let mut options = self.delete.clone();
        if let Some(entry) = state {
            let preconditions = options.preconditions.get_or_insert_with(Preconditions::default);
            preconditions.resource_version.get_or_insert_with(|| entry.modified.to_string());
        }
        registry::delete(self.call.write(self.kind, self.dry_run), self.name, &options).await?;
        Ok(())
    }

    /// The budgets that the pod is under.
    async fn budgets(&self, pod: &Pod) -> Result<Vec<(Arc<Entry>, PodDisruptionBudget)>> {
        let server = &self.call.server;
        let kind = server.registry.kind("policy", "poddisruptionbudgets");
        let Some(kind) = kind else { return Ok(vec![]) };
        let prefix = prefix(kind.names(), &self.call.target.namespace);
        let page = server.store.range(&prefix, Range::default()).await?;
        let mut found = vec![];
        for entry in page.entries {
            let object = kind.restore(&entry.value)?;
            let Some(budget) = object.downcast_ref::<PodDisruptionBudget>() else { continue };
            let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            let Some(Ok(selector)) = selector.map(Selector::try_from) else { continue };
            if selector.matches_some(pod.metadata.labels.as_ref()) {
                let budget = budget.clone();
                found.push((entry, budget));
            }
        }
        Ok(found)
    }

    /// Takes one of the disruptions that the pod's budget allows.
    async fn decrement(&self, pod: &Pod) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let Some((entry, mut budget)) = self.budgets(pod).await?.pop() else { return Ok(()) };
            take(&mut budget, self.name)?;
            if self.dry_run {
                return Ok(());
            }
            let value = encode(&mut budget, owners_in(&entry.value)).map_err(ApiError::internal)?;
            match self.call.server.store.update(&entry.key, value, entry.modified).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict { .. } | StoreError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let message = "couldn't update the pod's PodDisruptionBudget due to conflicts";
        Err(ApiError { retry_after: Some(10), ..ApiError::new(Reason::Timeout, message) })
    }

    /// Says in the pod's status why it goes.
    async fn announce(&self) -> Result<()> {
        if self.dry_run {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let (mut pod, entry) = self.pod().await?;
            let (reason, message) = ("EvictionByEvictionAPI", "Eviction API: evicting");
            let condition = PodCondition::new("DisruptionTarget", "True", reason, message);
            let status = pod.status.get_or_insert_default();
            if !conditions::set(&mut status.conditions, condition) {
                return Ok(());
            }
            let object: &mut dyn Object = &mut pod;
            let value = encode(object, owners_in(&entry.value)).map_err(ApiError::internal)?;
            match self.call.server.store.update(&entry.key, value, entry.modified).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict { .. } | StoreError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn name_of(budget: &PodDisruptionBudget) -> String {
    budget.metadata.name.clone().unwrap_or_default()
}

/// Whether pods that are not ready may go although the budget is spent
/// (`spec.unhealthyPodEvictionPolicy`).
fn may_lose_unready(budget: &PodDisruptionBudget) -> bool {
    let policy = budget.spec.as_ref().and_then(|s| s.unhealthy_pod_eviction_policy.as_deref());
    if policy == Some("AlwaysAllow") {
        return true;
    }
    budget.status.as_ref().is_some_and(|status| {
        let desired = status.desired_healthy.unwrap_or_default();
        desired > 0 && status.current_healthy.unwrap_or_default() >= desired
    })
}

/// The budget's controller has not caught up.
fn unsettled(budget: &str) -> ApiError {
    let message = format!("The disruption budget {budget} is still being processed by the server.");
    ApiError { retry_after: Some(10), ..violates(message) }
}

fn violates(message: String) -> ApiError {
    let cause = Cause::new(CauseReason::DisruptionBudget, "", message);
    ApiError { causes: vec![cause], ..ApiError::new(Reason::TooManyRequests, VIOLATES) }
}

/// Takes one of the disruptions that `budget` allows, for the pod called `pod`.
fn take(budget: &mut PodDisruptionBudget, pod: &str) -> Result<()> {
    let name = name_of(budget);
    let generation = budget.metadata.generation.unwrap_or_default();
    let status = budget.status.get_or_insert_default();
    if status.observed_generation.unwrap_or_default() < generation {
        return Err(unsettled(&name));
    }
    let forbidden =
        |why: &str| Err(ApiError::forbidden("policy", "poddisruptionbudget", &name, why));
    let allowed = status.disruptions_allowed.unwrap_or_default();
    if allowed < 0 {
        return forbidden("pdb disruptions allowed is negative");
    }
    let disrupted = status.disrupted_pods.get_or_insert_default();
    if disrupted.len() > MAX_DISRUPTED {
        return forbidden(
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        );
    }
    if allowed == 0 {
        let failed = conditions::find(status.conditions.as_ref(), "DisruptionAllowed")
            .filter(|condition| condition.reason == "SyncFailed");
        return Err(violates(match failed {
            Some(failed) => format!(
                "The disruption budget {name} does not allow evicting pods currently because it \
                 failed sync: {}",
                failed.message
            ),
            None => format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                status.desired_healthy.unwrap_or_default(),
                status.current_healthy.unwrap_or_default()
            ),
        }));
    }
    disrupted.insert(pod.to_owned(), Time(clock::now()));
    status.disruptions_allowed = Some(allowed - 1);
    if allowed == 1 {
        let mut spent =
            MetaCondition::new("DisruptionAllowed", "False", "InsufficientPods", String::new());
        spent.observed_generation = status.observed_generation;
        conditions::set(&mut status.conditions, spent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn budget(status: Value) -> PodDisruptionBudget {
        let budget = json!({ "metadata": { "name": "b", "generation": 2 }, "status": status });
        serde_json::from_value(budget).unwrap()
    }

    fn status(observed: i64, allowed: i32) -> Value {
        json!({
            "observedGeneration": observed, "disruptionsAllowed": allowed,
            "currentHealthy": 3, "desiredHealthy": 3, "expectedPods": 3,
        })
    }

    #[test]
    fn a_disruption_is_taken_once() {
        let mut one = budget(status(2, 1));
        take(&mut one, "p").unwrap();
        let left = one.status.as_ref().unwrap();
        assert_eq!(left.disruptions_allowed, Some(0));
        assert!(left.disrupted_pods.as_ref().unwrap().contains_key("p"));
        let condition = &left.conditions.as_ref().unwrap()[0];
        assert_eq!(
            (&*condition.type_, &*condition.reason),
            ("DisruptionAllowed", "InsufficientPods")
        );
        let error = take(&mut one, "q").unwrap_err();
        assert_eq!((error.reason, error.retry_after), (Reason::TooManyRequests, None));
        let expected = "The disruption budget b needs 3 healthy pods and has 3 currently";
        assert_eq!(error.causes[0].message, expected);
    }

    #[test]
    fn a_budget_that_is_behind_is_asked_again() {
        let error = take(&mut budget(status(1, 1)), "p").unwrap_err();
        assert_eq!((error.reason, error.retry_after), (Reason::TooManyRequests, Some(10)));
        let expected = "The disruption budget b is still being processed by the server.";
        assert_eq!(error.causes[0].message, expected);
        assert_eq!(take(&mut budget(status(2, -1)), "p").unwrap_err().reason, Reason::Forbidden);
    }

    #[test]
    fn unready_pods_go_where_enough_are_healthy() {
        assert!(may_lose_unready(&budget(status(2, 0))));
        let mut none = budget(json!({
            "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 2, "expectedPods": 2,
        }));
        assert!(!may_lose_unready(&none));
        none.spec.get_or_insert_default().unhealthy_pod_eviction_policy =
            Some("AlwaysAllow".into());
        assert!(may_lose_unready(&none));
    }
}
