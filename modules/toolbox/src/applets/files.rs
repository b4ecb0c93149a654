//! Files and directories: `cp`, `ls`, `mkdir`, `mv`, `rm`, `rmdir`, `touch`.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::time;
use crate::call::{Call, Failure, Outcome};
use crate::pattern;

/// How deep a tree of directories may be that is copied or removed.
const DEEPEST: usize = 100;

fn needs_operand(names: &[String]) -> Result<(), Failure> {
    if names.is_empty() { Err(Failure::new(2, "missing operand")) } else { Ok(()) }
}

pub(super) fn mkdir(call: &mut Call<'_>) -> Outcome {
    let options = call.options("pv", "m")?;
    needs_operand(&options.rest)?;
    for name in &options.rest {
        let place = call.path(name);
        let made = if options.has('p') { make_all(&place) } else { fs::create_dir(&place) };
        made.map_err(|error| {
            let reason = crate::call::reason(&error);
            Failure::new(1, format!("can't create directory '{name}': {reason}"))
        })?;
    }
    Ok(0)
}

/// A directory and those above it. What lies above a mount cannot be looked at.
fn make_all(place: &Path) -> io::Result<()> {
    if place.is_dir() {
        return Ok(());
    }
    match fs::create_dir(place) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let above = place.parent().filter(|above| above.parent().is_some()).ok_or(error)?;
            make_all(above)?;
            fs::create_dir(place)
        }
        made => made,
    }
}

pub(super) fn touch(call: &mut Call<'_>) -> Outcome {
    let options = call.options("c", "")?;
    needs_operand(&options.rest)?;
    for name in &options.rest {
        let place = call.path(name);
        if options.has('c') && !place.exists() {
            continue;
        }
        let touched = OpenOptions::new().create(true).append(true).open(place);
        let touched = touched.and_then(|file| file.set_modified(SystemTime::now()));
        touched.map_err(|error| Failure::of_file(name, &error))?;
    }
    Ok(0)
}

pub(super) fn rm(call: &mut Call<'_>) -> Outcome {
    let directories = call.name() == "rmdir";
    let options = call.options(if directories { "" } else { "rRfv" }, "")?;
    let force = options.has('f');
    if !force {
        needs_operand(&options.rest)?;
    }
    for name in &options.rest {
        let place = call.path(name);
        let removed = match fs::symlink_metadata(&place) {
            Err(error) if force && error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) if directories => fs::remove_dir(&place),
            Ok(found) if found.is_dir() && !(options.has('r') || options.has('R')) => {
                Err(ErrorKind::IsADirectory.into())
            }
            Ok(found) => remove(&place, &found, 0),
        };
        removed.map_err(|error| {
            Failure::new(1, format!("can't remove '{name}': {}", crate::call::reason(&error)))
        })?;
    }
    Ok(0)
}

fn remove(place: &Path, found: &Metadata, depth: usize) -> io::Result<()> {
    if !found.is_dir() {
        return fs::remove_file(place);
    }
    if depth == DEEPEST {
        return Err(io::Error::other("the tree is too deep"));
    }
    for entry in fs::read_dir(place)? {
        let inner = entry?.path();
        remove(&inner, &fs::symlink_metadata(&inner)?, depth + 1)?;
    }
    fs::remove_dir(place)
}

/// Where each source goes: the last operand, or a place in it if it is a directory.
fn pairs(call: &Call<'_>, names: &[String]) -> Result<Vec<(String, PathBuf, PathBuf)>, Failure> {
    let Some((to, from)) = names.split_last().filter(|(_, from)| !from.is_empty()) else {
        return Err(Failure::new(2, "missing operand"));
    };
    let place = call.path(to);
    let within = place.is_dir();
    if from.len() > 1 && !within {
        return Err(Failure::of_file(to, &ErrorKind::NotADirectory.into()));
    }
    let pair = |name: &String| {
        let source = call.path(name);
        let target = match source.file_name().filter(|_| within) {
            Some(last) => place.join(last),
            None => place.clone(),
        };
        (name.clone(), source, target)
    };
    Ok(from.iter().map(pair).collect())
}

pub(super) fn cp(call: &mut Call<'_>) -> Outcome {
    let options = call.options("rRafpv", "")?;
    let deep = options.has('r') || options.has('R') || options.has('a');
    for (name, source, target) in pairs(call, &options.rest)? {
        let found = fs::metadata(&source).map_err(|error| Failure::of_file(&name, &error))?;
        if found.is_dir() && !deep {
            return Err(Failure::new(1, format!("omitting directory '{name}'")));
        }
        copy(&source, &target, 0).map_err(|error| Failure::of_file(&name, &error))?;
    }
    Ok(0)
}

fn copy(source: &Path, target: &Path, depth: usize) -> io::Result<()> {
    if !source.is_dir() {
        return fs::copy(source, target).map(drop);
    }
    // A directory copied into itself would never end.
    if depth == DEEPEST || target.starts_with(source) {
        return Err(io::Error::other("the tree is too deep"));
    }
    if !target.is_dir() {
        fs::create_dir(target)?;
    }
    for name in pattern::names(source) {
        copy(&source.join(&name), &target.join(&name), depth + 1)?;
    }
    Ok(())
}

pub(super) fn mv(call: &mut Call<'_>) -> Outcome {
    let options = call.options("fv", "")?;
    for (name, source, target) in pairs(call, &options.rest)? {
        let moved = match fs::rename(&source, &target) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                let found = fs::symlink_metadata(&source);
                found.and_then(|found| {
                    copy(&source, &target, 0).and_then(|()| remove(&source, &found, 0))
                })
            }
            moved => moved,
        };
        moved.map_err(|error| Failure::of_file(&name, &error))?;
    }
    Ok(0)
}

pub(super) fn ls(call: &mut Call<'_>) -> Outcome {
    let options = call.options("1aAlh", "")?;
    let here = [".".to_owned()];
    let named = if options.rest.is_empty() { here.as_slice() } else { options.rest.as_slice() };
    let (mut code, several) = (0, named.len() > 1);
    for (index, name) in named.iter().enumerate() {
        let place = call.path(name);
        let found = match fs::metadata(&place) {
            Ok(found) => found,
            Err(error) => {
                call.io.complain(&format!("ls: {name}: {}", crate::call::reason(&error)));
                code = 1;
                continue;
            }
        };
        if !found.is_dir() {
            line(call, name, &place, options.has('l'))?;
            continue;
        }
        if several {
            let gap = if index > 0 { "\n" } else { "" };
            writeln!(call.io.output, "{gap}{name}:")?;
        }
        for entry in pattern::names(&place) {
            if options.has('a') || options.has('A') || !entry.starts_with('.') {
                line(call, &entry, &place.join(&entry), options.has('l'))?;
            }
        }
    }
    Ok(code)
}

fn line(call: &mut Call<'_>, name: &str, place: &Path, long: bool) -> Result<(), Failure> {
    if !long {
        return Ok(writeln!(call.io.output, "{name}")?);
    }
    let found = fs::symlink_metadata(place).map_err(|error| Failure::of_file(name, &error))?;
    let kind = if found.is_dir() {
        'd'
    } else if found.is_symlink() {
        'l'
    } else {
        '-'
    };
    let seconds = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let seconds = seconds.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    let when = time::format("%b %e %H:%M", seconds)?;
    // WASI knows neither owners nor modes.
    writeln!(call.io.output, "{kind} {:>10} {when} {name}", found.len())?;
    Ok(())
}
