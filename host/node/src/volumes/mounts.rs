//! What a container sees of its pod's volumes: preopened directories. A mounted single file
//! becomes a link in a directory of its own, for there is nothing smaller to preopen. Blocking.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use coracle_sandbox::Mount;
use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::Volumes;
use crate::env;

/// Bytes of a termination message.
const MESSAGE_LIMIT: u64 = 4096;

const DEFAULT_MESSAGE_PATH: &str = "/dev/termination-log";

/// Why a container's mounts cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("container mounts volume \"{0}\", which the pod does not have")]
    NoVolume(String),
    #[error(
        "failed to prepare subPath for volumeMount \"{volume}\" of container \"{container}\": {reason}"
    )]
    SubPath { volume: String, container: String, reason: String },
    #[error(
        "a file is mounted at \"{file}\" and another volume at its directory \"{directory}\", \
         which WebAssembly cannot have both"
    )]
    FileInMount { file: String, directory: String },
    #[error("preparing mounts: {0}")]
    Io(#[from] io::Error),
}

/// A file below a directory that guests write to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    root: PathBuf,
    file: PathBuf,
}

/// A container's mounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mounts {
    pub(crate) list: Vec<Mount>,
    /// The host's file behind the container's termination message.
    pub(crate) message: Message,
}

impl Mounts {
    /// Makes the mounts of `container`; what they need of their own lies in `directory`.
    pub(crate) fn make(
        volumes: &Volumes,
        container: &Container,
        variables: &[(String, String)],
        directory: &Path,
    ) -> Result<Self, Error> {
        let mut list = Vec::new();
        let mut files: BTreeMap<String, Vec<(String, PathBuf, bool)>> = BTreeMap::new();
        for mount in container.volume_mounts.iter().flatten() {
            let volume = volumes.made.get(&mount.name);
            let volume = volume.ok_or_else(|| Error::NoVolume(mount.name.clone()))?;
            let read_only = volume.read_only || mount.read_only == Some(true);
            let host = match sub_path(mount, variables) {
                None => volume.path.clone(),
                Some(sub) => below(&volume.path, &sub, volume.read_only).map_err(|reason| {
                    let (volume, container) = (mount.name.clone(), container.name.clone());
                    Error::SubPath { volume, container, reason: reason.to_string() }
                })?,
            };
            let guest = clean(&mount.mount_path);
            if host.is_dir() {
                list.push(Mount { guest, host, read_only });
            } else {
                let (parent, name) = guest.rsplit_once('/').unwrap_or(("", &guest));
                let parent = if parent.is_empty() { "/" } else { parent };
                files.entry(parent.to_owned()).or_default().push((
                    name.to_owned(),
                    host,
                    read_only,
                ));
            }
        }
        let made = directory.join("files");
        if made.exists() {
            fs::remove_dir_all(&made)?;
        }
        for (index, (guest, files)) in files.into_iter().enumerate() {
            if let (Some(mount), Some((name, ..))) =
                (list.iter().find(|mount| mount.guest == guest), files.first())
            {
                let file = format!("{}/{name}", guest.trim_end_matches('/'));
                return Err(Error::FileInMount { file, directory: mount.guest.clone() });
            }
            let host = made.join(index.to_string());
            fs::create_dir_all(&host)?;
            let read_only = files.iter().all(|(.., read_only)| *read_only);
            for (name, file, _) in files {
                fs::hard_link(file, host.join(name))?;
            }
            list.push(Mount { guest, host, read_only });
        }
        let message = message_file(container, &mut list, directory)?;
        Ok(Self { list, message })
    }
}

fn sub_path(mount: &VolumeMount, variables: &[(String, String)]) -> Option<String> {
    let value = |name: &str| {
        variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let expanded = mount.sub_path_expr.as_ref().map(|text| env::expand(text, value));
    expanded.or_else(|| mount.sub_path.clone()).filter(|path| !path.is_empty())
}

/// The place of `sub` below `volume`, made as a directory if it is not there. What guests wrote
/// into a volume must not lead out of it.
fn below(volume: &Path, sub: &str, read_only: bool) -> io::Result<PathBuf> {
    let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidInput, text.to_owned());
    if !Path::new(sub).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(invalid("subPath must be relative and not contain '..'"));
    }
    let root = volume.canonicalize()?;
    // The nearest part that is there decides: below it nothing can be a link yet.
    let mut place = root.clone();
    for part in Path::new(sub).components() {
        let next = place.join(part);
        match next.canonicalize() {
            Ok(real) if real.starts_with(&root) => place = real,
            Ok(_) => return Err(invalid("subPath leads out of its volume")),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) if fs::symlink_metadata(&next).is_ok() => {
                return Err(invalid("subPath is a link that leads nowhere"));
            }
            Err(error) if read_only => return Err(error),
            Err(_) => {
                fs::create_dir(&next)?;
                place = next;
            }
        }
    }
    Ok(place)
}

/// A guest's path without a slash at its end.
fn clean(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if trimmed.starts_with('/') { trimmed.to_owned() } else { format!("/{trimmed}") }
}

