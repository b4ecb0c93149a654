//! Starting one container instance: image, environment, mounts, log, limits, guest, hook.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use coracle_api::quantity::Quantity as Amount;
use coracle_api::{clock, dice};
use coracle_network::Interface;
use coracle_sandbox::{CpuShare, HttpSpec, Instance, Limits, MemoryAccount, Reuse, Spec};
use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::task::JoinHandle;

use super::hooks;
use crate::downward::Surroundings;
use crate::env;
use crate::images::Unavailable;
use crate::logs::{self, LogName};
use crate::volumes::{Message, MountError, Mounts, Volumes};
use crate::{FUEL, HTTP_INSTANCES, Node};

/// Port of an HTTP handler whose container names none.
const DEFAULT_PORT: u16 = 80;

const CONFIG_ERROR: &str = "CreateContainerConfigError";

/// Everything that starting an instance takes.
pub(super) struct Order {
    pub(super) node: Arc<Node>,
    pub(super) pod: Arc<Pod>,
    pub(super) container: Container,
    /// The instance's number: how many were before it.
    pub(super) number: i32,
    pub(super) interface: Interface,
    pub(super) memory: Arc<MemoryAccount>,
    pub(super) volumes: Arc<Volumes>,
    /// The pod's directory.
    pub(super) directory: PathBuf,
}

/// An instance that runs.
pub(super) struct Started {
    pub(super) instance: Instance,
    pub(super) container_id: String,
    pub(super) image_id: String,
    pub(super) image: Option<String>,
    pub(super) log: LogName,
    /// Ends when everything printed is in the log.
    pub(super) logged: JoinHandle<()>,
    pub(super) message: Message,
}

/// Why none does.
pub(super) enum Failure {
    /// It could not be made; another try may succeed.
    Unavailable { reason: &'static str, message: String },
    /// It was made and could not begin, or was ended at once: it counts as having run.
    Dead(ContainerStateTerminated),
}

impl Order {
    /// Starts the instance.
    pub(super) async fn carry_out(self) -> Result<Started, Failure> {
        let Self { node, pod, container, .. } = &self;
        let name = Some(container.name.as_str());
        let pulled = match node.pull(pod, container).await {
            Ok(pulled) => pulled,
            Err(Unavailable::Missing { reason, message }) => {
                return Err(Failure::Unavailable { reason, message });
            }
            Err(Unavailable::Unusable(error)) => {
                return Err(self.dead(128, "StartError", error.to_string()));
            }
        };
        let around = node.surroundings(Some(self.interface.ip()));
        let variables = self.variables(&around).await?;
        let reuse = reuse(pod).map_err(|message| self.misconfigured(message))?;
        let (mounts, log) = self.files(&variables).await?;
        let container_id = container_id();
        node.recorder.normal(
            pod,
            name,
            "Created",
            format!("Created container: {}", container.name),
        );

        let (output, logged) = node.logs.open(log.clone());
        let spec = Spec {
            module: pulled.module,
            name: format!(
                "{}/{}/{}",
                pod.metadata.namespace.as_deref().unwrap_or_default(),
                pod.metadata.name.as_deref().unwrap_or_default(),
                container.name
            ),
            args: arguments(container, &variables),
            env: variables,
            mounts: mounts.list,
            output,
            interface: self.interface.clone(),
            http: HttpSpec { port: port(container), reuse, ..HttpSpec::default() },
            limits: limits(container, self.memory.clone()),
        };
        let instance = match node.engine.start(spec).await {
            Ok(instance) => instance,
            Err(error) => return Err(self.dead(128, "StartError", error.to_string())),
        };
        let hook = container.lifecycle.as_ref().and_then(|all| all.post_start.as_ref());
        if let Some(hook) = hook
            && let Err(problem) = hooks::run(node, container, hook, self.interface.ip()).await
        {
            let message = format!("PostStartHook failed: {problem}");
            node.recorder.warn(pod, name, "FailedPostStartHook", message.clone());
            instance.kill();
            instance.wait().await;
            // Whatever it made of its end, it was killed.
            return Err(self.dead(137, "Error", message));
        }
        Ok(Started {
            instance,
            container_id,
            image_id: pulled.image_id,
            image: container.image.clone(),
            log,
            logged,
            message: mounts.message,
        })
    }

