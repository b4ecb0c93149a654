//! CronJob, and its first name: ScheduledJob.

use coracle_api::cause::Cause;
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus};
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, containers_and_images, name, or_none, since, wide};
use super::{generation, job, legacy, pod, replicaset::selector_text};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

impl Strategy for CronJob {
    const NAMES: Names = Names {
        group: "batch",
        version: "v1",
        kind: "CronJob",
        plural: "cronjobs",
        singular: "cronjob",
        short: &["cj"],
        categories: &["all"],
        namespaced: true,
        status: true,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Schedule", "string", "When jobs are made, as cron has it."),
        column("Timezone", "string", "The time zone in which the schedule is meant."),
        column("Suspend", "boolean", "Whether no further jobs are made."),
        column("Active", "integer", "Number of jobs that run."),
        column("Last Schedule", "string", "When a job was made last."),
        AGE,
        wide("Containers", "string", "Names of each container in the template."),
        wide("Images", "string", "Images referenced by each container in the template."),
        wide("Selector", "string", "Which pods belong to it."),
    ];

    fn modernise(&mut self) -> Result<(), String> {
        let job = self.spec.job_template.spec.as_mut();
        job.map_or(Ok(()), |job| legacy::annotated(&mut job.template))
    }

    fn default_fields(&mut self) {
        let spec = &mut self.spec;
        pod::set_text(&mut spec.concurrency_policy, "Allow");
        spec.suspend.get_or_insert(false);
        spec.successful_jobs_history_limit.get_or_insert(3);
        spec.failed_jobs_history_limit.get_or_insert(1);
        if let Some(spec) = &mut spec.job_template.spec {
            job::default_spec(spec);
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(CronJobStatus::default());
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        match part {
            Part::Main => {
                self.status = old.status.clone();
                let changed = self.spec != old.spec;
                generation::count(self, old, changed);
            }
            Part::Status => {
                self.spec = old.spec.clone();
                generation::count(self, old, false);
            }
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::cronjob(self)
    }

    fn row(&self) -> Vec<Value> {
        let spec = &self.spec;
        let job = spec.job_template.spec.as_ref();
        let [containers, images] = containers_and_images(job.map(|job| &job.template));
        let selector = job.and_then(|job| job.selector.as_ref()).map(selector_text);
        let suspended = match spec.suspend {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        let status = self.status.as_ref();
        let last = status.and_then(|status| status.last_schedule_time.as_ref());
        let active = status.and_then(|status| status.active.as_ref()).map_or(0, Vec::len);
        vec![
            name(self),
            json!(spec.schedule),
            json!(or_none(spec.time_zone.as_deref())),
            json!(suspended),
            json!(active),
            json!(last.map_or_else(|| "<none>".into(), |last| since(Some(last)))),
            age(self),
            containers,
            images,
            json!(or_none(selector.as_deref())),
        ]
    }
}
