//! When a CronJob's next job is due, and which it has missed. Pure.

use coracle_api::cron::Schedule;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// From how many missed starts on somebody is told.
const MANY: i64 = 100;
/// A job is made a little after its time, never before.
const DELTA: SignedDuration = SignedDuration::from_millis(100);

/// The times at which jobs are due.
pub(super) struct Times {
    schedule: Schedule,
    zone: TimeZone,
}

/// Why there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The time zone is not known; the message.
    Zone(String),
    /// The schedule cannot be read; the message.
    Schedule(String),
}

/// A start that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) at: Timestamp,
    /// Whether suspiciously many before it were missed.
    pub(super) is_far_behind: bool,
}

/// The latest of the starts that were missed, and about how many those are.
struct Latest {
    at: Option<Timestamp>,
    missed: i64,
}

impl Times {
    pub(super) fn of(cron: &CronJob) -> Result<Self, Fault> {
        let zone = match cron.spec.time_zone.as_deref() {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name)
                .map_err(|error| Fault::Zone(format!("invalid timeZone: {name:?}: {error}")))?,
        };
        let text = &cron.spec.schedule;
        let schedule = text.parse().map_err(|error| {
            Fault::Schedule(format!("unparseable schedule: {text:?} : {error}"))
        })?;
        Ok(Self { schedule, zone })
    }

    fn after(&self, time: Timestamp) -> Option<Timestamp> {
        Some(self.schedule.next(&time.to_zoned(self.zone.clone()))?.timestamp())
    }

    /// The last start in `(earliest, now]`. Of how many were missed there is only an estimate: to
    /// count a minute's schedule over years would take as long as it sounds.
    fn latest(&self, earliest: Timestamp, now: Timestamp) -> Result<Latest, String> {
        let never = || "time difference between two schedules is less than 1 second".to_owned();
        let first = self.after(earliest).ok_or_else(never)?;
        let second = self.after(first).ok_or_else(never)?;
        if now < first {
            return Ok(Latest { at: None, missed: 0 });
        }
        if now < second {
            return Ok(Latest { at: Some(first), missed: 0 });
        }
        let period = second.duration_since(first).as_secs().max(1);
        let missed = now.duration_since(first).as_secs() / period + 1;
        // Schedules need not be regular: one more period back than the estimate says, and further
        // if nothing is found there.
        let mut back = 2;
        loop {
            let periods = (missed - back).max(0);
            let from = first.saturating_add(SignedDuration::from_secs(periods * period));
            let from = from.map_err(|error| error.to_string())?;
            let mut at = (periods == 0).then_some(first);
            let mut next = self.after(from);
            while let Some(time) = next.filter(|time| *time <= now) {
                at = Some(time);
                next = self.after(time);
            }
            if at.is_some() {
                return Ok(Latest { at, missed });
            }
            back *= 4;
        }
    }

    /// The start that is due, if one is.
    pub(super) fn due(&self, cron: &CronJob, now: Timestamp) -> Result<Option<Start>, String> {
        let mut earliest = last_start(cron);
        if let Some(seconds) = cron.spec.starting_deadline_seconds {
            let deadline = now.saturating_sub(SignedDuration::from_secs(seconds));
            earliest = earliest.max(deadline.unwrap_or(earliest));
        }
        let latest = self.latest(earliest, now)?;
        Ok(latest.at.map(|at| Start { at, is_far_behind: latest.missed > MANY }))
    }

    /// How long it is until the next start.
    pub(super) fn next_in(&self, cron: &CronJob, now: Timestamp) -> Option<SignedDuration> {
        let earliest = last_start(cron);
        let from = match self.latest(earliest, now) {
            Ok(Latest { at: Some(at), .. }) => at,
            Ok(Latest { at: None, .. }) => earliest,
            Err(_) => now,
        };
        Some(self.after(from)?.duration_since(now) + DELTA)
    }

    /// `time` as the annotation of a job has it.
    pub(super) fn written(&self, time: Timestamp) -> String {
        let zoned = time.to_zoned(self.zone.clone());
        let text = zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        text.strip_suffix("+00:00").map(|text| format!("{text}Z")).unwrap_or(text)
    }
}

/// The start before which nothing is looked for.
fn last_start(cron: &CronJob) -> Timestamp {
    let last = cron.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
    let created = cron.metadata.creation_timestamp.as_ref();
    last.or(created).map(|time| time.0).unwrap_or_default()
}

/// Whether it is too late to start what was due at `start`.
pub(super) fn is_too_late(cron: &CronJob, start: Timestamp, now: Timestamp) -> bool {
    let Some(seconds) = cron.spec.starting_deadline_seconds else { return false };
    start.saturating_add(SignedDuration::from_secs(seconds)).is_ok_and(|deadline| deadline < now)
}

