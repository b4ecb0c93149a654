//! The flow schemas and priority levels that every cluster begins with: those that cannot be
//! changed, and those that are suggested.

use std::collections::BTreeMap;

use k8s_openapi::api::flowcontrol::v1::{
    ExemptPriorityLevelConfiguration, FlowDistinguisherMethod, FlowSchema, FlowSchemaSpec,
    GroupSubject, LimitResponse, LimitedPriorityLevelConfiguration, NonResourcePolicyRule,
    PolicyRulesWithSubjects, PriorityLevelConfiguration, PriorityLevelConfigurationReference,
    PriorityLevelConfigurationSpec, QueuingConfiguration, ResourcePolicyRule,
    ServiceAccountSubject, Subject, UserSubject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The annotation by which a cluster's owner keeps his hand on one of these.
const AUTOUPDATE: &str = "apf.kubernetes.io/autoupdate-spec";
const EXEMPT: &str = "exempt";
const CATCH_ALL: &str = "catch-all";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const NODES: &str = "system:nodes";
const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
const CONTROLLERS: &str = "kube-controller-manager";
const SCHEDULER: &str = "system:kube-scheduler";
const BY_USER: &str = "ByUser";
const BY_NAMESPACE: &str = "ByNamespace";

/// A level with queues.
struct Queued {
    name: &'static str,
    shares: i32,
    /// How much of its seats others may borrow, in percent.
    lendable: i32,
    queues: i32,
    hand: i32,
}

const QUEUED: &[Queued] = &[
    Queued { name: "system", shares: 30, lendable: 33, queues: 64, hand: 6 },
    Queued { name: "node-high", shares: 40, lendable: 25, queues: 64, hand: 6 },
    Queued { name: "leader-election", shares: 10, lendable: 0, queues: 16, hand: 4 },
    Queued { name: "workload-high", shares: 40, lendable: 50, queues: 128, hand: 6 },
    Queued { name: "workload-low", shares: 100, lendable: 90, queues: 128, hand: 6 },
    Queued { name: "global-default", shares: 20, lendable: 50, queues: 128, hand: 6 },
];

/// How many requests a queue holds.
const QUEUE_LENGTH: i32 = 50;

/// Whom a schema is about.
enum Who {
    Groups(&'static [&'static str]),
    Users(&'static [&'static str]),
    /// Users, and service accounts of the system.
    System(&'static [&'static str], &'static [&'static str]),
}

/// What of their requests.
enum What {
    Everything,
    Nodes,
    Leases,
    Endpoints,
    Probes,
}

/// Name, level, precedence, what tells flows apart, who, what.
type Row = (&'static str, &'static str, i32, &'static str, Who, What);

/// The schemas; the first and the last are mandatory.
const SCHEMAS: &[Row] = {
    use What::{Endpoints, Everything, Leases, Nodes, Probes};
    use Who::{Groups, System, Users};
    const ALL: &[&str] = &[UNAUTHENTICATED, AUTHENTICATED];
    const HIGH: &str = "workload-high";
    const LOW: &str = "workload-low";
    const LEADERS: &str = "leader-election";
    const SYSTEM: Who = System(&[], &["*"]);
    const LEADING: Who = System(&[CONTROLLER_MANAGER, SCHEDULER], &["*"]);
    const OF_ENDPOINTS: Who = System(
        &[CONTROLLER_MANAGER],
        &["endpoint-controller", "endpointslicemirroring-controller"],
    );
    const ACCOUNTS: Who = Groups(&["system:serviceaccounts"]);
    &[
        (EXEMPT, EXEMPT, 1, "", Groups(&["system:masters"]), Everything),
        ("probes", EXEMPT, 2, "", Groups(ALL), Probes),
        ("system-leader-election", LEADERS, 100, BY_USER, LEADING, Leases),
        ("endpoint-controller", HIGH, 150, BY_USER, OF_ENDPOINTS, Endpoints),
        ("workload-leader-election", LEADERS, 200, BY_USER, SYSTEM, Leases),
        ("system-node-high", "node-high", 400, BY_USER, Groups(&[NODES]), Nodes),
        ("system-nodes", "system", 500, BY_USER, Groups(&[NODES]), Everything),
        (CONTROLLERS, HIGH, 800, BY_NAMESPACE, Users(&[CONTROLLER_MANAGER]), Everything),
        ("kube-scheduler", HIGH, 800, BY_NAMESPACE, Users(&[SCHEDULER]), Everything),
        ("kube-system-service-accounts", HIGH, 900, BY_NAMESPACE, SYSTEM, Everything),
        ("service-accounts", LOW, 9000, BY_USER, ACCOUNTS, Everything),
        ("global-default", "global-default", 9900, BY_USER, Groups(ALL), Everything),
        (CATCH_ALL, CATCH_ALL, 10_000, BY_USER, Groups(ALL), Everything),
    ]
};

/// Every priority level, the mandatory ones first.
pub fn priority_levels() -> Vec<PriorityLevelConfiguration> {
    let suggested = QUEUED.iter().map(|level| {
        let response = LimitResponse {
            type_: "Queue".into(),
            queuing: Some(QueuingConfiguration {
                queues: Some(level.queues),
                hand_size: Some(level.hand),
                queue_length_limit: Some(QUEUE_LENGTH),
            }),
        };
        limited(level.name, level.shares, level.lendable, response)
    });
    let spec = PriorityLevelConfigurationSpec {
        type_: "Exempt".into(),
        exempt: Some(ExemptPriorityLevelConfiguration {
            nominal_concurrency_shares: Some(0),
            lendable_percent: Some(0),
        }),
        limited: None,
    };
    let exempt =
        PriorityLevelConfiguration { metadata: metadata(EXEMPT), spec: Some(spec), status: None };
    let rejecting = LimitResponse { type_: "Reject".into(), queuing: None };
    let mandatory = [exempt, limited(CATCH_ALL, 5, 0, rejecting)];
    mandatory.into_iter().chain(suggested).collect()
}

/// Every flow schema.
pub fn flow_schemas() -> Vec<FlowSchema> {
    SCHEMAS.iter().map(flow_schema).collect()
}

/// The level of that name, if it is one that cannot be changed.
pub fn mandatory_priority_level(name: &str) -> Option<PriorityLevelConfiguration> {
    let mandatory = [EXEMPT, CATCH_ALL].contains(&name);
    let mut levels = priority_levels().into_iter().filter(|_| mandatory);
    levels.find(|level| level.metadata.name.as_deref() == Some(name))
}

/// The schema of that name, if it is one that cannot be changed.
pub fn mandatory_flow_schema(name: &str) -> Option<FlowSchema> {
    let mut mandatory = SCHEMAS.iter().filter(|row| [EXEMPT, CATCH_ALL].contains(&row.0));
    mandatory.find(|row| row.0 == name).map(flow_schema)
}

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        annotations: Some(BTreeMap::from([(AUTOUPDATE.to_owned(), "true".to_owned())])),
        ..ObjectMeta::default()
    }
}

