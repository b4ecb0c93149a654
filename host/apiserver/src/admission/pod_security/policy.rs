//! Which level of which version a namespace's labels ask for
//! (`k8s.io/pod-security-admission/api`).

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{baseline, restricted};
use crate::error::Cause;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// How much a pod may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    #[default]
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn read(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }
}

/// Which Kubernetes 1.x a level is meant as; the default is the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u32);

impl Version {
    const LATEST: Self = Self(u32::MAX);

    pub(super) fn since(self, minor: u32) -> bool {
        self.0 >= minor
    }

    fn read(text: &str) -> Option<Self> {
        if text == "latest" {
            return Some(Self::LATEST);
        }
        let minor = text.strip_prefix("v1.")?;
        let plain = minor == "0" || !minor.starts_with('0');
        let digits = minor.bytes().all(|byte| byte.is_ascii_digit());
        if plain && digits { minor.parse().ok().map(Self) } else { None }
    }
}

/// A level as of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standard {
    pub(super) level: Level,
    pub(super) version: Version,
}

impl Standard {
    const PRIVILEGED: Self = Self { level: Level::Privileged, version: Version::LATEST };

    /// What a pod does that the standard forbids.
    pub(super) fn violations(self, meta: &ObjectMeta, spec: &PodSpec) -> Vec<Violation> {
        if self.level == Level::Privileged {
            return vec![];
        }
        let restricted = self.level == Level::Restricted;
        let mut all = baseline::check(self.version, meta, spec, restricted);
        if restricted {
            all.extend(restricted::check(self.version, spec));
        }
        all
    }
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.version {
            Version::LATEST => write!(f, "{level}:latest"),
            Version(minor) => write!(f, "{level}:v1.{minor}"),
        }
    }
}

/// One thing that a standard forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

/// What a namespace asks of its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) enforce: Standard,
    pub(super) audit: Standard,
    pub(super) warn: Standard,
}

impl Policy {
    /// The policy that labels spell, and what is wrong with them. What cannot be read is taken as
    /// Kubernetes takes it: restricted where it refuses, privileged where it only tells.
    pub(super) fn read(labels: &BTreeMap<String, String>) -> (Self, Vec<Cause>) {
        let mut causes = vec![];
        if !labels.keys().any(|label| label.starts_with(PREFIX)) {
            let none = Standard::PRIVILEGED;
            return (Self { enforce: none, audit: none, warn: none }, causes);
        }
        let mut standard = |mode: &str, unreadable: Level| {
            let mut standard = Standard::PRIVILEGED;
            let label = |suffix: &str| {
                let name = format!("{PREFIX}{mode}{suffix}");
                labels.get(&name).map(|value| (format!("metadata.labels[{name}]"), value))
            };
            if let Some((path, text)) = label("") {
                standard.level = Level::read(text).unwrap_or_else(|| {
                    let detail = "must be one of privileged, baseline, restricted";
                    causes.push(Cause::invalid(path, text.as_str(), detail));
                    unreadable
                });
            }
            if let Some((path, text)) = label("-version") {
                standard.version = Version::read(text).unwrap_or_else(|| {
                    let detail = "must be \"latest\" or \"v1.x\"";
                    causes.push(Cause::invalid(path, text.as_str(), detail));
                    Version::LATEST
                });
            }
            standard
        };
        let enforce = standard("enforce", Level::Restricted);
        let audit = standard("audit", Level::Privileged);
        let mut warn = standard("warn", Level::Privileged);
        // Whoever is refused pods wants to hear of it where he writes their controllers.
        let silent = !labels.contains_key(&format!("{PREFIX}warn"));
        if silent && enforce.level > warn.level {
            warn = enforce;
        }
        (Self { enforce, audit, warn }, causes)
    }

    /// Whether nothing is asked of pods at all.
    pub(super) fn is_open(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|s| s.level == Level::Privileged)
    }
}

/// The violations in one line: `reason (detail), reason (detail)`.
pub(super) fn details(violations: &[Violation]) -> String {
    let one = |violation: &Violation| match violation.detail.as_str() {
        "" => violation.reason.to_owned(),
        detail => format!("{} ({detail})", violation.reason),
    };
    violations.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Their reasons in one line.
pub(super) fn reasons(violations: &[Violation]) -> String {
    violations.iter().map(|violation| violation.reason).collect::<Vec<_>>().join(", ")
}
