//! A container's environment: services, `envFrom`, `env` with `$(VAR)` expansion, in the order
//! and with the precedence of the kubelet. Pure; what it refers to is fetched beforehand.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, EnvVarSource, Pod, Secret};

use crate::downward::{self, Surroundings};

mod services;

pub(crate) use services::service_variables;

/// ConfigMaps and Secrets of the pod's namespace by name; `None` for one that is not there.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    pub(crate) config_maps: HashMap<String, Option<Arc<ConfigMap>>>,
    pub(crate) secrets: HashMap<String, Option<Arc<Secret>>>,
}

/// Why a container's environment cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Error {
    #[error("{kind} \"{name}\" not found")]
    Missing { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    Key { kind: &'static str, namespace: String, name: String, key: String },
    #[error("environment variable {0}: fileKeyRef is not supported by this node")]
    FileKey(String),
    #[error("environment variable {name}: {source}")]
    Downward { name: String, source: downward::Error },
}

/// A finished environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) variables: Vec<(String, String)>,
    /// Keys of `envFrom` sources that cannot be names of variables.
    pub(crate) skipped: Vec<String>,
}

/// The names of ConfigMaps and Secrets that a container's environment refers to.
pub(crate) fn references(container: &Container) -> (Vec<String>, Vec<String>) {
    let (mut config_maps, mut secrets) = (Vec::new(), Vec::new());
    for source in container.env_from.iter().flatten() {
        config_maps.extend(source.config_map_ref.as_ref().map(|source| source.name.clone()));
        secrets.extend(source.secret_ref.as_ref().map(|source| source.name.clone()));
    }
    for source in container.env.iter().flatten().filter_map(|var| var.value_from.as_ref()) {
        config_maps.extend(source.config_map_key_ref.as_ref().map(|source| source.name.clone()));
        secrets.extend(source.secret_key_ref.as_ref().map(|source| source.name.clone()));
    }
    (config_maps, secrets)
}

/// The environment of `container`. `services` are the variables of [`service_variables`].
pub(crate) fn build(
    pod: &Pod,
    container: &Container,
    fetched: &Fetched,
    services: &BTreeMap<String, String>,
    around: &Surroundings,
) -> Result<Environment, Error> {
    let mut result = Environment::default();
    let mut variables: Vec<(String, String)> = Vec::new();
    let set = |variables: &mut Vec<(String, String)>, name: &str, value: String| match variables
        .iter_mut()
        .find(|(old, _)| old == name)
    {
        Some((_, old)) => *old = value,
        None => variables.push((name.to_owned(), value)),
    };
    set(&mut variables, "HOSTNAME", hostname(pod));
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let mut entries: BTreeMap<String, String> = BTreeMap::new();
        if let Some(source) = &source.config_map_ref
            && let Some(map) = config_map(fetched, &source.name, source.optional)?
        {
            entries.extend(map.data.clone().unwrap_or_default());
        }
        if let Some(source) = &source.secret_ref
            && let Some(secret) = secret(fetched, &source.name, source.optional)?
        {
            let text = |(key, value): (&String, &k8s_openapi::ByteString)| {
                (key.clone(), String::from_utf8_lossy(&value.0).into_owned())
            };
            entries.extend(secret.data.iter().flatten().map(text));
        }
        for (key, value) in entries {
            let name = format!("{prefix}{key}");
            if is_name(&name) {
                set(&mut variables, &name, value);
            } else {
                result.skipped.push(name);
            }
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            Some(source) => match referred(pod, container, variable, source, fetched, around)? {
                Some(value) => value,
                None => continue,
            },
            None => expand(variable.value.as_deref().unwrap_or_default(), |name| {
                variables
                    .iter()
                    .find(|(known, _)| known == name)
                    .map(|(_, value)| value.clone())
                    .or_else(|| services.get(name).cloned())
            }),
        };
        set(&mut variables, &variable.name, value);
    }
    for (name, value) in services {
        if !variables.iter().any(|(known, _)| known == name) {
            variables.push((name.clone(), value.clone()));
        }
    }
    result.variables = variables;
    Ok(result)
}