/// Where the container's termination message will be: in the mount that covers its path, or else
/// in a directory of its own that is added to `list`.
fn message_file(
    container: &Container,
    list: &mut Vec<Mount>,
    directory: &Path,
) -> io::Result<Message> {
    let path = container.termination_message_path.as_deref().filter(|path| !path.is_empty());
    let path = clean(path.unwrap_or(DEFAULT_MESSAGE_PATH));
    let within = |mount: &Mount| {
        let rest = path.strip_prefix(mount.guest.trim_end_matches('/'))?;
        let file = mount.host.join(rest.strip_prefix('/')?);
        Some(Message { root: mount.host.clone(), file })
    };
    let covering = list.iter().filter(|mount| within(mount).is_some());
    if let Some(file) = covering.max_by_key(|mount| mount.guest.len()).and_then(within) {
        return Ok(file);
    }
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", "termination-log"));
    let host = directory.join("termination");
    fs::create_dir_all(&host)?;
    let file = host.join(name);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let guest = if parent.is_empty() { "/".to_owned() } else { parent.to_owned() };
    list.push(Mount { guest, host: host.clone(), read_only: false });
    Ok(Message { root: host, file })
}

/// The termination message that a container left; empty if it left none, or a way out of what it
/// may write to. Blocking.
pub(crate) fn termination_message(message: &Message) -> String {
    let (Ok(root), Ok(file)) = (message.root.canonicalize(), message.file.canonicalize()) else {
        return String::new();
    };
    if !file.starts_with(root) || !file.is_file() {
        return String::new();
    }
    let mut bytes = Vec::new();
    let read = fs::File::open(&file).and_then(|f| f.take(MESSAGE_LIMIT).read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("Error on reading termination log {}: {error}", file.display()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Made;
    use super::*;

    fn volumes(directory: &Path) -> Volumes {
        let path = |name: &str| {
            let path = directory.join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let mut volumes = Volumes::default();
        let (data, config) = (path("data"), path("config"));
        fs::write(config.join("app.conf"), "x").unwrap();
        volumes.made.insert("data".into(), Made { path: data, read_only: false });
        volumes.made.insert("config".into(), Made { path: config, read_only: true });
        volumes
    }

    fn mounts(directory: &Path, mounts: Value) -> Result<Mounts, Error> {
        let container: Container =
            serde_json::from_value(json!({"name": "c", "volumeMounts": mounts})).unwrap();
        let variables = [("WHO".to_owned(), "me".to_owned())];
        Mounts::make(&volumes(directory), &container, &variables, &directory.join("c"))
    }

    #[test]
    fn directories_are_mounted_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let made = mounts(
            directory.path(),
            json!([
                {"name": "data", "mountPath": "/data/"},
                {"name": "data", "mountPath": "/mine", "subPathExpr": "users/$(WHO)", "readOnly": true},
                {"name": "config", "mountPath": "/etc/app"},
            ]),
        )
        .unwrap();
        let seen: Vec<_> =
            made.list.iter().map(|mount| (mount.guest.as_str(), mount.read_only)).collect();
        assert_eq!(seen, [("/data", false), ("/mine", true), ("/etc/app", true), ("/dev", false)]);
        assert!(made.list[1].host.ends_with("data/users/me") && made.list[1].host.is_dir());
        assert!(made.message.file.ends_with("c/termination/termination-log"));
    }

    #[test]
    fn single_files_are_mounted_in_a_directory_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let one =
            json!({"name": "config", "mountPath": "/etc/app/app.conf", "subPath": "app.conf"});
        let made = mounts(directory.path(), json!([one])).unwrap();
        assert_eq!(made.list[0].guest, "/etc/app");
        assert_eq!(fs::read_to_string(made.list[0].host.join("app.conf")).unwrap(), "x");
        let both = json!([one, {"name": "data", "mountPath": "/etc/app"}]);
        assert!(matches!(mounts(directory.path(), both), Err(Error::FileInMount { .. })));
    }

    #[test]
    fn nothing_leads_out_of_a_volume() {
        let directory = tempfile::tempdir().unwrap();
        volumes(directory.path());
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, directory.path().join("data/out")).unwrap();
        std::os::unix::fs::symlink("/nowhere", directory.path().join("data/dead")).unwrap();
        for sub in ["out", "out/x", "dead", "../config", "/etc"] {
            let mount = json!([{"name": "data", "mountPath": "/d", "subPath": sub}]);
            let error = mounts(directory.path(), mount);
            assert!(matches!(error, Err(Error::SubPath { .. })), "{sub}");
        }
        let missing = json!([{"name": "config", "mountPath": "/d", "subPath": "none"}]);
        assert!(mounts(directory.path(), missing).is_err());
    }

    #[test]
    fn messages_are_read_from_below_their_mount_only() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        fs::create_dir(&root).unwrap();
        let read = |name: &str| {
            termination_message(&Message { root: root.clone(), file: root.join(name) })
        };
        assert_eq!(read("message"), "");
        fs::write(root.join("message"), "x".repeat(5000)).unwrap();
        assert_eq!(read("message").len(), 4096);
        fs::write(directory.path().join("outside"), "secret").unwrap();
        std::os::unix::fs::symlink("../outside", root.join("link")).unwrap();
        std::os::unix::fs::symlink("..", root.join("up")).unwrap();
        assert_eq!(read("link"), "");
        assert_eq!(read("up/outside"), "");
    }
}
