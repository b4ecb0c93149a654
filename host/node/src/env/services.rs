//! The variables that tell a container of the services it can reach (`<NAME>_SERVICE_HOST`, ...).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;

/// The variables for a pod of `namespace`: those of its namespace's services if `links`, and
/// always those of the API server's own service.
pub(crate) fn service_variables<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    namespace: &str,
    links: bool,
) -> BTreeMap<String, String> {
    let mut chosen: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services {
        let (Some(name), Some(home)) =
            (service.metadata.name.as_deref(), service.metadata.namespace.as_deref())
        else {
            continue;
        };
        let master = home == "default" && name == "kubernetes";
        if home == namespace && (links || master) {
            chosen.insert(name, service);
        } else if master {
            chosen.entry(name).or_insert(service);
        }
    }
    let mut variables = BTreeMap::new();
    for (name, service) in chosen {
        add(&mut variables, name, service);
    }
    variables
}

fn add(variables: &mut BTreeMap<String, String>, name: &str, service: &Service) {
    let Some(spec) = &service.spec else { return };
    let Some(address) = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None")
    else {
        return;
    };
    let ports = spec.ports.as_deref().unwrap_or_default();
    let Some(first) = ports.first() else { return };
    let name = spelled(name);
    variables.insert(format!("{name}_SERVICE_HOST"), address.to_owned());
    variables.insert(format!("{name}_SERVICE_PORT"), first.port.to_string());
    for port in ports {
        if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let key = format!("{name}_SERVICE_PORT_{}", spelled(port_name));
            variables.insert(key, port.port.to_string());
        }
    }
    for (index, port) in ports.iter().enumerate() {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let number = port.port;
        let lower = protocol.to_lowercase();
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let url = format!("{lower}://{host}:{number}");
        if index == 0 {
            variables.insert(format!("{name}_PORT"), url.clone());
        }
        let prefix = format!("{name}_PORT_{number}_{}", protocol.to_uppercase());
        variables.insert(prefix.clone(), url);
        variables.insert(format!("{prefix}_PROTO"), lower);
        variables.insert(format!("{prefix}_PORT"), number.to_string());
        variables.insert(format!("{prefix}_ADDR"), address.to_owned());
    }
}

fn spelled(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}
