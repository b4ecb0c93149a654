//! Files of a volume written so that a reader sees all of an update or none of it: into a new
//! directory, to which the link `..data` is then turned, as Kubernetes' atomic writer does.
//! Blocking.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path};

use coracle_api::{clock, dice};

const DATA: &str = "..data";
const DATA_TURNED: &str = "..data_tmp";

/// The files of a volume by relative path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) files: BTreeMap<String, File>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    pub(super) mode: i32,
}

/// Makes `directory` show `payload` and nothing else.
pub(super) fn write(directory: &Path, payload: &Payload) -> io::Result<()> {
    for path in payload.files.keys() {
        check(path)?;
    }
    fs::create_dir_all(directory)?;
    let data = directory.join(DATA);
    let old = fs::read_link(&data).ok();
    let moment = clock::now().strftime("%Y_%m_%d_%H_%M_%S").to_string();
    let new = format!("..{moment}.{}", dice::suffix(9));
    fs::create_dir(directory.join(&new))?;
    for (path, file) in &payload.files {
        let path = directory.join(&new).join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, &file.bytes)?;
        let mode = u32::try_from(file.mode).unwrap_or(0o644) & 0o777;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    let turned = directory.join(DATA_TURNED);
    if fs::symlink_metadata(&turned).is_ok() {
        fs::remove_file(&turned)?;
    }
    symlink(&new, &turned)?;
    fs::rename(&turned, &data)?;
    link_names(directory, payload)?;
    if let Some(old) = old.filter(|old| *old != Path::new(&new)) {
        fs::remove_dir_all(directory.join(old))?;
    }
    Ok(())
}

/// Gives each first component of a path a link through `..data`, and takes away those left over.
fn link_names(directory: &Path, payload: &Payload) -> io::Result<()> {
    let first = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let names: std::collections::BTreeSet<String> =
        payload.files.keys().map(|path| first(path)).collect();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !names.contains(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    for name in names {
        let link = directory.join(&name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(&name), link)?;
        }
    }
    Ok(())
}

/// Paths stay below the volume, and off the names that the writer uses itself.
fn check(path: &str) -> io::Result<()> {
    let normal = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !normal || path.starts_with("..") {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("invalid path: {path:?} must be relative and not contain '..'"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |(path, text): &(&str, &str)| {
            ((*path).to_owned(), File { bytes: text.as_bytes().to_vec(), mode: 0o400 })
        };
        Payload { files: files.iter().map(file).collect() }
    }

    fn visible(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with("..")).collect();
        names.sort();
        names
    }

    #[test]
    fn an_update_replaces_everything() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        write(path, &payload(&[("a", "1"), ("deep/er/b", "2")])).unwrap();
        assert_eq!(visible(path), ["a", "deep"]);
        assert_eq!(fs::read_to_string(path.join("deep/er/b")).unwrap(), "2");
        let mode = fs::metadata(path.join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400);

        write(path, &payload(&[("a", "3"), ("c", "4")])).unwrap();
        assert_eq!(visible(path), ["a", "c"]);
        assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "3");
        let entries = fs::read_dir(path).unwrap().count();
        assert_eq!(entries, 4, "two links, ..data and one directory");
    }

    #[test]
    fn paths_cannot_leave_the_volume() {
        let directory = tempfile::tempdir().unwrap();
        for path in ["../x", "/x", "a/../../x", "..data", ""] {
            let error = write(directory.path(), &payload(&[(path, "")])).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
        assert!(visible(directory.path()).is_empty());
    }
}
