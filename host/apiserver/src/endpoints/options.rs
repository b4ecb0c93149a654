//! The query parameters of the verbs, read and checked: `CreateOptions`, `ListOptions` and so on.

use std::time::Duration;

use coracle_api::selector::FieldSelector;
use coracle_store::Revision;

use super::Call;
use crate::error::{ApiError, Cause, Result};
use crate::registry::{DeleteOptions, Kind, MAX_MANAGER, Selection, is_printable};
use crate::request::Params;

/// The group of the options' own kinds.
const META: &str = "meta.k8s.io";
const MATCH: &str = "resourceVersionMatch";
const CONTINUED: &str = "resourceVersionMatch is forbidden when continue is provided";

/// What to do about fields that are unknown or given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// `CreateOptions`, `UpdateOptions` and `PatchOptions`.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteOptions {
    pub(super) dry_run: bool,
    pub(super) field_validation: FieldValidation,
}

impl WriteOptions {
    /// `kind` is the options' own, for errors.
    pub(super) fn read(params: &Params, kind: &str) -> Result<Self> {
        Self::complete(params, kind, vec![])
    }

    /// The options of a patch, which may be an applied configuration.
    pub(super) fn read_patch(params: &Params, apply: bool) -> Result<Self> {
        let mut causes = vec![];
        if apply && params.given("fieldManager").is_none() {
            causes.push(Cause::required("fieldManager", "is required for apply patch"));
        }
        if !apply && params.get("force").is_some() {
            causes.push(Cause::forbidden("force", "may not be specified for non-apply patch"));
        }
        Self::complete(params, "PatchOptions", causes)
    }

    fn complete(params: &Params, kind: &str, mut causes: Vec<Cause>) -> Result<Self> {
        field_manager(params.get("fieldManager").unwrap_or_default(), &mut causes);
        let dry_run = dry_run(params.all("dryRun"), &mut causes);
        let field_validation = match params.get("fieldValidation") {
            None | Some("" | "Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let valid = &["Ignore", "Strict", "Warn"];
                causes.push(Cause::not_supported("fieldValidation", other, valid));
                FieldValidation::Warn
            }
        };
        refuse(kind, causes)?;
        Ok(Self { dry_run, field_validation })
    }
}

/// The rules for the names of those who own fields.
fn field_manager(manager: &str, causes: &mut Vec<Cause>) {
    if manager.len() > MAX_MANAGER {
        causes.push(Cause::too_long("fieldManager", MAX_MANAGER));
    }
    let strange = manager.char_indices().find(|(_, c)| !is_printable(*c));
    if let Some((at, c)) = strange {
        let detail = format!("invalid character U+{:04X} (at position {at})", c as u32);
        causes.push(Cause::invalid("fieldManager", manager, &detail));
    }
}

fn dry_run<'a>(values: impl Iterator<Item = &'a str>, causes: &mut Vec<Cause>) -> bool {
    let mut all = false;
    for value in values {
        match value {
            "All" => all = true,
            other => causes.push(Cause::not_supported("dryRun", other, &["All"])),
        }
    }
    all
}

fn refuse(kind: &str, causes: Vec<Cause>) -> Result<()> {
    if causes.is_empty() { Ok(()) } else { Err(ApiError::invalid(META, kind, "", causes)) }
}

/// The options of a deletion, from its body or, without one, from the query. The second value is
/// whether it is only to be tried.
pub(super) fn delete(params: &Params, body: &[u8]) -> Result<(DeleteOptions, bool)> {
    let mut options = if body.iter().all(u8::is_ascii_whitespace) {
        let mut options = DeleteOptions::default();
        if let Some(seconds) = params.given("gracePeriodSeconds") {
            let bad =
                |_| ApiError::bad_request(format!("gracePeriodSeconds: not a number: {seconds:?}"));
            options.grace_period_seconds = Some(seconds.parse().map_err(bad)?);
        }
        options.propagation_policy = params.given("propagationPolicy").map(str::to_owned);
        options.orphan_dependents =
            params.given("orphanDependents").map(|_| params.flag("orphanDependents"));
        options
    } else {
        serde_json::from_slice(body)
            .map_err(|error| ApiError::bad_request(format!("cannot read DeleteOptions: {error}")))?
    };
    let mut causes = vec![];
    let in_body = options.dry_run.take().unwrap_or_default();
    let dry_run =
        dry_run(params.all("dryRun").chain(in_body.iter().map(String::as_str)), &mut causes);
    let policy = options.propagation_policy.as_deref();
    if options.orphan_dependents.is_some() && policy.is_some() {
        let value = policy.unwrap_or_default();
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        causes.push(Cause::invalid("propagationPolicy", value, detail));
    }
    let known = ["Foreground", "Background", "Orphan"];
    if let Some(other) = policy.filter(|policy| !known.contains(policy)) {
        let valid = &["Foreground", "Background", "Orphan", "nil"];
        causes.push(Cause::not_supported("propagationPolicy", other, valid));
    }
    refuse("DeleteOptions", causes)?;
    Ok((options, dry_run))
}

/// Which state a list or get wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Newest,
    /// Any state that is not older.
    NotOlderThan(Revision),
    Exactly(Revision),
}

/// `ListOptions`.
#[derive(Clone, Debug)]
pub(super) struct ListOptions {
    pub(super) selection: Selection,
    pub(super) limit: Option<usize>,
    pub(super) continue_at: Option<String>,
    /// As given; empty and `0` are not the same for watches.
    pub(super) version: Option<Revision>,
    pub(super) at: At,
    pub(super) timeout: Option<Duration>,
    pub(super) bookmarks: bool,
    pub(super) initial_events: Option<bool>,
}

