//! CronJobs.

use coracle_api::cause::Cause;
use coracle_api::cron::Schedule;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::CronJob;

use super::number::not_negative;
use super::{job, one_of};

/// The longest name to which a job's time can be added.
const NAME_MAX: usize = 52;

/// The faults of a CronJob.
pub(crate) fn cronjob(object: &CronJob) -> Vec<Cause> {
    let spec = &object.spec;
    let mut faults = vec![];
    if spec.schedule.is_empty() {
        faults.push(Cause::required("spec.schedule", ""));
    } else {
        faults.extend(schedule(&spec.schedule));
    }
    faults.extend(not_negative("spec.startingDeadlineSeconds", spec.starting_deadline_seconds));
    faults.extend(spec.time_zone.as_deref().and_then(time_zone));
    let policies = &["Allow", "Forbid", "Replace"];
    faults.extend(one_of("spec.concurrencyPolicy", spec.concurrency_policy.as_deref(), policies));
    faults.extend(job::job_template(&spec.job_template, "spec.jobTemplate"));
    let kept = spec.successful_jobs_history_limit;
    faults.extend(not_negative("spec.successfulJobsHistoryLimit", kept));
    faults.extend(not_negative("spec.failedJobsHistoryLimit", spec.failed_jobs_history_limit));
    let name = object.metadata.name.as_deref().unwrap_or_default();
    if name.len() > NAME_MAX {
        let detail = format!("must be no more than {NAME_MAX} characters");
        faults.push(Cause::invalid("metadata.name", name, &detail));
    }
    faults
}

fn schedule(text: &str) -> Vec<Cause> {
    let path = "spec.schedule";
    let mut faults = vec![];
    if text.contains("TZ") {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        faults.push(Cause::invalid(path, text, detail));
    } else if let Err(error) = text.parse::<Schedule>() {
        faults.push(Cause::invalid(path, text, &error.to_string()));
    }
    faults
}

/// A time zone must be one of the IANA's, by its own name.
fn time_zone(name: &str) -> Option<Cause> {
    let path = "spec.timeZone";
    let invalid = |detail: &str| Some(Cause::invalid(path, name, detail));
    if name.is_empty() {
        return invalid("timeZone must be nil or non-empty string");
    }
    let good = |part: &str| {
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte);
        (1..=14).contains(&part.len())
            && !matches!(part, "." | "..")
            && !part.starts_with('-')
            && part.bytes().all(byte)
    };
    let unknown = format!("unknown time zone {name}");
    if !name.split('/').all(good) {
        return invalid(&unknown);
    }
    if name.eq_ignore_ascii_case("local") {
        let detail =
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        return invalid(detail);
    }
    // Zones are found whatever the case of their names; Kubernetes is stricter.
    match TimeZone::get(name) {
        Ok(zone) if zone.iana_name().is_none_or(|own| own == name) => None,
        _ => invalid(&unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use crate::Strategy;
    use serde_json::{Value, json};

    fn faults(spec: Value) -> Vec<String> {
        let mut value = json!({"metadata": {"name": "c"}, "spec": {
            "schedule": "*/5 * * * *",
            "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "OnFailure", "containers": [{"name": "a", "image": "b"}]}}}},
        }});
        json_patch::merge(&mut value, &json!({ "spec": spec }));
        let mut it: CronJob = object(value);
        it.default_fields();
        lines(cronjob(&it))
    }

    #[test]
    fn cronjobs() {
        for (spec, expected) in [
            (json!({"timeZone": "Europe/Berlin"}), &[][..]),
            (json!({"schedule": "@daily"}), &[]),
            (json!({"schedule": ""}), &["spec.schedule: Required value"]),
            (
                json!({"schedule": "* * * *"}),
                &[
                    "spec.schedule: Invalid value: \"* * * *\": expected exactly 5 fields, found 4: [* * * *]",
                ],
            ),
            (
                json!({"schedule": "TZ=UTC * * * * *"}),
                &[
                    "spec.schedule: Invalid value: \"TZ=UTC * * * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
                ],
            ),
            (
                json!({"timeZone": ""}),
                &["spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string"],
            ),
            (
                json!({"timeZone": "Moon/Base"}),
                &["spec.timeZone: Invalid value: \"Moon/Base\": unknown time zone Moon/Base"],
            ),
            (
                json!({"timeZone": "europe/berlin"}),
                &[
                    "spec.timeZone: Invalid value: \"europe/berlin\": unknown time zone europe/berlin",
                ],
            ),
            (
                json!({"timeZone": "LOCAL"}),
                &[
                    "spec.timeZone: Invalid value: \"LOCAL\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
                ],
            ),
            (
                json!({"concurrencyPolicy": "X"}),
                &[
                    "spec.concurrencyPolicy: Unsupported value: \"X\": supported values: \"Allow\", \"Forbid\", \"Replace\"",
                ],
            ),
            (
                json!({"jobTemplate": {"spec": {"manualSelector": true, "selector": {}}}}),
                &[
                    "spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated",
                    "spec.jobTemplate.spec.manualSelector: Unsupported value: \"true\": supported values: \"nil\", \"false\"",
                ],
            ),
        ] {
            assert_eq!(faults(spec.clone()), expected, "{spec}");
        }
    }
}
