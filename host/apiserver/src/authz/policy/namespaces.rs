//! Roles and bindings inside namespaces.

use super::*;

const SYSTEM: &str = "kube-system";
const PUBLIC: &str = "kube-public";

/// By namespace and name.
pub(super) const ROLES: &[(&str, &str, &[Rule])] = &[
    (
        SYSTEM,
        "extension-apiserver-authentication-reader",
        &[on(READ, CORE, &["configmaps"]).named(&["extension-apiserver-authentication"])],
    ),
    (SYSTEM, "system:controller:bootstrap-signer", &[on(READ, CORE, &["secrets"])]),
    (
        SYSTEM,
        "system:controller:cloud-provider",
        &[on(&["create", "get", "list", "watch"], CORE, &["configmaps"])],
    ),
    (
        SYSTEM,
        "system:controller:token-cleaner",
        &[on(&["delete", "get", "list", "watch"], CORE, &["secrets"]), EVENTS],
    ),
    (
        SYSTEM,
        "system::leader-locking-kube-controller-manager",
        &[
            on(&["watch"], CORE, &["configmaps"]),
            on(&["get", "update"], CORE, &["configmaps"]).named(&["kube-controller-manager"]),
        ],
    ),
    (
        SYSTEM,
        "system::leader-locking-kube-scheduler",
        &[
            on(&["watch"], CORE, &["configmaps"]),
            on(&["get", "update"], CORE, &["configmaps"]).named(&["kube-scheduler"]),
        ],
    ),
    (
        PUBLIC,
        "system:controller:bootstrap-signer",
        &[
            on(READ, CORE, &["configmaps"]),
            on(&["update"], CORE, &["configmaps"]).named(&["cluster-info"]),
            EVENTS,
        ],
    ),
];

/// By namespace, the binding's name, the role's name.
pub(super) const BINDINGS: &[(&str, &str, &str, &[Subject])] = &[
    (
        SYSTEM,
        "system:controller:bootstrap-signer",
        "system:controller:bootstrap-signer",
        &[Subject::Account("bootstrap-signer")],
    ),
    (
        SYSTEM,
        "system:controller:cloud-provider",
        "system:controller:cloud-provider",
        &[Subject::Account("cloud-provider")],
    ),
    (
        SYSTEM,
        "system:controller:token-cleaner",
        "system:controller:token-cleaner",
        &[Subject::Account("token-cleaner")],
    ),
    (
        SYSTEM,
        "system::extension-apiserver-authentication-reader",
        "extension-apiserver-authentication-reader",
        &[Subject::User("system:kube-controller-manager"), Subject::User("system:kube-scheduler")],
    ),
    (
        SYSTEM,
        "system::leader-locking-kube-controller-manager",
        "system::leader-locking-kube-controller-manager",
        &[
            Subject::User("system:kube-controller-manager"),
            Subject::Account("kube-controller-manager"),
        ],
    ),
    (
        SYSTEM,
        "system::leader-locking-kube-scheduler",
        "system::leader-locking-kube-scheduler",
        &[Subject::User("system:kube-scheduler"), Subject::Account("kube-scheduler")],
    ),
    (
        PUBLIC,
        "system:controller:bootstrap-signer",
        "system:controller:bootstrap-signer",
        &[Subject::Account("bootstrap-signer")],
    ),
];
