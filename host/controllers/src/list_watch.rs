//! Following a collection: list it, watch from there, resume the watch where it ended, and list
//! again only when the server no longer knows that place.

use std::time::Duration;

use coracle_api::dice;
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{debug, warn};

/// Objects asked for in one answer.
const PAGE: u32 = 500;
/// How long one watch lasts before it is resumed.
const WATCH: Duration = Duration::from_secs(290);
/// How much longer than `WATCH` a connection may be silent before it counts as dead.
const MARGIN: Duration = Duration::from_secs(5);
/// A watch that ends within this time has not served its purpose.
const SOON: Duration = Duration::from_secs(1);
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// One page of a list.
pub(crate) struct Page<T> {
    pub(crate) metadata: ListMeta,
    pub(crate) items: Vec<T>,
}

/// A collection that can be listed and watched.
pub(crate) trait Source: Send + Sync {
    type Item: Versioned + Send;
    fn list(
        &self,
        params: &ListParams,
    ) -> impl Future<Output = kube::Result<Page<Self::Item>>> + Send;
    fn watch(
        &self,
        params: &WatchParams,
        version: &str,
    ) -> impl Future<Output = kube::Result<Events<Self::Item>>> + Send;
}

/// A running watch.
pub(crate) type Events<T> = BoxStream<'static, kube::Result<WatchEvent<T>>>;

/// Where what is followed arrives.
pub(crate) trait Sink<T>: Send + Sync {
    /// A list is about to be taken.
    fn begin(&self);
    /// The whole collection as it was at `version`.
    fn replace(&self, items: Vec<T>, version: &str);
    fn put(&self, item: T);
    fn delete(&self, item: T);
    /// Everything up to `version` has been delivered.
    fn progress(&self, version: &str);
}

impl<K> Source for Api<K>
where
    K: kube::Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    type Item = K;

    async fn list(&self, params: &ListParams) -> kube::Result<Page<K>> {
        let list = Self::list(self, params).await?;
        Ok(Page { metadata: list.metadata, items: list.items })
    }

    async fn watch(&self, params: &WatchParams, version: &str) -> kube::Result<Events<K>> {
        Ok(Self::watch(self, params, version).await?.boxed())
    }
}

/// Follows `source` for ever. `fields` narrows it to a part.
pub(crate) async fn follow<S: Source>(
    what: &str,
    source: &S,
    fields: Option<&str>,
    sink: &impl Sink<S::Item>,
) {
    let mut delay = Delay::default();
    loop {
        match list(source, fields, sink).await {
            Ok(version) => {
                delay.reset();
                watch(what, source, fields, version, sink).await;
            }
            Err(error) => {
                warn!(what, %error, "cannot list");
                delay.wait().await;
            }
        }
    }
}

/// Takes the whole collection; answers the version at which to watch on.
async fn list<S: Source>(
    source: &S,
    fields: Option<&str>,
    sink: &impl Sink<S::Item>,
) -> kube::Result<String> {
    sink.begin();
    let mut items = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    params.field_selector = fields.map(str::to_owned);
    loop {
        let page = source.list(&params).await?;
        items.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => {
                let version = page.metadata.resource_version.unwrap_or_default();
                sink.replace(items, &version);
                return Ok(version);
            }
        }
    }
}

/// Watches from `version` until it must be listed again.
async fn watch<S: Source>(
    what: &str,
    source: &S,
    fields: Option<&str>,
    mut version: String,
    sink: &impl Sink<S::Item>,
) {
    let timeout = u32::try_from(WATCH.as_secs()).unwrap_or(u32::MAX);
    let mut params = WatchParams::default().timeout(timeout);
    params.field_selector = fields.map(str::to_owned);
    let mut delay = Delay::default();
    loop {
        let mut events = match source.watch(&params, &version).await {
            Ok(events) => events,
            Err(error) if is_gone(&error) => return,
            Err(error) => {
                warn!(what, %error, "cannot watch");
                delay.wait().await;
                continue;
            }
        };
        let started = Instant::now();
        // A connection silent for longer than a watch lasts is dead.
        while let Ok(Some(event)) = tokio::time::timeout(WATCH + MARGIN, events.next()).await {
            let event = match event {
                Ok(event) => event,
                Err(error) if is_gone(&error) => return,
                Err(error) => {
                    warn!(what, %error, "the watch broke");
                    break;
                }
            };
            delay.reset();
            match event {
                WatchEvent::Added(item) | WatchEvent::Modified(item) => {
                    version = item.version().to_owned();
                    sink.put(item);
                }
                WatchEvent::Deleted(item) => {
                    version = item.version().to_owned();
                    sink.delete(item);
                }
                WatchEvent::Bookmark(bookmark) => {
                    version = bookmark.metadata.resource_version;
                    sink.progress(&version);
                }
                WatchEvent::Error(status) => {
                    debug!(what, %status, "the watch must begin anew");
                    return;
                }
            }
        }
        // A watch that ends soon may mean a server in trouble: do not hammer it.
        if started.elapsed() < SOON {
            delay.wait().await;
        }
    }
}

/// Whatever has a resource version.
pub(crate) trait Versioned {
    fn version(&self) -> &str;
}

impl<K: kube::Resource> Versioned for K {
    fn version(&self) -> &str {
        self.meta().resource_version.as_deref().unwrap_or_default()
    }
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 410)
}

/// A delay that doubles up to a bound.
#[derive(Default)]
struct Delay(Option<Duration>);

impl Delay {
    fn reset(&mut self) {
        self.0 = None;
    }

    async fn wait(&mut self) {
        let delay = self.0.map_or(FIRST_DELAY, |last| (last * 2).min(LONGEST_DELAY));
        self.0 = Some(delay);
        tokio::time::sleep(dice::jitter(delay, 0.5)).await;
    }
}
