//! Keeps one volume's files what the API says they are: writes them, waits for a change, and
//! writes them again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, select_all};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Volume};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::Maker;
use super::content::{self, Error, Present};
use super::payload::{self, Payload};
use super::token::{self, Token};
use crate::downward::Surroundings;
use crate::sources::Watched;

/// The first and the longest wait before a failed attempt is repeated without a reason.
const RETRY: Duration = Duration::from_millis(500);
const MAX_RETRY: Duration = Duration::from_secs(122);

pub(super) struct Keeper {
    pub(super) maker: Maker,
    pub(super) volume: Volume,
    pub(super) pod: watch::Receiver<Arc<Pod>>,
    pub(super) around: Surroundings,
    pub(super) path: PathBuf,
}

/// What the keeper holds between two rounds.
#[derive(Default)]
struct Held {
    config_maps: HashMap<String, Arc<Watched<ConfigMap>>>,
    secrets: HashMap<String, Arc<Watched<Secret>>>,
    tokens: HashMap<(String, i64), Token>,
    written: Option<Payload>,
}

impl Keeper {
    /// Keeps the volume until it is aborted; says when it is there for the first time.
    pub(super) async fn keep(mut self, ready: oneshot::Sender<()>) {
        let mut ready = Some(ready);
        let mut held = Held::default();
        let mut retry = RETRY;
        self.subscribe(&mut held);
        loop {
            let pod = self.pod.borrow_and_update().clone();
            let (present, outcome) = self.round(&pod, &mut held).await;
            let again = match outcome {
                Ok(()) => {
                    if let Some(ready) = ready.take() {
                        // The pod may have gone meanwhile; then the abort is on its way.
                        let _ = ready.send(());
                    }
                    retry = RETRY;
                    None
                }
                Err(error) => {
                    let name = &self.volume.name;
                    let message =
                        format!("MountVolume.SetUp failed for volume \"{name}\" : {error}");
                    self.maker.recorder.warn(&pod, None, "FailedMount", message);
                    let wait = retry;
                    retry = (retry * 2).min(MAX_RETRY);
                    Some(Instant::now() + wait)
                }
            };
            if !self.wait(&held, &present, again).await {
                return;
            }
        }
    }

    fn subscribe(&self, held: &mut Held) {
        let namespace = self.pod.borrow().metadata.namespace.clone().unwrap_or_default();
        let references = content::references(&self.volume);
        let sources = &self.maker.sources;
        for name in references.config_maps {
            let watched = sources.config_map(&namespace, &name);
            held.config_maps.insert(name, watched);
        }
        for name in references.secrets {
            let watched = sources.secret(&namespace, &name);
            held.secrets.insert(name, watched);
        }
    }

    /// Writes what is to be seen now, if that is not what is seen already.
    async fn round(&self, pod: &Pod, held: &mut Held) -> (Present, Result<(), Error>) {
        let mut present = Present::default();
        for (name, watched) in &held.config_maps {
            present.config_maps.insert(name.clone(), watched.get().await);
        }
        for (name, watched) in &held.secrets {
            present.secrets.insert(name.clone(), watched.get().await);
        }
        let outcome = self.write(pod, held, &mut present).await;
        (present, outcome)
    }

    async fn write(&self, pod: &Pod, held: &mut Held, present: &mut Present) -> Result<(), Error> {
        for (audience, seconds) in content::references(&self.volume).tokens {
            let key = (audience, seconds);
            let due = held.tokens.get(&key).is_none_or(|token| token.renew <= Instant::now());
            if due {
                let token = token::request(&self.maker.client, pod, &key.0, seconds).await;
                let token = token.map_err(|error| Error::Token(error.to_string()))?;
                held.tokens.insert(key.clone(), token);
            }
            if let Some(token) = held.tokens.get(&key) {
                present.tokens.insert(key, token.text.clone());
            }
        }
        let payload = content::payload(&self.volume, pod, present, &self.around)?;
        if held.written.as_ref() != Some(&payload) {
            let (path, writing) = (self.path.clone(), payload.clone());
            let written = tokio::task::spawn_blocking(move || payload::write(&path, &writing));
            written.await.map_err(std::io::Error::other)??;
            held.written = Some(payload);
        }
        Ok(())
    }

    /// Waits until another round has something to do; false if the pod is gone.
    async fn wait(&mut self, held: &Held, present: &Present, again: Option<Instant>) -> bool {
        let renew = held.tokens.values().map(|token| token.renew).min();
        let timer = [again, renew].into_iter().flatten().min();
        let mut changes: Vec<BoxFuture<'_, ()>> = Vec::new();
        for (name, watched) in &held.config_maps {
            if let Some(seen) = present.config_maps.get(name) {
                changes.push(watched.changed(seen).boxed());
            }
        }
        for (name, watched) in &held.secrets {
            if let Some(seen) = present.secrets.get(name) {
                changes.push(watched.changed(seen).boxed());
            }
        }
        if changes.is_empty() {
            changes.push(std::future::pending().boxed());
        }
        let timed = async {
            match timer {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = select_all(changes) => true,
            () = timed => true,
            changed = self.pod.changed() => changed.is_ok(),
        }
    }
}
