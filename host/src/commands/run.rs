//! `coracle run`: a Job, or with a schedule a CronJob, in one line.

use anyhow::{Context, Result};
use coracle_api::cron::{CronError, Schedule};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is to be run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The name of the Job or CronJob.
    name: String,

    /// The image that it runs.
    #[arg(long)]
    image: String,

    /// When to run it, again and again: five fields of cron, or a name such as @daily. Without it,
    /// it is run once and now.
    #[arg(long, alias = "runAt", value_parser = schedule)]
    run_at: Option<String>,

    /// The time zone of the schedule, such as Europe/Berlin; UTC if it is not said.
    #[arg(long, requires = "run_at")]
    time_zone: Option<String>,

    /// The namespace; that of the kubeconfig if it is not said.
    #[arg(long, short)]
    namespace: Option<String>,

    /// The arguments of the image's command.
    #[arg(last = true)]
    args: Vec<String>,
}

/// A schedule is refused before anything is asked of a cluster.
fn schedule(text: &str) -> Result<String, CronError> {
    text.parse::<Schedule>().map(|_| text.to_owned())
}

/// Creates it in the cluster that the kubeconfig names, and says so.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let config = kube::Config::infer().await.context("finding a cluster")?;
        let namespace =
            arguments.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config)?;
        match arguments.run_at.clone() {
            None => create(client, &namespace, "job.batch", &job(arguments)).await,
            Some(at) => create(client, &namespace, "cronjob.batch", &cron_job(arguments, at)).await,
        }
    })
}

async fn create<K>(client: Client, namespace: &str, resource: &str, object: &K) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let made = Api::namespaced(client, namespace).create(&PostParams::default(), object).await?;
    println!("{resource}/{} created", made.meta().name.as_deref().unwrap_or_default());
    Ok(())
}

fn named(name: String) -> ObjectMeta {
    ObjectMeta { name: Some(name), ..ObjectMeta::default() }
}

fn job(arguments: Arguments) -> Job {
    let metadata = named(arguments.name.clone());
    Job { metadata, spec: Some(job_spec(arguments)), status: None }
}

fn cron_job(arguments: Arguments, schedule: String) -> CronJob {
    let metadata = named(arguments.name.clone());
    let time_zone = arguments.time_zone.clone();
    let job_template = JobTemplateSpec { metadata: None, spec: Some(job_spec(arguments)) };
    let spec = CronJobSpec { schedule, time_zone, job_template, ..CronJobSpec::default() };
    CronJob { metadata, spec, status: None }
}

fn job_spec(arguments: Arguments) -> JobSpec {
    let container = Container {
        name: arguments.name,
        image: Some(arguments.image),
        args: (!arguments.args.is_empty()).then_some(arguments.args),
        ..Container::default()
    };
    let pod = PodSpec {
        containers: vec![container],
        restart_policy: Some("Never".to_owned()),
        ..PodSpec::default()
    };
    let template = PodTemplateSpec { metadata: None, spec: Some(pod) };
    JobSpec { template, ..JobSpec::default() }
}