    /// The environment, with `PORT` and `PWD` where the container says them elsewhere.
    async fn variables(&self, around: &Surroundings) -> Result<Vec<(String, String)>, Failure> {
        let Self { node, pod, container, .. } = self;
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
        let (fetched, services) = tokio::join!(
            node.sources.fetch(namespace, container),
            node.sources.service_variables(namespace, links),
        );
        let fetched = fetched.map_err(|error| self.misconfigured(error.to_string()))?;
        let environment = env::build(pod, container, &fetched, &services, around)
            .map_err(|error| self.misconfigured(error.to_string()))?;
        if !environment.skipped.is_empty() {
            let keys = environment.skipped.join(", ");
            let message = format!(
                "Keys [{keys}] from the EnvFrom sources were skipped since they are considered \
                 invalid environment variable names."
            );
            let reason = "InvalidEnvironmentVariableNames";
            node.recorder.warn(pod, Some(&container.name), reason, message);
        }
        let mut variables = environment.variables;
        let mut default = |name: &str, value: Option<String>| {
            if let Some(value) = value
                && !variables.iter().any(|(known, _)| known == name)
            {
                variables.push((name.to_owned(), value));
            }
        };
        default("PORT", declared_port(container).map(|port| port.to_string()));
        default("PWD", container.working_dir.clone().filter(|path| !path.is_empty()));
        Ok(variables)
    }

    /// The container's mounts, and its log's name.
    async fn files(&self, variables: &[(String, String)]) -> Result<(Mounts, LogName), Failure> {
        let directory = self.directory.join(&self.container.name);
        let log = LogName::new(&directory, self.number);
        // Of what ended, only the last instance's log is kept.
        let outdated = LogName::new(&directory, self.number - 2);
        let (volumes, container) = (self.volumes.clone(), self.container.clone());
        let variables = variables.to_vec();
        let making = tokio::task::spawn_blocking(move || {
            let mounts = Mounts::make(&volumes, &container, &variables, &directory)?;
            if outdated.instance >= 0 {
                logs::remove(&outdated)?;
            }
            Ok::<_, MountError>(mounts)
        });
        let made = making.await.map_err(|error| self.misconfigured(error.to_string()))?;
        let mounts = made.map_err(|error| self.misconfigured(error.to_string()))?;
        Ok((mounts, log))
    }

    fn misconfigured(&self, message: String) -> Failure {
        let name = Some(self.container.name.as_str());
        self.node.recorder.warn(&self.pod, name, "Failed", format!("Error: {message}"));
        Failure::Unavailable { reason: CONFIG_ERROR, message }
    }