fn limited(
    name: &str,
    shares: i32,
    lendable: i32,
    response: LimitResponse,
) -> PriorityLevelConfiguration {
    let limited = LimitedPriorityLevelConfiguration {
        nominal_concurrency_shares: Some(shares),
        lendable_percent: Some(lendable),
        limit_response: Some(response),
        borrowing_limit_percent: None,
    };
    let spec = PriorityLevelConfigurationSpec {
        type_: "Limited".into(),
        limited: Some(limited),
        exempt: None,
    };
    PriorityLevelConfiguration { metadata: metadata(name), spec: Some(spec), status: None }
}

fn flow_schema((name, level, precedence, method, who, what): &Row) -> FlowSchema {
    let method = (!method.is_empty()).then(|| FlowDistinguisherMethod { type_: (*method).into() });
    FlowSchema {
        metadata: metadata(name),
        spec: Some(FlowSchemaSpec {
            matching_precedence: Some(*precedence),
            priority_level_configuration: PriorityLevelConfigurationReference {
                name: (*level).into(),
            },
            distinguisher_method: method,
            rules: Some(vec![rules(subjects(who), what)]),
        }),
        status: None,
    }
}

fn subjects(who: &Who) -> Vec<Subject> {
    let user = |name: &&str| Subject {
        kind: "User".into(),
        user: Some(UserSubject { name: (*name).into() }),
        ..Subject::default()
    };
    let account = |name: &&str| Subject {
        kind: "ServiceAccount".into(),
        service_account: Some(ServiceAccountSubject {
            namespace: "kube-system".into(),
            name: (*name).into(),
        }),
        ..Subject::default()
    };
    let group = |name: &&str| Subject {
        kind: "Group".into(),
        group: Some(GroupSubject { name: (*name).into() }),
        ..Subject::default()
    };
    match who {
        Who::Groups(names) => names.iter().map(group).collect(),
        Who::Users(names) => names.iter().map(user).collect(),
        Who::System(users, accounts) => {
            users.iter().map(user).chain(accounts.iter().map(account)).collect()
        }
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn rules(subjects: Vec<Subject>, what: &What) -> PolicyRulesWithSubjects {
    const ANY: &[&str] = &["*"];
    const LOCKING: &[&str] = &["get", "create", "update"];
    let on = |verbs: &[&str], group: &str, resources: &[&str], cluster: bool| ResourcePolicyRule {
        verbs: texts(verbs),
        api_groups: texts(&[group]),
        resources: texts(resources),
        namespaces: Some(texts(ANY)),
        cluster_scope: cluster.then_some(true),
    };
    let at = |verbs: &[&str], urls: &[&str]| NonResourcePolicyRule {
        verbs: texts(verbs),
        non_resource_urls: texts(urls),
    };
    let leases = |verbs| on(verbs, "coordination.k8s.io", &["leases"], false);
    let (resources, urls) = match what {
        What::Everything => (vec![on(ANY, "*", ANY, true)], vec![at(ANY, ANY)]),
        What::Nodes => (vec![on(ANY, "", &["nodes", "nodes/status"], true), leases(ANY)], vec![]),
        What::Leases => (vec![leases(LOCKING)], vec![]),
        What::Endpoints => (vec![on(LOCKING, "", &["endpoints"], false)], vec![]),
        What::Probes => (vec![], vec![at(&["get"], &["/healthz", "/readyz", "/livez"])]),
    };
    PolicyRulesWithSubjects {
        subjects,
        resource_rules: (!resources.is_empty()).then_some(resources),
        non_resource_rules: (!urls.is_empty()).then_some(urls),
    }
}
