//! Events for people: repeated ones become a count, a flood of similar ones becomes one, and an
//! object that is reported on without end is silenced, as client-go's correlator does it. Pure:
//! whoever records events writes what [`Correlator::correlate`] says.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Resource;

use crate::dice;

/// How many objects and messages are remembered.
const REMEMBERED: usize = 4096;
/// Different messages of one kind about one object, before they are combined.
const SIMILAR: usize = 10;
/// For how long similar events are similar.
const SIMILAR_FOR: SignedDuration = SignedDuration::from_mins(10);
/// Events about one object that may come at once.
const BURST: f64 = 25.0;
/// Seconds until an object may be reported on once more.
const REFILL_SECONDS: f64 = 300.0;

/// What there is to report.
#[derive(Clone, Debug)]
pub struct Report {
    /// The object that it is about.
    pub object: ObjectReference,
    /// Whether it is `Warning` rather than `Normal`.
    pub warning: bool,
    /// The machine-readable reason.
    pub reason: String,
    /// The message for people.
    pub message: String,
}

impl Report {
    /// Something that went as it should.
    pub fn normal(object: ObjectReference, reason: &str, message: impl Into<String>) -> Self {
        Self { object, warning: false, reason: reason.to_owned(), message: message.into() }
    }

    /// Something that did not.
    pub fn warning(object: ObjectReference, reason: &str, message: impl Into<String>) -> Self {
        Self { warning: true, ..Self::normal(object, reason, message) }
    }
}

/// What must be written for a report.
#[derive(Clone, Debug)]
pub enum Action {
    /// Create this event.
    Create(Box<Event>),
    /// Raise the count of an event written before; if it is gone, create it.
    Repeat(Box<Event>),
    /// Write nothing: too much was said about this object.
    Drop,
}

/// Remembers what was reported.
#[derive(Debug)]
pub struct Correlator {
    component: String,
    host: Option<String>,
    written: Recent<(Subject, String), Written>,
    similar: Recent<Subject, Similar>,
    budgets: Recent<ObjectId, Budget>,
}

type ObjectId = (String, String, String, String);

/// What events are similar by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Subject {
    object: ObjectId,
    field: Option<String>,
    warning: bool,
    reason: String,
}

#[derive(Clone, Debug)]
struct Written {
    name: String,
    count: i32,
    first: Timestamp,
}

#[derive(Clone, Debug, Default)]
struct Similar {
    messages: HashSet<String>,
    last: Timestamp,
}

#[derive(Clone, Debug)]
struct Budget {
    left: f64,
    last: Timestamp,
}

impl Correlator {
    /// For the events of `component`, on the node `host` if it belongs to one.
    pub fn new(component: impl Into<String>, host: Option<String>) -> Self {
        Self {
            component: component.into(),
            host,
            written: Recent::default(),
            similar: Recent::default(),
            budgets: Recent::default(),
        }
    }

    /// Decides what is to be written for `report` at `now`.
    pub fn correlate(&mut self, report: Report, now: Timestamp) -> Action {
        let object = object_id(&report.object);
        if !self.affordable(&object, now) {
            return Action::Drop;
        }
        let subject = Subject {
            object,
            field: report.object.field_path.clone(),
            warning: report.warning,
            reason: report.reason.clone(),
        };
        let (message, fingerprint) = if self.is_flood(&subject, &report.message, now) {
            (format!("(combined from similar events): {}", report.message), String::new())
        } else {
            (report.message.clone(), report.message.clone())
        };
        let base = report.object.name.as_deref().unwrap_or_default();
        let written = self.written.entry((subject, fingerprint), || Written {
            name: format!("{base}.{:016x}", dice::number()),
            count: 0,
            first: now,
        });
        written.count = written.count.saturating_add(1);
        let written = written.clone();
        let repeated = written.count > 1;
        let event = Box::new(self.event(report, message, &written, now));
        if repeated { Action::Repeat(event) } else { Action::Create(event) }
    }

