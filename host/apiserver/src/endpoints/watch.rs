//! Objects as they change: a stream of events, each encoded once for all who watch.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use coracle_api::dice;
use coracle_store::{Entry, Error as StoreError, Event, Revision};
use futures::future::OptionFuture;
use futures::{FutureExt, StreamExt, stream};
use http::{HeaderValue, Response, header};
use prometheus_client::metrics::counter::Counter;
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::negotiate::{Media, Output, View};
use super::options::ListOptions;
use super::{Call, list, respond, table};
use crate::error::{ApiError, Result};
use crate::metrics::Counted;
use crate::protobuf;
use crate::registry::{Kind, Selection, key, prefix};
use crate::timeouts;

/// Bytes of events that are sent together if they are there together.
const CHUNK: usize = 64 << 10;

/// So many forms of an event are kept with it.
const FORMS: usize = 8;

/// In which form watchers get objects.
#[derive(Clone, PartialEq, Eq)]
struct Form {
    api_version: Arc<str>,
    output: Output,
}

/// An event's encodings, kept with the event: one for all who watch in the same form.
#[derive(Default)]
struct Shared(Mutex<Vec<(Form, Bytes)>>);

impl Shared {
    fn forms(&self) -> MutexGuard<'_, Vec<(Form, Bytes)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, form: &Form) -> Option<Bytes> {
        let forms = self.forms();
        forms.iter().find(|(known, _)| known == form).map(|(_, bytes)| bytes.clone())
    }

    fn keep(&self, form: &Form, bytes: &Bytes) {
        let mut forms = self.forms();
        if forms.len() < FORMS && forms.iter().all(|(known, _)| known != form) {
            forms.push((form.clone(), bytes.clone()));
        }
    }
}

/// One watch under way.
struct Watching {
    kind: Arc<dyn Kind>,
    selection: Selection,
    form: Form,
    /// The state that the watch begins with.
    initial: VecDeque<Arc<Entry>>,
    /// The revision of that state, until its end is told to a caller who wants to know.
    initial_end: Option<Revision>,
    watch: coracle_store::Watch,
    bookmarks: bool,
    /// The revision that the caller knows of.
    told: Revision,
    /// Whether the columns of a table were sent.
    headed: bool,
    tick: Interval,
    deadline: Pin<Box<Sleep>>,
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Until the kind is served in another form.
    retired: Pin<Box<OptionFuture<WaitForCancellationFutureOwned>>>,
    sent: Counter,
    ended: bool,
    _counted: Counted,
}

pub(super) async fn watch(call: Call, kind: Arc<dyn Kind>) -> Result<Response<Body>> {
    let output = call.stream(kind.names())?;
    let mut options = ListOptions::read(&call, &*kind)?;
    named(&call, &mut options)?;
    let store = &call.server.store;
    let names = kind.hub().names();
    let from_now = options.version.is_none_or(|version| version == 0);
    let with_state = options.initial_events.unwrap_or(from_now);
    if let Some(asked) = options.version {
        let current = store.revision().await?;
        if asked > current {
            return Err(ApiError::future(asked, current));
        }
    }
    let (initial, after) = if with_state {
        let listed = list::select(&call, &*kind, &options).await?;
        (listed.entries.into(), listed.revision)
    } else if from_now {
        (VecDeque::new(), store.revision().await?)
    } else {
        (VecDeque::new(), options.version.unwrap_or_default())
    };
    let namespace = list::narrowed(&call, kind.hub(), &options.selection);
    // Whoever follows one object is not woken for the others.
    let prefix = match options.selection.name() {
        Some(name) if !(names.namespaced && namespace.is_empty()) => key(names, namespace, name),
        _ => prefix(names, namespace),
    };
    let watch = match store.watch(&prefix, after).await {
        Ok(watch) => watch,
        Err(error @ StoreError::Compacted { .. }) => return gone(output, &error.into()),
        Err(error) => return Err(error.into()),
    };
    let minimum = timeouts::WATCH_MINIMUM;
    let lifetime = options.timeout.unwrap_or_else(|| dice::jitter(minimum, 1.0));
    let mut tick = tokio::time::interval_at(
        tokio::time::Instant::now() + timeouts::BOOKMARK,
        timeouts::BOOKMARK,
    );
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (counted, sent) = call.server.metrics.watch(kind.names());
    let retired = kind.retired().map(|retired| retired.clone().cancelled_owned());
    let told_end = options.initial_events == Some(true) && options.bookmarks;
    let form = Form { api_version: kind.names().api_version().into(), output };
    let watching = Watching {
        kind,
        selection: options.selection,
        form,
        initial,
        initial_end: told_end.then_some(after),
        watch,
        bookmarks: options.bookmarks,
        told: after,
        headed: false,
        tick,
        deadline: Box::pin(tokio::time::sleep(lifetime)),
        ending: Box::pin(call.server.ending.clone().cancelled_owned()),
        retired: Box::pin(retired.into()),
        sent,
        ended: false,
        _counted: counted,
    };
    let chunks = stream::unfold(watching, |mut watching| async move {
        let chunk = watching.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), watching))
    });
    Ok(streamed(output, Body::from_stream(chunks)))
}

