//! Where pods want to be: affinity, spreading, and how they resolve names there.

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::core::v1::{
    Affinity, PodAffinityTerm, PodDNSConfig, PodSpec, TopologySpreadConstraint,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::{all, node_selector, selector};

const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_TEXT: usize = 2048;

/// The faults of a pod's affinities.
pub(super) fn affinity(affinity: &Affinity, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    if let Some(nodes) = &affinity.node_affinity {
        let path = format!("{path}.nodeAffinity");
        if let Some(required) = &nodes.required_during_scheduling_ignored_during_execution {
            faults.extend(node_selector::node_selector(required, &format!("{path}.{REQUIRED}")));
        }
        let preferred = nodes.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        for (at, term) in preferred.enumerate() {
            let path = format!("{path}.{PREFERRED}[{at}]");
            faults.extend(weight(term.weight, &path));
            faults.extend(node_selector::term(&term.preference, &format!("{path}.preference")));
        }
    }
    let mut pods = |required: &Option<Vec<PodAffinityTerm>>,
                    preferred: &Option<Vec<WeightedPodAffinityTerm>>,
                    field: &str| {
        let path = format!("{path}.{field}");
        for (at, each) in required.iter().flatten().enumerate() {
            faults.extend(term(each, &format!("{path}.{REQUIRED}[{at}]")));
        }
        for (at, each) in preferred.iter().flatten().enumerate() {
            let path = format!("{path}.{PREFERRED}[{at}]");
            faults.extend(weight(each.weight, &path));
            faults.extend(term(&each.pod_affinity_term, &format!("{path}.podAffinityTerm")));
        }
    };
    if let Some(near) = &affinity.pod_affinity {
        let required = &near.required_during_scheduling_ignored_during_execution;
        pods(required, &near.preferred_during_scheduling_ignored_during_execution, "podAffinity");
    }
    if let Some(far) = &affinity.pod_anti_affinity {
        let required = &far.required_during_scheduling_ignored_during_execution;
        pods(
            required,
            &far.preferred_during_scheduling_ignored_during_execution,
            "podAntiAffinity",
        );
    }
    faults
}

fn weight(weight: i32, path: &str) -> Option<Cause> {
    let outside = !(1..=100).contains(&weight);
    outside.then(|| Cause::invalid(format!("{path}.weight"), weight, "must be in the range 1-100"))
}

fn term(term: &PodAffinityTerm, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let selectors =
        [("labelSelector", &term.label_selector), ("namespaceSelector", &term.namespace_selector)];
    for (field, wanted) in selectors {
        if let Some(wanted) = wanted {
            faults.extend(selector::label_selector(wanted, &format!("{path}.{field}")));
        }
    }
    for namespace in term.namespaces.iter().flatten() {
        let complaints = meta::dns_1123_label(namespace);
        faults.extend(all(&format!("{path}.namespace"), namespace, complaints));
    }
    let keys = [
        ("matchLabelKeys", &term.match_label_keys),
        ("mismatchLabelKeys", &term.mismatch_label_keys),
    ];
    for (field, keys) in keys {
        let keys = keys.as_deref().unwrap_or_default();
        let path = format!("{path}.{field}");
        faults.extend(label_keys(keys, term.label_selector.as_ref(), &path, None));
    }
    faults.extend(topology_key(&term.topology_key, &format!("{path}.topologyKey")));
    faults
}

/// Labels whose own values are looked for in other pods. Those that are `barred` may not be among
/// what the selector names: `matchLabelKeys` of spreading.
fn label_keys(
    keys: &[String],
    selector: Option<&LabelSelector>,
    path: &str,
    barred: Option<&str>,
) -> Vec<Cause> {
    if keys.is_empty() {
        return vec![];
    }
    let Some(selector) = selector else {
        let detail = "must not be specified when labelSelector is not set";
        return vec![Cause::forbidden(path, detail)];
    };
    let mut faults = vec![];
    let named = |key: &String| {
        selector.match_labels.as_ref().is_some_and(|labels| labels.contains_key(key))
            || selector.match_expressions.iter().flatten().any(|term| term.key == *key)
    };
    for (at, key) in keys.iter().enumerate() {
        let path = format!("{path}[{at}]");
        faults.extend(all(&path, key, meta::qualified_name(key)));
        if let Some(detail) = barred.filter(|_| named(key)) {
            faults.push(Cause::invalid(path, key.as_str(), detail));
        }
    }
    faults
}

fn topology_key(key: &str, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    if key.is_empty() {
        faults.push(Cause::required(path, "can not be empty"));
    }
    faults.extend(all(path, key, meta::qualified_name(key)));
    faults
}

/// The faults of how a pod's likes are to be spread.
pub(super) fn spreads(constraints: &[TopologySpreadConstraint], path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    for (at, constraint) in constraints.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if constraint.max_skew <= 0 {
            let detail = "must be greater than zero";
            faults.push(Cause::invalid(format!("{path}.maxSkew"), constraint.max_skew, detail));
        }
        let key = constraint.topology_key.as_str();
        let of_key = format!("{path}.topologyKey");
        if key.is_empty() {
            faults.push(Cause::required(of_key, "can not be empty"));
        } else {
            faults.extend(all(&of_key, key, meta::qualified_name(key)));
        }
        let action = constraint.when_unsatisfiable.as_str();
        let actions = &["DoNotSchedule", "ScheduleAnyway"];
        if !actions.contains(&action) {
            let path = format!("{path}.whenUnsatisfiable");
            faults.push(Cause::not_supported(path, action, actions));
        }
        let same = |other: &&TopologySpreadConstraint| {
            other.topology_key == key && other.when_unsatisfiable == action
        };
        if constraints[at + 1..].iter().any(|other| same(&other)) {
            let path = format!("{path}.{{topologyKey, whenUnsatisfiable}}");
            faults.push(Cause::duplicate(path, format!("{{{key}, {action}}}")));
        }
        if let Some(domains) = constraint.min_domains {
            let path = format!("{path}.minDomains");
            if domains <= 0 {
                faults.push(Cause::invalid(path.as_str(), domains, "must be greater than zero"));
            }
            if action != "DoNotSchedule" {
                let detail = format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                );
                faults.push(Cause::invalid(path, domains, &detail));
            }
        }
        let policies = [
            ("nodeAffinityPolicy", &constraint.node_affinity_policy),
            ("nodeTaintsPolicy", &constraint.node_taints_policy),
        ];
        for (field, policy) in policies {
            let known = &["Honor", "Ignore"];
            if let Some(other) = policy.as_deref().filter(|policy| !known.contains(policy)) {
                faults.push(Cause::not_supported(format!("{path}.{field}"), other, known));
            }
        }
        let keys = constraint.match_label_keys.as_deref().unwrap_or_default();
        let barred = Some("exists in both matchLabelKeys and labelSelector");
        let wanted = constraint.label_selector.as_ref();
        faults.extend(label_keys(keys, wanted, &format!("{path}.matchLabelKeys"), barred));
        if let Some(wanted) = wanted {
            faults.extend(selector::label_selector(wanted, &format!("{path}.labelSelector")));
        }
    }
    faults
}

