//! Whether every behaviour is either tested or known not to be.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotYet {
    behaviour: Vec<Behaviour>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Behaviour {
    name: String,
    reason: String,
}

/// The names of this binary's tests, without their modules.
fn tests(arguments: &[&str]) -> Result<BTreeSet<String>> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--list", "--format", "terse"])
        .args(arguments)
        .output()
        .context("asking for the tests")?;
    let output = String::from_utf8(output.stdout)?;
    let names = output.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(|name| name.rsplit("::").next().unwrap_or(name).to_owned()).collect())
}

#[test]
fn every_behaviour_is_tested_or_known_not_to_be() -> Result<()> {
    let behaviours: BTreeSet<String> = include_str!("behaviours.txt")
        .lines()
        .filter_map(|line| line.split_once(' ').map(|(_, name)| name.to_owned()))
        .collect();
    ensure!(behaviours.len() > 150, "the list is too short");
    let not_yet: NotYet = toml::from_str(include_str!("not-yet.toml"))?;
    for one in &not_yet.behaviour {
        ensure!(!one.reason.trim().is_empty(), "{} is listed without a reason", one.name);
    }
    let listed: BTreeSet<String> = not_yet.behaviour.into_iter().map(|one| one.name).collect();
    let (all, ignored) = (tests(&[])?, tests(&["--ignored"])?);
    let running: BTreeSet<String> = all.difference(&ignored).cloned().collect();

    let missing: Vec<_> = behaviours
        .iter()
        .filter(|name| !running.contains(*name) && !listed.contains(*name))
        .collect();
    ensure!(missing.is_empty(), "neither tested nor in not-yet.toml: {missing:#?}");
    let both: Vec<_> = listed.intersection(&running).collect();
    ensure!(both.is_empty(), "tested: remove from not-yet.toml: {both:#?}");
    let unknown: Vec<_> = listed.iter().filter(|name| !behaviours.contains(*name)).collect();
    ensure!(unknown.is_empty(), "no behaviours: {unknown:#?}");
    Ok(())
}