/// The name of the job for a start: the same start never makes two.
pub(super) fn job_name(cron: &CronJob, start: Timestamp) -> String {
    let name = cron.metadata.name.as_deref().unwrap_or_default();
    format!("{name}-{}", start.as_second().div_euclid(60))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cron(schedule: &str, changes: Value) -> CronJob {
        let mut cron = json!({
            "metadata": {"name": "c", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"schedule": schedule, "jobTemplate": {}}, "status": {},
        });
        json_patch::merge(&mut cron, &changes);
        serde_json::from_value(cron).unwrap()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_missed_start_is_due() {
        let deadline = |seconds: i64| json!({"spec": {"startingDeadlineSeconds": seconds}});
        let last = |time: &str| json!({"status": {"lastScheduleTime": time}});
        for (schedule, changes, now, due, far) in [
            ("0 * * * *", json!({}), "2026-01-01T00:59:59Z", None, false),
            ("0 * * * *", json!({}), "2026-01-01T01:00:00Z", Some("2026-01-01T01:00:00Z"), false),
            ("0 * * * *", json!({}), "2026-01-01T05:30:00Z", Some("2026-01-01T05:00:00Z"), false),
            ("0 * * * *", last("2026-01-01T05:00:00Z"), "2026-01-01T05:30:00Z", None, false),
            ("* * * * *", json!({}), "2026-01-01T01:40:30Z", Some("2026-01-01T01:40:00Z"), false),
            ("* * * * *", json!({}), "2026-01-01T01:41:30Z", Some("2026-01-01T01:41:00Z"), true),
            ("* * * * *", json!({}), "2036-01-01T01:41:30Z", Some("2036-01-01T01:41:00Z"), true),
            (
                "* * * * *",
                deadline(90),
                "2036-01-01T01:41:30Z",
                Some("2036-01-01T01:41:00Z"),
                false,
            ),
            ("0 0 * * *", deadline(60), "2026-01-02T00:05:00Z", None, false),
            (
                "0 0 * * *",
                deadline(600),
                "2026-01-02T00:05:00Z",
                Some("2026-01-02T00:00:00Z"),
                false,
            ),
            // Not regular: the morning's last start, seen at noon and in the night after. Of how many
            // were missed the estimate is too high then.
            (
                "0 6-10/2 * * 1-5",
                json!({}),
                "2026-01-05T12:00:00Z",
                Some("2026-01-05T10:00:00Z"),
                false,
            ),
            (
                "0 6-10/2 * * 1-5",
                json!({}),
                "2026-01-11T03:00:00Z",
                Some("2026-01-09T10:00:00Z"),
                true,
            ),
            ("@every 90m", json!({}), "2026-01-01T10:00:00Z", Some("2026-01-01T09:00:00Z"), false),
        ] {
            let cron = cron(schedule, changes.clone());
            let found = Times::of(&cron).unwrap().due(&cron, time(now)).unwrap();
            let expected = due.map(|due| Start { at: time(due), is_far_behind: far });
            assert_eq!(found, expected, "{schedule} {changes} {now}");
        }
    }

    #[test]
    fn what_never_comes_is_a_fault() {
        let never = cron("0 0 31 2 *", json!({}));
        let times = Times::of(&never).unwrap();
        let fault = times.due(&never, time("2026-01-01T00:00:00Z")).unwrap_err();
        assert_eq!(fault, "time difference between two schedules is less than 1 second");
        assert_eq!(times.next_in(&never, time("2026-01-01T00:00:00Z")), None);
        let fault = |cron: &CronJob| Times::of(cron).err().unwrap();
        let message =
            "unparseable schedule: \"60 * * * *\" : end of range (60) above maximum (59): 60";
        assert_eq!(fault(&cron("60 * * * *", json!({}))), Fault::Schedule(message.into()));
        let zone = json!({"spec": {"timeZone": "Moon/Sea"}});
        assert!(matches!(fault(&cron("@daily", zone)), Fault::Zone(_)));
    }

    #[test]
    fn the_next_start_is_waited_for() {
        for (schedule, now, seconds) in [
            ("0 * * * *", "2026-01-01T00:30:00Z", 1800),
            ("0 * * * *", "2026-01-01T07:30:00Z", 1800),
            ("0 0 1 * *", "2026-01-01T00:00:00Z", 31 * 24 * 3600),
            ("@every 1h", "2026-01-01T07:30:00Z", 1800),
        ] {
            let cron = cron(schedule, json!({}));
            let wait = Times::of(&cron).unwrap().next_in(&cron, time(now)).unwrap();
            assert_eq!(wait, SignedDuration::from_secs(seconds) + DELTA, "{schedule} {now}");
        }
    }

    #[test]
    fn zones() {
        let berlin = cron("0 9 * * *", json!({"spec": {"timeZone": "Europe/Berlin"}}));
        let times = Times::of(&berlin).unwrap();
        let start = times.due(&berlin, time("2026-01-01T08:00:05Z")).unwrap().unwrap();
        assert_eq!(start.at, time("2026-01-01T08:00:00Z"));
        assert_eq!(times.written(start.at), "2026-01-01T09:00:00+01:00");
        let utc = cron("0 9 * * *", json!({}));
        assert_eq!(Times::of(&utc).unwrap().written(start.at), "2026-01-01T08:00:00Z");
        assert_eq!(job_name(&utc, start.at), "c-29454240");
    }
}