    fn dead(&self, exit_code: i32, reason: &str, message: String) -> Failure {
        let name = Some(self.container.name.as_str());
        self.node.recorder.warn(&self.pod, name, "Failed", format!("Error: {message}"));
        let now = Some(Time(clock::now()));
        Failure::Dead(ContainerStateTerminated {
            exit_code,
            reason: Some(reason.to_owned()),
            message: Some(message),
            started_at: now.clone(),
            finished_at: now,
            container_id: Some(container_id()),
            ..Default::default()
        })
    }
}

/// A new container id: the runtime's name and 64 hexadecimal digits.
fn container_id() -> String {
    use std::fmt::Write;
    dice::secret().iter().fold("wasmtime://".to_owned(), |mut id, byte| {
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// The program's arguments: `command` and `args` with variables put in; without a command the
/// module's own name is the program's.
fn arguments(container: &Container, variables: &[(String, String)]) -> Vec<String> {
    let value = |name: &str| {
        variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let expanded = |list: &Option<Vec<String>>| -> Vec<String> {
        list.iter().flatten().map(|text| env::expand(text, value)).collect()
    };
    let mut arguments = expanded(&container.command);
    if arguments.is_empty() {
        let image = container.image.as_deref().unwrap_or_default();
        let image = image.split('@').next().unwrap_or_default();
        let last = image.rsplit('/').next().unwrap_or_default();
        arguments.push(last.split(':').next().unwrap_or_default().to_owned());
    }
    arguments.extend(expanded(&container.args));
    arguments
}

/// The first TCP port that the container names.
fn declared_port(container: &Container) -> Option<u16> {
    let tcp = |protocol: Option<&str>| protocol.is_none_or(|protocol| protocol == "TCP");
    let mut ports = container.ports.iter().flatten().filter(|port| tcp(port.protocol.as_deref()));
    ports.find_map(|port| u16::try_from(port.container_port).ok())
}

fn port(container: &Container) -> u16 {
    declared_port(container).unwrap_or(DEFAULT_PORT)
}

/// How the pod wants instances of its HTTP handlers used.
fn reuse(pod: &Pod) -> Result<Reuse, String> {
    let wanted = pod.metadata.annotations.as_ref().and_then(|all| all.get(HTTP_INSTANCES));
    match wanted.map(String::as_str) {
        None | Some("reuse") => Ok(HttpSpec::default().reuse),
        Some("fresh") => Ok(Reuse::Fresh),
        Some(other) => Err(format!(
            "annotation {HTTP_INSTANCES} is {other:?}; it may be \"reuse\" or \"fresh\""
        )),
    }
}

fn limits(container: &Container, pod_memory: Arc<MemoryAccount>) -> Limits {
    let lists = container.resources.clone().unwrap_or_default();
    let amount = |list: &Option<BTreeMap<String, Quantity>>, name: &str| {
        Amount::try_from(list.as_ref()?.get(name)?).ok()
    };
    let cpu = amount(&lists.limits, "cpu");
    let millis = |amount: Amount| u32::try_from(amount.milli_value()).unwrap_or(u32::MAX);
    Limits {
        memory: lists.limits.as_ref().and_then(|limits| bytes(limits.get("memory")?)),
        pod_memory,
        cpu: cpu.map(|cpu| CpuShare { millis: millis(cpu).max(1) }),
        cpu_weight: amount(&lists.requests, "cpu").or(cpu).map(millis).unwrap_or_default(),
        fuel: amount(&lists.limits, FUEL).and_then(|fuel| u64::try_from(fuel.value()).ok()),
    }
}

/// A quantity of bytes.
pub(super) fn bytes(quantity: &Quantity) -> Option<u64> {
    u64::try_from(Amount::try_from(quantity).ok()?.value()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn container(value: Value) -> Container {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_program_is_the_command_or_the_module() {
        let variables = [("A".to_owned(), "1".to_owned())];
        for (value, expected) in [
            (json!({"name": "c", "image": "ns/hello:v1"}), vec!["hello"]),
            (json!({"name": "c", "image": "hello@sha256:0"}), vec!["hello"]),
            (json!({"name": "c", "image": "h", "args": ["$(A)", "$(B)"]}), vec!["h", "1", "$(B)"]),
            (
                json!({"name": "c", "image": "h", "command": ["x", "y"], "args": ["z"]}),
                vec!["x", "y", "z"],
            ),
        ] {
            assert_eq!(arguments(&container(value), &variables), expected);
        }
    }

    #[test]
    fn limits_follow_from_resources() {
        let limited = container(json!({"name": "c", "resources": {
            "limits": {"cpu": "500m", "memory": "64Mi", "coracle.dev/fuel": "1k"},
            "requests": {"cpu": "100m"},
        }}));
        let found = limits(&limited, MemoryAccount::new(None));
        assert_eq!(found.memory, Some(64 << 20));
        assert_eq!(found.cpu, Some(CpuShare { millis: 500 }));
        assert_eq!((found.cpu_weight, found.fuel), (100, Some(1000)));
        let free = limits(&container(json!({"name": "c"})), MemoryAccount::new(None));
        assert!(free.memory.is_none() && free.cpu.is_none() && free.fuel.is_none());
    }

    #[test]
    fn the_first_tcp_port_counts() {
        let ports = json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 8080}]);
        assert_eq!(port(&container(json!({"name": "c", "ports": ports}))), 8080);
        assert_eq!(port(&container(json!({"name": "c"}))), 80);
    }

    #[test]
    fn reuse_is_an_annotation() {
        let pod = |value: &str| Pod {
            metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                annotations: Some([(HTTP_INSTANCES.to_owned(), value.to_owned())].into()),
                ..Default::default()
            },
            ..Default::default()
        };
        assert_eq!(reuse(&pod("fresh")), Ok(Reuse::Fresh));
        assert_eq!(reuse(&Pod::default()), Ok(HttpSpec::default().reuse));
        assert!(reuse(&pod("sometimes")).is_err());
    }
}