    fn event(&self, report: Report, message: String, written: &Written, now: Timestamp) -> Event {
        // Objects outside namespaces are reported on in the default one.
        let namespace = report.object.namespace.clone().unwrap_or_else(|| "default".to_owned());
        Event {
            metadata: ObjectMeta {
                name: Some(written.name.clone()),
                namespace: Some(namespace),
                ..ObjectMeta::default()
            },
            involved_object: report.object,
            type_: Some(if report.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(report.reason),
            message: Some(message),
            count: Some(written.count),
            first_timestamp: Some(Time(written.first)),
            last_timestamp: Some(Time(now)),
            source: Some(EventSource {
                component: Some(self.component.clone()),
                host: self.host.clone(),
            }),
            reporting_component: Some(self.component.clone()),
            reporting_instance: Some(self.host.clone().unwrap_or_default()),
            ..Event::default()
        }
    }

    fn affordable(&mut self, object: &ObjectId, now: Timestamp) -> bool {
        let budget = self.budgets.entry(object.clone(), || Budget { left: BURST, last: now });
        let passed = now.duration_since(budget.last).as_secs_f64().max(0.0);
        budget.left = (budget.left + passed / REFILL_SECONDS).min(BURST);
        budget.last = now;
        let affordable = budget.left >= 1.0;
        if affordable {
            budget.left -= 1.0;
        }
        affordable
    }

    fn is_flood(&mut self, subject: &Subject, message: &str, now: Timestamp) -> bool {
        let similar = self.similar.entry(subject.clone(), Similar::default);
        if now.duration_since(similar.last) > SIMILAR_FOR {
            similar.messages.clear();
        }
        similar.last = now;
        if similar.messages.contains(message) {
            return false;
        }
        if similar.messages.len() < SIMILAR {
            similar.messages.insert(message.to_owned());
            return false;
        }
        true
    }
}

fn object_id(object: &ObjectReference) -> ObjectId {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    (text(&object.kind), text(&object.namespace), text(&object.name), text(&object.uid))
}

/// The reference by which an event names `object`.
pub fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    let metadata = object.meta();
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        field_path: None,
    }
}

/// A map that forgets what was put in first once it is full.
#[derive(Debug)]
struct Recent<K, V> {
    map: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { map: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    fn entry(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        if !self.map.contains_key(&key) {
            if self.order.len() >= REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.map.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        self.map.entry(key).or_insert_with(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(message: &str) -> Report {
        let object = ObjectReference {
            kind: Some("Pod".into()),
            namespace: Some("default".into()),
            name: Some("web".into()),
            ..ObjectReference::default()
        };
        Report::normal(object, "Pulled", message)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn the_same_again_is_counted() {
        let mut correlator = Correlator::new("test", None);
        let Action::Create(first) = correlator.correlate(report("a"), at(0)) else { panic!() };
        let Action::Repeat(second) = correlator.correlate(report("a"), at(5)) else { panic!() };
        assert_eq!(first.metadata.name, second.metadata.name);
        assert_eq!(second.count, Some(2));
        assert_eq!(second.first_timestamp, Some(Time(at(0))));
        assert_eq!(second.last_timestamp, Some(Time(at(5))));
        assert!(matches!(correlator.correlate(report("b"), at(6)), Action::Create(_)));
    }

    #[test]
    fn many_alike_are_combined_and_then_dropped() {
        let mut correlator = Correlator::new("test", None);
        let mut combined = 0;
        let mut dropped = 0;
        for number in 0..40 {
            match correlator.correlate(report(&format!("message {number}")), at(0)) {
                Action::Drop => dropped += 1,
                Action::Create(event) | Action::Repeat(event) => {
                    let message = event.message.unwrap();
                    combined += i32::from(message.starts_with("(combined from similar events): "));
                }
            }
        }
        assert_eq!((combined, dropped), (15, 15));
        // Later there is something to say again.
        assert!(!matches!(correlator.correlate(report("late"), at(301)), Action::Drop));
        assert!(matches!(correlator.correlate(report("late"), at(302)), Action::Drop));
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::default();
        for number in 0..REMEMBERED + 10 {
            *recent.entry(number, || 0) += 1;
        }
        assert_eq!(recent.map.len(), REMEMBERED);
        assert!(!recent.map.contains_key(&0));
    }
}
