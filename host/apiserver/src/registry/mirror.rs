//! A view of a part of the store, kept in memory by its watch and brought up to date at the moment
//! when it is looked at: what was acknowledged before a question is part of its answer, and no
//! task runs while nobody asks.

use std::sync::{Mutex, PoisonError, RwLock, RwLockWriteGuard};

use bytes::Bytes;
use coracle_store::{Range, Result, Store, TryNext, Watch};

/// What is made of the entries below a prefix.
pub(crate) trait View: Send + Sync + 'static {
    /// Which entries are looked at.
    const PREFIX: &'static str;

    /// An entry was written.
    fn put(&mut self, key: &str, value: &Bytes);

    /// An entry was removed.
    fn remove(&mut self, key: &str);

    /// All that is known for now was put and removed: once before each look that follows a change.
    fn settle(&mut self) {}
}

pub(crate) struct Mirror<V> {
    /// A view of nothing.
    empty: Box<dyn Fn() -> V + Send + Sync>,
    /// `None` until the first question, and after a watch that could not follow.
    watch: Mutex<Option<Watch>>,
    view: RwLock<V>,
}

impl<V: View + Default> Default for Mirror<V> {
    fn default() -> Self {
        Self::new(V::default)
    }
}

impl<V: View> Mirror<V> {
    /// `empty` makes a view of nothing.
    pub(crate) fn new(empty: impl Fn() -> V + Send + Sync + 'static) -> Self {
        let view = RwLock::new(empty());
        Self { empty: Box::new(empty), watch: Mutex::default(), view }
    }

    /// What `look` sees of the present state.
    pub(crate) async fn read<R>(&self, store: &dyn Store, look: impl FnOnce(&V) -> R) -> Result<R> {
        while !self.follow() {
            self.begin(store).await?;
        }
        Ok(look(&self.view.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Takes over what was written meanwhile; false if that is not known.
    fn follow(&self) -> bool {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(events) = watch.as_mut() else { return false };
        let mut changed: Option<RwLockWriteGuard<'_, V>> = None;
        loop {
            match events.try_next() {
                TryNext::Nothing => {
                    if let Some(mut view) = changed {
                        view.settle();
                    }
                    return true;
                }
                TryNext::Event(event) => {
                    let view = changed.get_or_insert_with(|| {
                        self.view.write().unwrap_or_else(PoisonError::into_inner)
                    });
                    if event.deleted {
                        view.remove(&event.entry.key);
                    } else {
                        view.put(&event.entry.key, &event.entry.value);
                    }
                }
                TryNext::Ended => {
                    *watch = None;
                    return false;
                }
            }
        }
    }

    /// Reads everything, and watches from there.
    async fn begin(&self, store: &dyn Store) -> Result<()> {
        let page = store.range(V::PREFIX, Range::default()).await?;
        let mut view = (self.empty)();
        for entry in &page.entries {
            view.put(&entry.key, &entry.value);
        }
        view.settle();
        let events = store.watch(V::PREFIX, page.revision).await?;
        // Whoever was faster had a state just as good; both follow from where they stand.
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        *watch = Some(events);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use coracle_store::{MemoryStore, Options, Value};

    use super::*;

    #[derive(Default)]
    struct Texts(BTreeMap<String, Bytes>);

    impl View for Texts {
        const PREFIX: &'static str = "/a/";

        fn put(&mut self, key: &str, value: &Bytes) {
            self.0.insert(key.into(), value.clone());
        }

        fn remove(&mut self, key: &str) {
            self.0.remove(key);
        }
    }

    #[tokio::test]
    async fn a_view_is_never_behind() {
        let options = Options { watch_queue: 2, ..Options::default() };
        let store = MemoryStore::with(options);
        let mirror = Mirror::<Texts>::default();
        let count = async || mirror.read(&store, |texts| texts.0.len()).await.unwrap();
        store.create("/a/1", Value::plain("x")).await.unwrap();
        store.create("/b/1", Value::plain("x")).await.unwrap();
        assert_eq!(count().await, 1);
        let entry = store.create("/a/2", Value::plain("x")).await.unwrap();
        assert_eq!(count().await, 2);
        store.delete("/a/2", Value::plain("x"), entry.modified).await.unwrap();
        assert_eq!(count().await, 1);
        // More than the watch can hold: the view begins anew.
        for n in 3..10 {
            store.create(&format!("/a/{n}"), Value::plain("x")).await.unwrap();
        }
        assert_eq!(count().await, 8);
    }
}
