//! The files of one log: the present one `<instance>.log`, rotated ones `<instance>.log.<number>`
//! with rising numbers.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::LogName;

/// The present file.
pub(super) fn present(name: &LogName) -> PathBuf {
    name.directory.join(format!("{}.log", name.instance))
}

/// The file that the `number`th rotation (from 0) left behind.
pub(super) fn rotated(name: &LogName, number: u64) -> PathBuf {
    name.directory.join(format!("{}.log.{number}", name.instance))
}

/// Removes everything of a log.
pub(crate) fn remove(name: &LogName) -> io::Result<()> {
    let old = rotations(name)?.into_iter().map(|number| rotated(name, number));
    for file in old.chain([present(name)]) {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The numbers of the rotated files that are there, in order.
pub(super) fn rotations(name: &LogName) -> io::Result<Vec<u64>> {
    let prefix = format!("{}.log.", name.instance);
    let mut found = Vec::new();
    for entry in fs::read_dir(&name.directory)? {
        let file = entry?.file_name();
        let number = file.to_str().and_then(|file| file.strip_prefix(&prefix));
        found.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}
