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

/// Fails unless exactly those tests failed that are expected to, but for those that race. What the
/// suite printed of an unexpected failure is part of the error.
pub(crate) fn judge(suite: &str, verdicts: &Verdicts, printed: &str) -> Result<()> {
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
            complaints.push(format!("{test} failed:\n{}", passage(printed, test)));
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

/// What a suite printed under the heading of one of its tests, as libtest and pytest write them.
fn passage(printed: &str, test: &str) -> String {
    let heading = |line: &str| ["---- ", "____", "===="].iter().any(|rule| line.starts_with(rule));
    let name = test.rsplit("::").next().unwrap_or(test);
    let lines = printed.lines().skip_while(|line| !(heading(line) && line.contains(name))).skip(1);
    let lines: Vec<&str> =
        lines.take_while(|line| !heading(line) && *line != "failures:").collect();
    lines.join("\n").trim().to_owned()
}

/// Where `make suites` puts what a suite is.
pub(crate) fn unpacked(suite: &str) -> Result<std::path::PathBuf> {
    let path = harness::repository().join("target/suites").join(suite);
    path.exists().then_some(path).with_context(|| format!("{suite} is missing: run `make suites`"))
}

#[test]
fn a_failure_comes_with_what_was_printed_of_it() {
    let libtest = "\nfailures:\n\n---- test::one stdout ----\nleft: 1\n right: 2\n\n\
                   ---- test::two stdout ----\nbroken\n\nfailures:\n    test::one\n";
    assert_eq!(passage(libtest, "test::one"), "left: 1\n right: 2");
    assert_eq!(passage(libtest, "test::two"), "broken");
    let pytest = "== FAILURES ==\n____ test_get[x] ____\nE  assert\n==== short summary ====\n";
    assert_eq!(passage(pytest, "a/test_api.py::test_get[x]"), "E  assert");
    assert_eq!(passage(pytest, "a/test_api.py::test_list"), "");
}