/// The faults of how a pod resolves names.
pub(super) fn dns(spec: &PodSpec, path: &str) -> Vec<Cause> {
    let none = PodDNSConfig::default();
    let config = spec.dns_config.as_ref();
    if spec.dns_policy.as_deref() == Some("None") {
        if config.is_none() {
            let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
            return vec![Cause::required(path, detail)];
        }
        if config.and_then(|config| config.nameservers.as_ref()).is_none_or(Vec::is_empty) {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return vec![Cause::required(format!("{path}.nameservers"), detail)];
        }
    }
    let config = config.unwrap_or(&none);
    let mut faults = vec![];
    let servers = config.nameservers.as_deref().unwrap_or_default();
    let of_servers = format!("{path}.nameservers");
    if servers.len() > MAX_NAMESERVERS {
        let detail = format!("must not have more than {MAX_NAMESERVERS} nameservers");
        faults.push(Cause::invalid(of_servers.as_str(), json!(servers), &detail));
    }
    for (at, server) in servers.iter().enumerate() {
        faults.extend(all(&format!("{of_servers}[{at}]"), server, meta::ip(server)));
    }
    let searches = config.searches.as_deref().unwrap_or_default();
    let of_searches = format!("{path}.searches");
    if searches.len() > MAX_SEARCHES {
        let detail = format!("must not have more than {MAX_SEARCHES} search paths");
        faults.push(Cause::invalid(of_searches.as_str(), json!(searches), &detail));
    }
    if searches.join(" ").len() > MAX_SEARCH_TEXT {
        let detail = format!(
            "must not have more than {MAX_SEARCH_TEXT} characters (including spaces) in the search list"
        );
        faults.push(Cause::invalid(of_searches.as_str(), json!(searches), &detail));
    }
    for (at, search) in searches.iter().enumerate() {
        let search = search.strip_suffix('.').unwrap_or(search);
        let complaints = meta::dns_1123_subdomain(search);
        faults.extend(all(&format!("{of_searches}[{at}]"), search, complaints));
    }
    for (at, option) in config.options.iter().flatten().enumerate() {
        if option.name.as_deref().unwrap_or_default().is_empty() {
            faults.push(Cause::required(format!("{path}.options[{at}]"), "must not be empty"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::Value;

    #[test]
    fn affinities() {
        let of = |value: Value| lines(affinity(&object(value), "a"));
        let near = |term: Value| json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
        assert_eq!(
            of(near(json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}))),
            Vec::<String>::new()
        );
        let path = "a.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]";
        let found =
            of(near(json!({"topologyKey": "", "namespaces": ["A"], "matchLabelKeys": ["x"]})));
        assert!(found[0].starts_with(&format!(
            "{path}.namespace: Invalid value: \"A\": a lowercase RFC 1123 label"
        )));
        assert_eq!(
            found[1..3],
            [
                format!(
                    "{path}.matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"
                ),
                format!("{path}.topologyKey: Required value: can not be empty"),
            ]
        );
        let preferred = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 101, "preference": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
        ]}});
        let path = "a.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]";
        assert_eq!(
            of(preferred),
            [
                format!("{path}.weight: Invalid value: 101: must be in the range 1-100"),
                format!(
                    "{path}.preference.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
                ),
            ]
        );
    }

    #[test]
    fn spreading() {
        let of = |constraints: Value| lines(spreads(&object::<Vec<_>>(constraints), "t"));
        let good = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}});
        assert_eq!(of(json!([good.clone()])), Vec::<String>::new());
        assert_eq!(
            of(json!([good.clone(), good])),
            ["t[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{zone, DoNotSchedule}\""]
        );
        assert_eq!(
            of(
                json!([{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2, "nodeTaintsPolicy": "X",
                "matchLabelKeys": ["a"], "labelSelector": {"matchLabels": {"a": "b"}}}])
            ),
            [
                "t[0].maxSkew: Invalid value: 0: must be greater than zero",
                "t[0].topologyKey: Required value: can not be empty",
                "t[0].minDomains: Invalid value: 2: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
                "t[0].nodeTaintsPolicy: Unsupported value: \"X\": supported values: \"Honor\", \"Ignore\"",
                "t[0].matchLabelKeys[0]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector",
            ]
        );
    }

    #[test]
    fn names() {
        let of = |spec: Value| lines(dns(&object(spec), "d"));
        assert_eq!(
            of(json!({"containers": [], "dnsPolicy": "None"})),
            ["d: Required value: must provide `dnsConfig` when `dnsPolicy` is None"]
        );
        assert_eq!(
            of(
                json!({"containers": [], "dnsConfig": {"searches": ["a.b."], "options": [{"name": "x"}]}})
            ),
            Vec::<String>::new()
        );
        let found = of(
            json!({"containers": [], "dnsConfig": {"nameservers": ["1.1.1.1", "2.2.2.2", "3.3.3.3", "x"], "options": [{}]}}),
        );
        assert!(found[0].ends_with("must not have more than 3 nameservers"), "{found:?}");
        assert!(found[1].starts_with("d.nameservers[3]: Invalid value: \"x\""));
        assert_eq!(found[2], "d.options[0]: Required value: must not be empty");
    }
}