impl ListOptions {
    pub(super) fn read(call: &Call, kind: &dyn Kind) -> Result<Self> {
        let params = &call.params;
        let selection = selection(params, kind)?;
        let watching = call.verb == crate::request::Verb::Watch;
        let limit = match number(params, "limit")? {
            Some(limit) if limit > 0 && !watching => usize::try_from(limit).ok(),
            _ => None,
        };
        let continue_at = params.given("continue");
        let given = params.given("resourceVersion");
        let rule = params.given("resourceVersionMatch");
        let initial_events =
            params.given("sendInitialEvents").map(|_| params.flag("sendInitialEvents"));
        let mut causes = vec![];
        if watching {
            check_watch(rule, initial_events, continue_at.is_some(), &mut causes);
        } else {
            check_list(rule, given, continue_at.is_some(), &mut causes);
            if initial_events.is_some() {
                let detail = "sendInitialEvents is forbidden for list";
                causes.push(Cause::forbidden("sendInitialEvents", detail));
            }
        }
        refuse("ListOptions", causes)?;
        let version = version(params)?;
        let continue_at = continue_at.filter(|_| !watching).map(str::to_owned);
        if continue_at.is_some() && version.is_some_and(|version| version > 0) {
            let message = "specifying resource version is not allowed when using continue";
            return Err(ApiError::bad_request(message));
        }
        let at = match (version, rule) {
            (None | Some(0), _) => At::Newest,
            (Some(version), Some("Exact")) => At::Exactly(version),
            // Before resourceVersionMatch, a limit made lists exact.
            (Some(version), None) if limit.is_some() => At::Exactly(version),
            (Some(version), _) => At::NotOlderThan(version),
        };
        let timeout = number(params, "timeoutSeconds")?.and_then(|n| u64::try_from(n).ok());
        Ok(Self {
            selection,
            limit,
            continue_at,
            version,
            at,
            timeout: timeout.filter(|seconds| *seconds > 0).map(Duration::from_secs),
            bookmarks: params.flag("allowWatchBookmarks"),
            initial_events,
        })
    }
}

/// `k8s.io/apimachinery/pkg/apis/meta/internalversion/validation`.
fn check_list(rule: Option<&str>, version: Option<&str>, continued: bool, causes: &mut Vec<Cause>) {
    let Some(rule) = rule else { return };
    if version.is_none() {
        let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        causes.push(Cause::forbidden(MATCH, detail));
    }
    if continued {
        causes.push(Cause::forbidden(MATCH, CONTINUED));
    }
    if !matches!(rule, "Exact" | "NotOlderThan") {
        causes.push(Cause::not_supported(MATCH, rule, &["Exact", "NotOlderThan", ""]));
    }
    if rule == "Exact" && version == Some("0") {
        let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
        causes.push(Cause::forbidden(MATCH, detail));
    }
}

/// The same for watches.
fn check_watch(
    rule: Option<&str>,
    initial_events: Option<bool>,
    continued: bool,
    causes: &mut Vec<Cause>,
) {
    if initial_events.is_some() && rule != Some("NotOlderThan") {
        let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        causes.push(Cause::forbidden(MATCH, detail));
    }
    let Some(rule) = rule else { return };
    if initial_events.is_none() {
        let detail =
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        causes.push(Cause::forbidden(MATCH, detail));
    }
    if rule != "NotOlderThan" {
        causes.push(Cause::not_supported(MATCH, rule, &["NotOlderThan"]));
    }
    if continued {
        causes.push(Cause::forbidden(MATCH, CONTINUED));
    }
}

/// The label and field selectors of a request.
pub(super) fn selection(params: &Params, kind: &dyn Kind) -> Result<Selection> {
    let labels = params.get("labelSelector").unwrap_or_default();
    let labels = labels
        .parse()
        .map_err(|error| ApiError::bad_request(format!("unable to parse requirement: {error}")))?;
    let fields = params.get("fieldSelector").unwrap_or_default();
    let fields: FieldSelector =
        fields.parse().map_err(|error: coracle_api::selector::SelectorError| {
            ApiError::bad_request(error.to_string())
        })?;
    let unsupported =
        |field: &str| ApiError::bad_request(format!("field label not supported: {field}"));
    let fields = match kind.conversion() {
        None => fields,
        Some(conversion) => {
            let rename = |field: &str| conversion.field(field).map(str::to_owned);
            fields.renamed(&rename).map_err(|field| unsupported(&field))?
        }
    };
    let selection = Selection { labels, fields };
    match selection.unsupported(kind.hub()) {
        Some(field) => Err(unsupported(field)),
        None => Ok(selection),
    }
}

/// The resource version of a request, if it gives one.
pub(super) fn version(params: &Params) -> Result<Option<Revision>> {
    let Some(given) = params.given("resourceVersion") else { return Ok(None) };
    given.parse().map(Some).map_err(|_| {
        let parsed = format!("strconv.ParseUint: parsing {given:?}: invalid syntax");
        let Cause { field, message, .. } = Cause::invalid("resourceVersion", given, &parsed);
        ApiError::bad_request(format!("invalid resource version: {field}: {message}"))
    })
}

fn number(params: &Params, name: &str) -> Result<Option<i64>> {
    let Some(given) = params.given(name) else { return Ok(None) };
    let bad =
        |_| ApiError::bad_request(format!("strconv.ParseInt: parsing {given:?}: invalid syntax"));
    given.parse().map(Some).map_err(bad)
}
