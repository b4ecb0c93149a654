//! The roles for people: `admin`, `edit` and `view`, each made of parts that carry a label, so that
//! whoever adds kinds can add to them.

use super::*;

/// The roles whose rules are collected, and their parts.
pub(super) const ROLES: &[ClusterRole] = &[
    ClusterRole { name: "admin", part_of: None, made_of: Some("admin"), rules: &[] },
    ClusterRole { name: "edit", part_of: Some("admin"), made_of: Some("edit"), rules: &[] },
    ClusterRole { name: "view", part_of: Some("edit"), made_of: Some("view"), rules: &[] },
    ClusterRole {
        name: "system:aggregate-to-admin",
        part_of: Some("admin"),
        made_of: None,
        rules: &[
            on(&["create"], AUTHORIZATION, &["localsubjectaccessreviews"]),
            on(READ_WRITE, RBAC, &["rolebindings", "roles"]),
        ],
    },
    ClusterRole {
        name: "system:aggregate-to-edit",
        part_of: Some("edit"),
        made_of: None,
        rules: EDIT,
    },
    ClusterRole {
        name: "system:aggregate-to-view",
        part_of: Some("view"),
        made_of: None,
        rules: VIEW,
    },
    // The kinds that this program adds to those of Kubernetes.
    ClusterRole {
        name: "system:coracle:aggregate-to-edit",
        part_of: Some("edit"),
        made_of: None,
        rules: &[on(WRITE, OWN, &["modules"])],
    },
    ClusterRole {
        name: "system:coracle:aggregate-to-view",
        part_of: Some("view"),
        made_of: None,
        rules: &[on(READ, OWN, &["modules"])],
    },
];

const EDIT: &[Rule] = &[
    // Looking at what lets one do more than look is editing.
    on(
        READ,
        CORE,
        &[
            "pods/attach",
            "pods/exec",
            "pods/portforward",
            "pods/proxy",
            "secrets",
            "services/proxy",
        ],
    ),
    on(&["impersonate"], CORE, &["serviceaccounts"]),
    on(WRITE, CORE, &["pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"]),
    on(&["create"], CORE, &["pods/eviction"]),
    on(
        WRITE,
        CORE,
        &[
            "configmaps",
            "events",
            "persistentvolumeclaims",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "secrets",
            "serviceaccounts",
            "services",
            "services/proxy",
        ],
    ),
    on(&["create"], CORE, &["serviceaccounts/token"]),
    on(
        WRITE,
        APPS,
        &[
            "daemonsets",
            "deployments",
            "deployments/rollback",
            "deployments/scale",
            "replicasets",
            "replicasets/scale",
            "statefulsets",
            "statefulsets/scale",
        ],
    ),
    on(WRITE, AUTOSCALING, &["horizontalpodautoscalers"]),
    on(WRITE, BATCH, &["cronjobs", "jobs"]),
    on(
        WRITE,
        &["extensions"],
        &[
            "daemonsets",
            "deployments",
            "deployments/rollback",
            "deployments/scale",
            "ingresses",
            "networkpolicies",
            "replicasets",
            "replicasets/scale",
            "replicationcontrollers/scale",
        ],
    ),
    on(WRITE, POLICY, &["poddisruptionbudgets"]),
    on(WRITE, NETWORKING, &["ingresses", "networkpolicies"]),
    on(READ_WRITE, COORDINATION, &["leases"]),
    on(WRITE, &["resource.k8s.io"], &["resourceclaims", "resourceclaimtemplates"]),
];

const VIEW: &[Rule] = &[
    on(
        READ,
        CORE,
        &[
            "configmaps",
            "endpoints",
            "persistentvolumeclaims",
            "persistentvolumeclaims/status",
            "pods",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "serviceaccounts",
            "services",
            "services/status",
        ],
    ),
    on(
        READ,
        CORE,
        &[
            "bindings",
            "events",
            "limitranges",
            "namespaces/status",
            "pods/log",
            "pods/status",
            "replicationcontrollers/status",
            "resourcequotas",
            "resourcequotas/status",
        ],
    ),
    // In a namespace this is that namespace alone.
    on(READ, CORE, &["namespaces"]),
    on(READ, DISCOVERY, &["endpointslices"]),
    on(
        READ,
        APPS,
        &[
            "controllerrevisions",
            "daemonsets",
            "daemonsets/status",
            "deployments",
            "deployments/scale",
            "deployments/status",
            "replicasets",
            "replicasets/scale",
            "replicasets/status",
            "statefulsets",
            "statefulsets/scale",
            "statefulsets/status",
        ],
    ),
    on(READ, AUTOSCALING, &["horizontalpodautoscalers", "horizontalpodautoscalers/status"]),
    on(READ, BATCH, &["cronjobs", "cronjobs/status", "jobs", "jobs/status"]),
    on(
        READ,
        &["extensions"],
        &[
            "daemonsets",
            "daemonsets/status",
            "deployments",
            "deployments/scale",
            "deployments/status",
            "ingresses",
            "ingresses/status",
            "networkpolicies",
            "replicasets",
            "replicasets/scale",
            "replicasets/status",
            "replicationcontrollers/scale",
        ],
    ),
    on(READ, POLICY, &["poddisruptionbudgets", "poddisruptionbudgets/status"]),
    on(READ, NETWORKING, &["ingresses", "ingresses/status", "networkpolicies"]),
    on(
        READ,
        &["resource.k8s.io"],
        &["resourceclaims", "resourceclaims/status", "resourceclaimtemplates"],
    ),
];
