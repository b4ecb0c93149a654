//! Job.

use coracle_api::cause::Cause;
use coracle_api::{clock, duration};
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus, PodFailurePolicy};
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, containers_and_images, name, wide};
use super::{generation, legacy, pod, replicaset::selector_text};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

/// What pods of a job are told apart by, and the names that these labels had before they got a
/// domain.
pub(crate) const CONTROLLER_UID: [&str; 2] =
    ["controller-uid", "batch.kubernetes.io/controller-uid"];
pub(crate) const JOB_NAME: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];

impl Strategy for Job {
    const NAMES: Names = Names {
        group: "batch",
        version: "v1",
        kind: "Job",
        plural: "jobs",
        singular: "job",
        short: &[],
        categories: &["all"],
        namespaced: true,
        status: true,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Status", "string", "Status of the job."),
        column("Completions", "string", "How many pods succeeded of those that have to."),
        column("Duration", "string", "Time required to complete the job."),
        AGE,
        wide("Containers", "string", "Names of each container in the template."),
        wide("Images", "string", "Images referenced by each container in the template."),
        wide("Selector", "string", "Which pods belong to it."),
    ];
    const SELECTABLE: &'static [&'static str] = &["status.successful"];

    fn modernise(&mut self) -> Result<(), String> {
        self.spec.as_mut().map_or(Ok(()), |spec| legacy::annotated(&mut spec.template))
    }

    fn default_fields(&mut self) {
        let Some(spec) = &mut self.spec else { return };
        if spec.completions.is_none() && spec.parallelism.is_none() {
            spec.completions = Some(1);
        }
        spec.parallelism.get_or_insert(1);
        // Where each index has a limit of its own, all of them together need none.
        let limit = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { 6 };
        spec.backoff_limit.get_or_insert(limit);
        if self.metadata.labels.as_ref().is_none_or(|labels| labels.is_empty()) {
            let meta = spec.template.metadata.as_ref();
            self.metadata.labels = meta.and_then(|meta| meta.labels.clone());
        }
        pod::set_text(&mut spec.completion_mode, "NonIndexed");
        spec.suspend.get_or_insert(false);
        spec.manual_selector.get_or_insert(false);
        if spec.pod_replacement_policy.is_none() {
            let policy =
                if spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
            spec.pod_replacement_policy = Some(policy.into());
        }
        default_spec(spec);
    }

    fn prepare_create(&mut self) {
        self.status = Some(JobStatus::default());
        generation::start(self);
        let uid = self.metadata.uid.clone().unwrap_or_default();
        let name = self.metadata.name.clone().unwrap_or_default();
        let Some(spec) = &mut self.spec else { return };
        if spec.manual_selector != Some(true) {
            generate_selector(spec, &name, &uid);
        }
    }

    fn rename(&mut self, name: String) {
        let old = self.metadata.name.replace(name.clone());
        let meta = self.spec.as_mut().and_then(|spec| spec.template.metadata.as_mut());
        let Some(labels) = meta.and_then(|meta| meta.labels.as_mut()) else { return };
        for label in JOB_NAME {
            if let Some(value) =
                labels.get_mut(label).filter(|value| Some(&**value) == old.as_ref())
            {
                value.clone_from(&name);
            }
        }
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
        validation::job(self)
    }

    fn validate_update(&self, old: &Self, part: Part) -> Vec<Cause> {
        match part {
            Part::Main => validation::job_update(self, old),
            Part::Status => validation::job_status(self, old),
        }
    }

    fn select(&self) -> Vec<String> {
        let succeeded = self.status.as_ref().and_then(|status| status.succeeded);
        vec![succeeded.unwrap_or(0).to_string()]
    }

    fn row(&self) -> Vec<Value> {
        let spec = self.spec.as_ref();
        let [containers, images] = containers_and_images(spec.map(|spec| &spec.template));
        let selector = spec.and_then(|spec| spec.selector.as_ref()).map(selector_text);
        vec![
            name(self),
            json!(progress(self)),
            json!(completions(self)),
            json!(took(self)),
            age(self),
            containers,
            images,
            json!(selector.unwrap_or_default()),
        ]
    }
}

/// Defaults that hold for jobs and for the templates of CronJobs.
pub(super) fn default_spec(spec: &mut JobSpec) {
    pod::default_template(&mut spec.template);
    let rules = spec
        .pod_failure_policy
        .iter_mut()
        .flat_map(|policy: &mut PodFailurePolicy| &mut policy.rules);
    for pattern in rules.flat_map(|rule| rule.on_pod_conditions.iter_mut().flatten()) {
        pod::set_text(&mut pattern.status, "True");
    }
}

/// Labels the pods with what nobody else's have. Labels that are there stay: if they are wrong,
/// that is a fault.
fn generate_selector(spec: &mut JobSpec, name: &str, uid: &str) {
    let labels = spec.template.metadata.get_or_insert_default().labels.get_or_insert_default();
    for (keys, value) in [(CONTROLLER_UID, uid), (JOB_NAME, name)] {
        for key in keys {
            labels.entry(key.into()).or_insert_with(|| value.into());
        }
    }
    let wanted = spec.selector.get_or_insert_default().match_labels.get_or_insert_default();
    wanted.entry(CONTROLLER_UID[1].into()).or_insert_with(|| uid.into());
}

fn holds(job: &Job, type_: &str) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|c| c.type_ == type_ && c.status == "True")
}

fn progress(job: &Job) -> &'static str {
    let known = |types: &[&'static str]| types.iter().copied().find(|type_| holds(job, type_));
    if let Some(over) = known(&["Complete", "Failed"]) {
        return over;
    }
    if job.metadata.deletion_timestamp.is_some() {
        return "Terminating";
    }
    known(&["Suspended", "FailureTarget", "SuccessCriteriaMet"]).unwrap_or("Running")
}

fn completions(job: &Job) -> String {
    let spec = job.spec.as_ref();
    let succeeded = job.status.as_ref().and_then(|status| status.succeeded).unwrap_or(0);
    match spec.and_then(|spec| spec.completions) {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None => match spec.and_then(|spec| spec.parallelism).unwrap_or(0) {
            parallel if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
            _ => format!("{succeeded}/1"),
        },
    }
}

fn took(job: &Job) -> String {
    let status = job.status.as_ref();
    let Some(start) = status.and_then(|status| status.start_time.as_ref()) else {
        return String::new();
    };
    let end = status.and_then(|status| status.completion_time.as_ref()).map(|end| end.0);
    duration::human(end.unwrap_or_else(clock::now).duration_since(start.0).as_secs())
}