/// The value that `source` refers to; `None` if it is optional and not there.
fn referred(
    pod: &Pod,
    container: &Container,
    variable: &EnvVar,
    source: &EnvVarSource,
    fetched: &Fetched,
    around: &Surroundings,
) -> Result<Option<String>, Error> {
    let namespace = || pod.metadata.namespace.clone().unwrap_or_default();
    let downward = |source| Error::Downward { name: variable.name.clone(), source };
    if let Some(source) = &source.field_ref {
        return downward::field(pod, &source.field_path, around).map(Some).map_err(downward);
    }
    if let Some(source) = &source.resource_field_ref {
        let value = downward::resource(pod, Some(container), source, around);
        return value.map(Some).map_err(downward);
    }
    let (kind, key, optional, found) = if let Some(source) = &source.config_map_key_ref {
        let map = config_map(fetched, &source.name, source.optional)?;
        let value = map.and_then(|map| map.data.as_ref()?.get(&source.key).cloned());
        (("ConfigMap", &source.name), &source.key, source.optional, value)
    } else if let Some(source) = &source.secret_key_ref {
        let secret = secret(fetched, &source.name, source.optional)?;
        let value = secret.and_then(|secret| secret.data.as_ref()?.get(&source.key));
        let value = value.map(|value| String::from_utf8_lossy(&value.0).into_owned());
        (("Secret", &source.name), &source.key, source.optional, value)
    } else if source.file_key_ref.is_some() {
        return Err(Error::FileKey(variable.name.clone()));
    } else {
        return Ok(Some(String::new()));
    };
    if found.is_none() && optional != Some(true) {
        let ((kind, name), key) = (kind, key.clone());
        return Err(Error::Key { kind, namespace: namespace(), name: name.clone(), key });
    }
    Ok(found)
}

fn config_map<'a>(
    fetched: &'a Fetched,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<&'a ConfigMap>, Error> {
    match fetched.config_maps.get(name).and_then(Option::as_deref) {
        None if optional != Some(true) => {
            Err(Error::Missing { kind: "configmap", name: name.to_owned() })
        }
        found => Ok(found),
    }
}

fn secret<'a>(
    fetched: &'a Fetched,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<&'a Secret>, Error> {
    match fetched.secrets.get(name).and_then(Option::as_deref) {
        None if optional != Some(true) => {
            Err(Error::Missing { kind: "secret", name: name.to_owned() })
        }
        found => Ok(found),
    }
}

/// Names of variables are printable ASCII without `=`.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}

/// The pod's host name: what `spec.hostname` says, else its own name, cut as the kubelet does.
pub(crate) fn hostname(pod: &Pod) -> String {
    let given = pod.spec.as_ref().and_then(|spec| {
        let wanted = spec.hostname_override.as_ref().or(spec.hostname.as_ref());
        wanted.filter(|name| !name.is_empty()).cloned()
    });
    let name = given.or_else(|| pod.metadata.name.clone()).unwrap_or_default();
    let cut: String = name.chars().take(63).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// Replaces `$(NAME)` by what `lookup` knows; unknown names stay as they are, `$$` is a `$`.
pub(crate) fn expand(input: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut output = String::with_capacity(input.len());
    let mut rest = input;
    while let Some(at) = rest.find('$') {
        output.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(unescaped) = after.strip_prefix('$') {
            output.push('$');
            rest = unescaped;
            continue;
        }
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match reference {
            Some((name, remainder)) => {
                match lookup(name) {
                    Some(value) => output.push_str(&value),
                    None => output.push_str(&rest[at..rest.len() - remainder.len()]),
                }
                rest = remainder;
            }
            None => {
                output.push('$');
                rest = after;
            }
        }
    }
    output.push_str(rest);
    output
}

#[cfg(test)]
mod tests;
