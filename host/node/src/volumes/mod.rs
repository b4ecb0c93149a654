//! A pod's volumes as directories of the host: made before its containers start, kept up to date
//! while they run, and mapped to what each container mounts. One file a family of sources.
//! What this node has no way to provide is refused before anything gets here.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Pod, Volume};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

use crate::downward::Surroundings;
use crate::events::Recorder;
use crate::sources::Sources;

mod content;
mod keeper;
mod mounts;
mod payload;
mod token;

pub(crate) use mounts::{Error as MountError, Message, Mounts, termination_message};

/// What volumes are made with.
#[derive(Clone)]
pub(crate) struct Maker {
    pub(crate) client: kube::Client,
    pub(crate) sources: Arc<Sources>,
    pub(crate) recorder: Recorder,
}

/// A pod's volumes, kept up to date until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    made: BTreeMap<String, Made>,
    keepers: Vec<AbortHandle>,
}

/// One volume.
#[derive(Debug)]
struct Made {
    path: PathBuf,
    /// Whether its content is the API's, which no guest may change.
    read_only: bool,
}

impl Drop for Volumes {
    fn drop(&mut self) {
        self.keepers.iter().for_each(AbortHandle::abort);
    }
}

impl Volumes {
    /// Makes the volumes of the pod under `directory`. Waits, and tries again, until what they
    /// show exists; what is missing is said in events.
    pub(crate) async fn make(
        maker: &Maker,
        pod: watch::Receiver<Arc<Pod>>,
        directory: &Path,
        around: &Surroundings,
    ) -> io::Result<Self> {
        let first = pod.borrow().clone();
        let mut volumes = Self::default();
        let mut directories = Vec::new();
        let mut waiting = Vec::new();
        for volume in first.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let path = directory.join(family(volume)).join(&volume.name);
            let read_only = volume.empty_dir.is_none();
            directories.push(path.clone());
            let made = Made { path: path.clone(), read_only };
            volumes.made.insert(volume.name.clone(), made);
            if read_only {
                let (ready, made) = oneshot::channel();
                let keeper = keeper::Keeper {
                    maker: maker.clone(),
                    volume: volume.clone(),
                    pod: pod.clone(),
                    around: around.clone(),
                    path,
                };
                volumes.keepers.push(tokio::spawn(keeper.keep(ready)).abort_handle());
                waiting.push(made);
            }
        }
        if !directories.is_empty() {
            let making = tokio::task::spawn_blocking(move || {
                directories.iter().try_for_each(|path| make_directory(path))
            });
            making.await.map_err(io::Error::other)??;
        }
        if join_all(waiting).await.iter().any(Result::is_err) {
            return Err(io::Error::other("a volume could not be kept"));
        }
        Ok(volumes)
    }
}

/// The folder of a volume's kind, named as the kubelet names it.
fn family(volume: &Volume) -> &'static str {
    if volume.config_map.is_some() {
        "kubernetes.io~configmap"
    } else if volume.secret.is_some() {
        "kubernetes.io~secret"
    } else if volume.downward_api.is_some() {
        "kubernetes.io~downward-api"
    } else if volume.projected.is_some() {
        "kubernetes.io~projected"
    } else {
        "kubernetes.io~empty-dir"
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}
