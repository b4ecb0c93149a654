//! What a suite's tests made of this cluster, against the one list of what is known to fail.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    failure: Vec<Failure>,
}

/// A test that is known to fail.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    suite: String,
    test: String,
    reason: String,
    /// It may pass as well: how it ends hangs on time, and not on the cluster.
    #[serde(default)]
    races: bool,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    Skipped,
}

/// The tests of a suite by name.
pub(crate) type Verdicts = BTreeMap<String, Verdict>;

/// Fails unless exactly those tests failed that are expected to, but for those that race.
pub(crate) fn judge(suite: &str, verdicts: &Verdicts) -> Result<()> {
    let expected: Expected = toml::from_str(include_str!("expected-failures.toml"))?;
    let mut complaints = Vec::new();
    let mut known = BTreeSet::new();
    for failure in expected.failure.iter().filter(|failure| failure.suite == suite) {
        ensure!(!failure.reason.trim().is_empty(), "{} is listed without a reason", failure.test);
        known.insert(failure.test.as_str());
        match verdicts.get(&failure.test) {
            Some(Verdict::Failed) => {}
            Some(Verdict::Passed) if failure.races => {}
            Some(Verdict::Passed) => {
                complaints.push(format!("{} passes: remove it from the list", failure.test));
            }
            Some(Verdict::Skipped) | None => complaints
                .push(format!("{} is listed, and the suite does not run it", failure.test)),
        }
    }
    for (test, verdict) in verdicts {
        if *verdict == Verdict::Failed && !known.contains(test.as_str()) {
            complaints.push(format!("{test} failed"));
        }
    }
    let count = |wanted| verdicts.values().filter(|verdict| **verdict == wanted).count();
    println!(
        "{suite}: {} passed, {} failed, {} skipped",
        count(Verdict::Passed),
        count(Verdict::Failed),
        count(Verdict::Skipped),
    );
    ensure!(count(Verdict::Passed) > 0, "no test of {suite} passed");
    ensure!(complaints.is_empty(), "{suite}:\n{}", complaints.join("\n"));
    Ok(())
}

/// Where `make suites` puts what a suite is.
pub(crate) fn unpacked(suite: &str) -> Result<std::path::PathBuf> {
    let path = harness::repository().join("target/suites").join(suite);
    path.exists().then_some(path).with_context(|| format!("{suite} is missing: run `make suites`"))
}
