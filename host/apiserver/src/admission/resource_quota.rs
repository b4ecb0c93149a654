//! No namespace takes more than its ResourceQuotas let it: what a write takes is charged before it
//! is done, last of all (`k8s.io/apiserver/pkg/admission/plugin/resourcequota`). What is given back
//! the quota controller notices.

use async_trait::async_trait;
use coracle_api::clock;
use coracle_api::quantity::Quantity;
use coracle_api::quota::{self, Amounts, Measured};
use coracle_schema::managed::owners_in;
use coracle_store::{Error as StoreError, Range};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota as Quota, Service};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use tokio::sync::Mutex;

use super::{Attributes, Operation, Plugin};
use crate::error::{ApiError, Result};
use crate::registry::{Object, encode, prefix};

/// How often a charge is tried against usage that is counted anew meanwhile.
const ATTEMPTS: usize = 16;

/// Charges follow one another, so that they do not meet at the quota they charge.
#[derive(Default)]
pub(super) struct ResourceQuota(Mutex<()>);

#[async_trait]
impl Plugin for ResourceQuota {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        let names = attributes.write.kind.names();
        let own = (&*names.group, &*names.plural, attributes.write.subresource);
        match attributes.operation {
            Operation::Create => {
                names.namespaced
                    && attributes.write.subresource.is_empty()
                    && !matches!(own, ("" | "events.k8s.io", "events", _))
            }
            Operation::Update => matches!(
                own,
                ("", "services" | "persistentvolumeclaims", "") | ("", "pods", "resize")
            ),
            Operation::Delete => false,
        }
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<()> {
        let Some(object) = object else { return Ok(()) };
        let write = attributes.write;
        let Some(kind) = write.server.registry.kind("", "resourcequotas") else { return Ok(()) };
        let prefix = prefix(kind.names(), write.namespace);
        if write.server.store.range(&prefix, Range::default()).await?.entries.is_empty() {
            return Ok(());
        }
        let _turn = self.0.lock().await;
        let mut charged: Vec<String> = vec![];
        for _ in 0..ATTEMPTS {
            let page = write.server.store.range(&prefix, Range::default()).await?;
            let mut changed = vec![];
            // All quotas are asked before any is charged.
            for entry in
                page.entries.iter().filter(|entry| !charged.iter().any(|c| **c == *entry.key))
            {
                let quota = kind.restore(&entry.value)?;
                let Some(mut quota) = quota.downcast_ref::<Quota>().cloned() else { continue };
                if charge(attributes, &mut quota, object, old)? {
                    changed.push((entry, quota));
                }
            }
            if write.dry_run {
                return Ok(());
            }
            let mut missed = false;
            for (entry, mut quota) in changed {
                let owners = owners_in(&entry.value);
                let value = encode(&mut quota, owners).map_err(ApiError::internal)?;
                match write.server.store.update(&entry.key, value, entry.modified).await {
                    Ok(_) => charged.push(entry.key.to_string()),
                    Err(StoreError::Conflict { .. } | StoreError::NotFound(_)) => missed = true,
                    Err(error) => return Err(error.into()),
                }
            }
            if !missed {
                return Ok(());
            }
        }
        let names = write.kind.names();
        let why = "the quota has been modified too often meanwhile; please try again";
        Err(ApiError::conflict(&names.group, &names.plural, attributes.name, why))
    }
}

fn measured(object: &dyn Object) -> Measured<'_> {
    if let Some(pod) = object.downcast_ref::<Pod>() {
        Measured::Pod(pod)
    } else if let Some(service) = object.downcast_ref::<Service>() {
        Measured::Service(service)
    } else if let Some(claim) = object.downcast_ref::<PersistentVolumeClaim>() {
        Measured::Claim(claim)
    } else {
        Measured::Other
    }
}

/// Adds what the write takes to what the quota says is used. Whether that changed anything.
fn charge(
    attributes: &Attributes<'_>,
    quota: &mut Quota,
    object: &dyn Object,
    old: Option<&dyn Object>,
) -> Result<bool> {
    let names = attributes.write.kind.names();
    let (group, plural) = (&*names.group, &*names.plural);
    let spec = quota.spec.clone().unwrap_or_default();
    let new = measured(object);
    if !quota::in_scope(&spec, new) {
        return Ok(false);
    }
    let name = quota.metadata.name.clone().unwrap_or_default();
    let forbidden = |why: &str| Err(ApiError::forbidden(group, plural, attributes.name, why));
    let status = quota.status.get_or_insert_default();
    let hard: Amounts = amounts(status.hard.as_ref());
    let watched: Vec<_> =
        hard.keys().map(String::as_str).filter(|name| quota::covers(group, plural, name)).collect();
    if let Measured::Pod(pod) = new
        && let Some(missing) = quota::unspecified(pod, &watched)
    {
        return forbidden(&format!("failed quota: {name}: {missing}"));
    }
    let mut used = amounts(status.used.as_ref());
    if watched.iter().any(|name| !used.contains_key(*name)) {
        let resources = watched.join(",");
        return forbidden(&format!("status unknown for quota: {name}, resources: {resources}"));
    }
    let now = clock::now();
    let mut taken = quota::usage(group, plural, new, now);
    let negative: Vec<_> =
        taken.iter().filter(|(_, amount)| amount.is_negative()).map(|(name, _)| &**name).collect();
    if !negative.is_empty() {
        let resources = negative.join(",");
        return forbidden(&format!("quota usage is negative for resource(s): {resources}"));
    }
    if let Some(old) = old.map(measured).filter(|old| quota::in_scope(&spec, *old)) {
        for (name, before) in quota::usage(group, plural, old, now) {
            if let Some(amount) = taken.get_mut(&name) {
                *amount = (*amount - before).max(Quantity::ZERO);
            }
        }
    }
    taken.retain(|name, amount| !amount.is_zero() && watched.contains(&name.as_str()));
    let beyond = |name: &String, amount: &Quantity| {
        let used = used.get(name).copied().unwrap_or_default();
        hard.get(name).is_some_and(|hard| used + *amount > *hard)
    };
    let exceeded: Vec<_> =
        taken.iter().filter(|(name, amount)| beyond(name, amount)).map(|(name, _)| name).collect();
    if !exceeded.is_empty() {
        let of = |all: &Amounts| {
            let parts = exceeded
                .iter()
                .map(|name| format!("{name}={}", all.get(*name).copied().unwrap_or_default()));
            parts.collect::<Vec<_>>().join(",")
        };
        return forbidden(&format!(
            "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
            of(&taken),
            of(&used),
            of(&hard)
        ));
    }
    if taken.is_empty() {
        return Ok(false);
    }
    for (name, amount) in taken {
        *used.entry(name).or_default() += amount;
    }
    status.used = Some(used.into_iter().map(|(name, amount)| (name, Text::from(amount))).collect());
    Ok(true)
}

fn amounts(texts: Option<&std::collections::BTreeMap<String, Text>>) -> Amounts {
    let texts = texts.into_iter().flatten();
    texts.filter_map(|(name, text)| Some((name.clone(), Quantity::try_from(text).ok()?))).collect()
}
