//! The APIServices as they are stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;

use super::OWN;
use super::extension::Extension;
use crate::registry::View;

/// Where they are kept.
pub(super) const APISERVICES: &str = "/registry/apiregistration.k8s.io/apiservices/";

/// How far before others a group stands, and a version before others of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Priorities {
    pub(crate) group: i32,
    pub(crate) version: i32,
}

#[derive(Default)]
pub(super) struct Services {
    /// By the name of the APIService.
    priorities: BTreeMap<String, Priorities>,
    /// In the order of their names.
    pub(super) extensions: Vec<Arc<Extension>>,
}

impl Services {
    pub(super) fn priorities(&self, group: &str, version: &str) -> Option<Priorities> {
        self.priorities.get(&format!("{version}.{group}")).copied()
    }
}

impl View for Services {
    const PREFIX: &'static str = APISERVICES;

    fn put(&mut self, key: &str, value: &Bytes) {
        let service: APIService = match serde_json::from_slice(value) {
            Ok(service) => service,
            Err(error) => {
                tracing::error!(key, %error, "a stored APIService cannot be read");
                return self.remove(key);
            }
        };
        let name = service.metadata.name.clone().unwrap_or_default();
        let spec = service.spec.clone().unwrap_or_default();
        let priorities =
            Priorities { group: spec.group_priority_minimum, version: spec.version_priority };
        self.priorities.insert(name.clone(), priorities);
        let place = self.extensions.binary_search_by(|known| known.name.as_str().cmp(&name));
        let new = Extension::of(&service).filter(|new| new.group != OWN);
        match (place, new) {
            (Ok(at), Some(new)) => match self.extensions.get_mut(at) {
                // What is known of it is kept, unless it is another by now.
                Some(known) if known.is_like(&new) => known.set_available(new.is_available()),
                Some(known) => *known = Arc::new(new),
                None => {}
            },
            (Err(at), Some(new)) => self.extensions.insert(at, Arc::new(new)),
            (Ok(at), None) => drop(self.extensions.remove(at)),
            (Err(_), None) => {}
        }
    }

    fn remove(&mut self, key: &str) {
        let name = key.strip_prefix(APISERVICES).unwrap_or(key);
        self.priorities.remove(name);
        self.extensions.retain(|known| known.name != name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn put(services: &mut Services, name: &str, spec: Value, status: Value) {
        let (version, group) = name.split_once('.').unwrap();
        let mut spec = spec;
        spec["group"] = json!(group);
        spec["version"] = json!(version);
        spec["groupPriorityMinimum"] = json!(1000);
        spec["versionPriority"] = json!(15);
        let object = json!({ "metadata": { "name": name }, "spec": spec, "status": status });
        services.put(&format!("{APISERVICES}{name}"), &object.to_string().into());
    }

    #[test]
    fn extensions_come_change_and_go() {
        let mut services = Services::default();
        let service = json!({ "service": { "namespace": "default", "name": "a", "port": 443 } });
        put(&mut services, "v1.b.example.com", service.clone(), json!({}));
        put(&mut services, "v1.a.example.com", service.clone(), json!({}));
        put(&mut services, "v1.apps", json!({}), json!({}));
        // Nobody else serves what says who serves what.
        put(&mut services, "v1.apiregistration.k8s.io", service.clone(), json!({}));
        let names = |services: &Services| -> Vec<String> {
            services.extensions.iter().map(|known| known.name.clone()).collect()
        };
        assert_eq!(names(&services), ["v1.a.example.com", "v1.b.example.com"]);
        assert_eq!(services.priorities("apps", "v1").map(|known| known.version), Some(15));
        let before = services.extensions[0].clone();
        assert!(!before.is_available());
        let available = json!({ "conditions": [{ "type": "Available", "status": "True" }] });
        put(&mut services, "v1.a.example.com", service, available);
        assert!(Arc::ptr_eq(&before, &services.extensions[0]) && before.is_available());
        let other = json!({ "service": { "namespace": "default", "name": "c", "port": 443 } });
        put(&mut services, "v1.a.example.com", other, json!({}));
        assert!(!Arc::ptr_eq(&before, &services.extensions[0]));
        put(&mut services, "v1.a.example.com", json!({}), json!({}));
        assert_eq!(names(&services), ["v1.b.example.com"]);
        services.remove(&format!("{APISERVICES}v1.b.example.com"));
        assert!(
            services.extensions.is_empty() && services.priorities("b.example.com", "v1").is_none()
        );
    }
}