/// Narrows the watch of an object's own path to that object.
fn named(call: &Call, options: &mut ListOptions) -> Result<()> {
    let name = &call.target.name;
    if name.is_empty() {
        return Ok(());
    }
    let fields = &mut options.selection.fields;
    if fields.is_everything() {
        *fields = format!("metadata.name={name}").parse().map_err(ApiError::internal)?;
    } else if fields.exact("metadata.name") != Some(name) {
        let message = "fieldSelector metadata.name doesn't match requested name";
        return Err(ApiError::bad_request(message));
    }
    Ok(())
}

fn streamed(output: Output, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let media = HeaderValue::from_static(match output.media {
        Media::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        Media::Json | Media::Yaml => output.content_type(),
    });
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

/// A watch that ends with an error before it began.
fn gone(output: Output, error: &ApiError) -> Result<Response<Body>> {
    Ok(streamed(output, Body::from(error_event(output, error))))
}

fn error_event(output: Output, error: &ApiError) -> Bytes {
    tree(output, "ERROR", &error.status())
        .unwrap_or_else(|_| event(Media::Json, "ERROR", error.status().to_string().as_bytes()))
}

/// An event about an object of the server's own making.
fn tree(output: Output, type_: &str, object: &serde_json::Value) -> Result<Bytes> {
    let json = object.to_string().into_bytes();
    match output.media {
        Media::Protobuf => Ok(event(output.media, type_, &respond::binary(&json)?)),
        Media::Json | Media::Yaml => Ok(event(output.media, type_, &json)),
    }
}

/// An event about an object in its final form.
fn event(media: Media, type_: &str, object: &[u8]) -> Bytes {
    if media == Media::Protobuf {
        return protobuf::event(type_, object).into();
    }
    let mut line = BytesMut::with_capacity(object.len() + 40);
    line.put_slice(br#"{"type":""#);
    line.put_slice(type_.as_bytes());
    line.put_slice(br#"","object":"#);
    line.put_slice(object);
    line.put_slice(b"}\n");
    line.freeze()
}

/// The event as everybody sees it who watches all objects of the kind.
fn natural(event_: &Event) -> (&'static str, &Bytes) {
    let kind = match (event_.deleted, &event_.previous) {
        (true, _) => "DELETED",
        (false, None) => "ADDED",
        (false, Some(_)) => "MODIFIED",
    };
    (kind, &event_.entry.value)
}

impl Watching {
    /// The next events; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        if let Some(chunk) = self.state().await {
            return Some(chunk);
        }
        loop {
            tokio::select! {
                biased;
                () = &mut self.ending => return self.last(),
                Some(()) = &mut self.retired => return self.last(),
                event = self.watch.next() => {
                    let Some(event) = event else { return self.last() };
                    if let Some(chunk) = self.gather(event).await {
                        return Some(chunk);
                    }
                }
                () = &mut self.deadline => return self.last(),
                _ = self.tick.tick(), if self.bookmarks => {
                    self.told = self.watch.progress();
                    return self.shown(|this| this.bookmark(this.told, false));
                }
            }
        }
    }

    /// The next part of the state that the watch begins with.
    async fn state(&mut self) -> Option<Bytes> {
        let mut chunk = BytesMut::new();
        while let Some(entry) = self.initial.pop_front() {
            match self.encode("ADDED", &entry.value).await {
                Ok(line) => chunk.put_slice(&line),
                Err(error) => return self.fail(&error),
            }
            self.sent.inc();
            if chunk.len() >= CHUNK {
                return Some(chunk.freeze());
            }
        }
        if let Some(revision) = self.initial_end.take() {
            match self.bookmark(revision, true) {
                Ok(line) => chunk.put_slice(&line),
                Err(error) => return self.fail(&error),
            }
        }
        (!chunk.is_empty()).then(|| chunk.freeze())
    }

    /// The event and those that are already waiting behind it.
    async fn gather(&mut self, first: coracle_store::Result<Arc<Event>>) -> Option<Bytes> {
        let mut next = Some(first);
        let mut only: Option<Bytes> = None;
        let mut chunk = BytesMut::new();
        while let Some(event) = next {
            let line = match event {
                Ok(event) => {
                    self.told = event.entry.modified;
                    self.seen(&event).await
                }
                Err(error) => {
                    self.ended = true;
                    let line = error_event(self.form.output, &error.into());
                    chunk.extend(only.take().iter().flat_map(|line| line.iter().copied()));
                    chunk.put_slice(&line);
                    return Some(chunk.freeze());
                }
            };
            match line {
                Err(error) => return self.fail(&error),
                Ok(None) => {}
                Ok(Some(line)) => {
                    self.sent.inc();
                    // A single event is handed on without a copy.
                    if only.is_none() && chunk.is_empty() {
                        only = Some(line);
                    } else {
                        if let Some(first) = only.take() {
                            chunk.put_slice(&first);
                        }
                        chunk.put_slice(&line);
                    }
                }
            }
            if chunk.len() >= CHUNK {
                break;
            }
            next = self.watch.next().now_or_never().flatten();
        }
        only.or_else(|| (!chunk.is_empty()).then(|| chunk.freeze()))
    }

    /// The event as this watch sees it, if it does.
    async fn seen(&mut self, event_: &Event) -> Result<Option<Bytes>> {
        let matches = |entry: &Entry| self.selection.matches(entry, self.kind.hub());
        let now = !event_.deleted && matches(&event_.entry);
        let before = match &event_.previous {
            Some(previous) => matches(previous),
            // Whoever sees an object go without having seen it is not told.
            None => event_.deleted && matches(&event_.entry),
        };
        let line = match (before, now) {
            (false, false) => return Ok(None),
            (true, false) if event_.deleted => self.natural(event_).await?,
            (true, true) => self.natural(event_).await?,
            (false, true) if event_.previous.is_none() => self.natural(event_).await?,
            (false, true) => self.encode("ADDED", &event_.entry.value).await?,
            // It left the selection: its last state inside, at the revision of its leaving.
            (true, false) => {
                let previous = event_.previous.as_ref().unwrap_or(&event_.entry);
                let value = previous.reopened();
                let key = previous.key.clone();
                let left = Entry::new(key, &value, previous.created, event_.entry.modified);
                self.encode("DELETED", &left.value).await?
            }
        };
        Ok(Some(line))
    }

    async fn natural(&mut self, event_: &Event) -> Result<Bytes> {
        let (kind, bytes) = natural(event_);
        // Tables tell ages, and their columns only once.
        let shared = match self.form.output.view {
            View::Table(..) => None,
            View::Object | View::Metadata(..) => event_.memo(|_| Shared::default()),
        };
        let Some(shared) = shared else { return self.encode(kind, bytes).await };
        if let Some(line) = shared.get(&self.form) {
            return Ok(line);
        }
        let line = self.encode(kind, bytes).await?;
        shared.keep(&self.form, &line);
        Ok(line)
    }

    async fn encode(&mut self, type_: &str, stored: &Bytes) -> Result<Bytes> {
        let bytes = &self.kind.shown(stored.clone()).await?;
        let output = self.form.output;
        if let View::Table(include, version) = output.view {
            let with_columns = !std::mem::replace(&mut self.headed, true);
            let object = self.kind.restore(bytes)?;
            let own = object.meta().resource_version.clone().unwrap_or_default();
            let metadata = json!({ "resourceVersion": own }).to_string();
            let mut shown = table::head(&*self.kind, with_columns, version, &metadata)?;
            table::row(&*self.kind, include, version, bytes, &mut shown)?;
            shown.put_slice(table::TAIL);
            return Ok(event(output.media, type_, &shown));
        }
        Ok(event(output.media, type_, &respond::whole(&*self.kind, output, bytes)?))
    }

    /// Tells the caller up to which revision he has seen everything.
    fn bookmark(&mut self, revision: Revision, initial_end: bool) -> Result<Bytes> {
        let mut metadata = json!({ "resourceVersion": revision.to_string() });
        if initial_end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let output = self.form.output;
        let (kind, version) = match output.view {
            View::Object => (&*self.kind.names().kind, &*self.form.api_version),
            View::Metadata(_, version) => ("PartialObjectMetadata", version),
            View::Table(_, version) => {
                let with_columns = !std::mem::replace(&mut self.headed, true);
                let metadata = metadata.to_string();
                let mut shown = table::head(&*self.kind, with_columns, version, &metadata)?;
                shown.put_slice(table::TAIL);
                return Ok(event(output.media, "BOOKMARK", &shown));
            }
        };
        let object = json!({ "kind": kind, "apiVersion": version, "metadata": metadata });
        tree(output, "BOOKMARK", &object)
    }

    /// The last words of a watch that ends in order.
    fn last(&mut self) -> Option<Bytes> {
        self.ended = true;
        let progress = self.watch.progress();
        if !self.bookmarks || progress <= self.told {
            return None;
        }
        self.shown(|this| this.bookmark(progress, false))
    }

    fn shown(&mut self, line: impl FnOnce(&mut Self) -> Result<Bytes>) -> Option<Bytes> {
        match line(self) {
            Ok(line) => Some(line),
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &ApiError) -> Option<Bytes> {
        self.ended = true;
        Some(error_event(self.form.output, error))
    }
}
