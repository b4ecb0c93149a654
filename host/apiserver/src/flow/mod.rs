//! Priority and fairness (KEP-1040): every request belongs to a flow of some FlowSchema, every
//! schema to a priority level, every level has places of its own; requests that find none wait in
//! queues, so that no flow crowds out another. Watches and logs live long and are not counted.

mod level;
mod schema;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use coracle_store::Store;
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};

use self::level::{Level, Pool, Queuing, Rejected};
use crate::authn::MASTERS;
use crate::authz::Attributes;
use crate::config::Limits;
use crate::error::{ApiError, Reason, Result};
use crate::metrics::Metrics;
use crate::registry::{Mirror, View};
use crate::timeouts;

pub(crate) use level::Seat;

/// The level of requests that no schema speaks of, as in a server whose schemas are not written
/// yet.
const FALLBACK: &str = "";
/// What a percentage of borrowing is of.
const HUNDRED: usize = 100;

/// The schemas and levels as they are stored.
#[derive(Default)]
struct Objects {
    /// Counts changes.
    generation: u64,
    schemas: BTreeMap<String, Arc<FlowSchema>>,
    levels: BTreeMap<String, Arc<PriorityLevelConfiguration>>,
    /// The schemas in the order in which they are asked.
    order: Vec<Arc<FlowSchema>>,
}

impl View for Objects {
    const PREFIX: &'static str = "/registry/flowcontrol.apiserver.k8s.io/";

    fn put(&mut self, key: &str, value: &Bytes) {
        let Some((resource, name)) = split(key) else { return };
        match resource {
            "flowschemas" => match serde_json::from_slice(value) {
                Ok(schema) => drop(self.schemas.insert(name.into(), Arc::new(schema))),
                Err(error) => tracing::error!(key, %error, "a stored object cannot be read"),
            },
            _ => match serde_json::from_slice(value) {
                Ok(level) => drop(self.levels.insert(name.into(), Arc::new(level))),
                Err(error) => tracing::error!(key, %error, "a stored object cannot be read"),
            },
        }
        self.changed();
    }

    fn remove(&mut self, key: &str) {
        let Some((resource, name)) = split(key) else { return };
        match resource {
            "flowschemas" => drop(self.schemas.remove(name)),
            _ => drop(self.levels.remove(name)),
        }
        self.changed();
    }
}

fn split(key: &str) -> Option<(&str, &str)> {
    let (resource, name) = key.strip_prefix(Objects::PREFIX)?.split_once('/')?;
    Some((resource, name.trim_start_matches('/')))
}

impl Objects {
    fn changed(&mut self) {
        self.generation += 1;
        let precedence = |schema: &Arc<FlowSchema>| {
            schema.spec.as_ref().and_then(|spec| spec.matching_precedence).unwrap_or(i32::MAX)
        };
        self.order = self.schemas.values().cloned().collect();
        self.order.sort_by_key(precedence);
    }

    /// The schema that speaks of the request, and its level.
    fn classify(
        &self,
        request: &Attributes<'_>,
    ) -> Option<(&Arc<FlowSchema>, &Arc<PriorityLevelConfiguration>)> {
        self.order.iter().filter(|schema| schema::matches(schema, request)).find_map(|schema| {
            // A schema whose level is missing speaks of nothing.
            let level = &schema.spec.as_ref()?.priority_level_configuration.name;
            Some((schema, self.levels.get(level)?))
        })
    }
}

/// Where a request was put.
#[derive(Clone, Debug, Default)]
pub(crate) struct Class {
    /// `None` if no schema speaks of it.
    found: Option<(Arc<FlowSchema>, Arc<PriorityLevelConfiguration>)>,
    exempt: bool,
    /// Stands for the flow among those of its schema.
    flow: u64,
}

fn text(value: Option<&String>) -> &str {
    value.map_or("", String::as_str)
}

impl Class {
    /// The uids of schema and level.
    pub(crate) fn uids(&self) -> Option<(&str, &str)> {
        let (schema, level) = self.found.as_ref()?;
        Some((text(schema.metadata.uid.as_ref()), text(level.metadata.uid.as_ref())))
    }

    /// The names of schema and level.
    fn names(&self) -> (&str, &str) {
        let Some((schema, level)) = &self.found else { return (FALLBACK, FALLBACK) };
        (text(schema.metadata.name.as_ref()), text(level.metadata.name.as_ref()))
    }
}

pub(crate) struct Flow {
    objects: Mirror<Objects>,
    levels: Mutex<Levels>,
    pool: Arc<Pool>,
}

#[derive(Default)]
struct Levels {
    /// Of the objects that the levels are made from.
    generation: u64,
    by_name: HashMap<String, Arc<Level>>,
}

impl Flow {
    pub(crate) fn new(limits: &Limits) -> Self {
        let pool = Pool::new(limits.reading + limits.mutating);
        let fallback = Level::new(pool.clone());
        fallback.configure(pool.total(), pool.total(), None);
        let levels = Levels { generation: 0, by_name: [(FALLBACK.into(), fallback)].into() };
        Self { objects: Mirror::default(), levels: Mutex::new(levels), pool }
    }

    /// Where the request belongs.
    pub(crate) async fn classify(
        &self,
        store: &dyn Store,
        request: &Attributes<'_>,
    ) -> Result<Class> {
        let look = |objects: &Objects| {
            self.follow(objects);
            let Some((schema, level)) = objects.classify(request) else {
                // Those who can make room must get in.
                return Class { exempt: request.identity.is_in(MASTERS), ..Class::default() };
            };
            let mut hasher = DefaultHasher::new();
            (&schema.metadata.name, schema::flow(schema, request)).hash(&mut hasher);
            Class {
                exempt: level.spec.as_ref().is_some_and(|spec| spec.type_ == "Exempt"),
                flow: hasher.finish(),
                found: Some((schema.clone(), level.clone())),
            }
        };
        Ok(self.objects.read(store, look).await?)
    }

    /// A place among the requests under way; none is needed by those that are exempt.
    pub(crate) async fn enter(&self, class: &Class, metrics: &Metrics) -> Result<Option<Seat>> {
        if class.exempt {
            return Ok(None);
        }
        let level = {
            let levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
            let own = levels.by_name.get(class.names().1);
            own.or_else(|| levels.by_name.get(FALLBACK)).cloned()
        };
        let Some(level) = level else { return Ok(None) };
        match level.enter(class.flow).await {
            Ok(seat) => Ok(Some(seat)),
            Err(rejected) => {
                let reason = match rejected {
                    Rejected::Full => "queue-full",
                    Rejected::TimedOut => "time-out",
                };
                let (schema, level) = class.names();
                metrics.rejected(schema, level, reason);
                let message = "Too many requests, please try again later.";
                let error = ApiError::new(Reason::TooManyRequests, message);
                Err(ApiError { retry_after: Some(timeouts::RETRY_AFTER), ..error })
            }
        }
    }

    /// Brings the levels up to date with the objects.
    fn follow(&self, objects: &Objects) {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        if levels.generation == objects.generation {
            return;
        }
        levels.generation = objects.generation;
        levels.by_name.retain(|name, _| name == FALLBACK || objects.levels.contains_key(name));
        let shares = |level: &PriorityLevelConfiguration| -> usize {
            let spec = level.spec.as_ref();
            let limited = spec.and_then(|spec| spec.limited.as_ref()?.nominal_concurrency_shares);
            let exempt = spec.and_then(|spec| spec.exempt.as_ref()?.nominal_concurrency_shares);
            usize::try_from(limited.or(exempt).unwrap_or_default()).unwrap_or_default()
        };
        let sum = objects.levels.values().map(|level| shares(level)).sum::<usize>().max(1);
        for (name, stored) in &objects.levels {
            let own = (self.pool.total() * shares(stored)).div_ceil(sum);
            let limited = stored.spec.as_ref().and_then(|spec| spec.limited.as_ref());
            let percent = limited.and_then(|limited| limited.borrowing_limit_percent);
            let most = percent.map_or(self.pool.total(), |percent| {
                own + own * usize::try_from(percent).unwrap_or_default() / HUNDRED
            });
            let response = limited.and_then(|limited| limited.limit_response.as_ref());
            let queuing = response.and_then(|response| response.queuing.as_ref()).map(|queuing| {
                let of = |value: Option<i32>, usual: usize| {
                    value.and_then(|value| usize::try_from(value).ok()).unwrap_or(usual)
                };
                Queuing {
                    queues: of(queuing.queues, 64),
                    hand: of(queuing.hand_size, 8),
                    length: of(queuing.queue_length_limit, 50),
                }
            });
            let level = levels.by_name.entry(name.clone());
            level.or_insert_with(|| Level::new(self.pool.clone())).configure(own, most, queuing);
        }
    }
}

#[cfg(test)]
mod tests;
