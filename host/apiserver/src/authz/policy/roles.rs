//! The cluster roles of the system itself, those of the controllers left out, and their bindings.

use super::*;

const SIGNERS: &[&str] = &["signers"];
const REQUESTS: &[&str] = &["certificatesigningrequests"];

/// What every node may do; what depends on its pods is judged beside it.
pub(crate) const NODE_RULES: &[Rule] = &[
    on(&["create"], AUTHENTICATION, &["tokenreviews"]),
    on(&["create"], AUTHORIZATION, &["localsubjectaccessreviews", "subjectaccessreviews"]),
    on(READ, CORE, &["services"]),
    on(&["create", "get", "list", "watch"], CORE, &["nodes"]),
    on(&["patch", "update"], CORE, &["nodes/status"]),
    on(&["patch", "update"], CORE, &["nodes"]),
    on(&["create", "patch", "update"], CORE, &["events"]),
    on(READ, CORE, &["pods"]),
    on(&["create", "delete"], CORE, &["pods"]),
    on(&["patch", "update"], CORE, &["pods/status"]),
    on(&["create"], CORE, &["pods/eviction"]),
    on(READ, CORE, &["configmaps", "secrets"]),
    on(&["get"], CORE, &["persistentvolumeclaims", "persistentvolumes"]),
    on(&["get"], CORE, &["endpoints"]),
    on(&["create", "get", "list", "watch"], CERTIFICATES, REQUESTS),
    on(&["create", "delete", "get", "patch", "update"], COORDINATION, &["leases"]),
    on(&["get"], STORAGE, &["volumeattachments"]),
    on(&["get", "patch", "update"], CORE, &["persistentvolumeclaims/status"]),
    on(&["create"], CORE, &["serviceaccounts/token"]),
    on(READ, STORAGE, &["csidrivers"]),
    on(&["create", "delete", "get", "patch", "update"], STORAGE, &["csinodes"]),
    on(READ, &["node.k8s.io"], &["runtimeclasses"]),
    on(&["get"], &["resource.k8s.io"], &["resourceclaims"]),
    on(
        &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        &["resource.k8s.io"],
        &["resourceslices"],
    ),
    on(READ, CERTIFICATES, &["clustertrustbundles"]),
    // The images of this program's pods are objects.
    on(READ, OWN, &["modules"]),
    on(&["patch", "update"], OWN, &["modules/status"]),
];

const fn leader(name: &'static [&'static str]) -> Rule {
    on(&["get", "update"], COORDINATION, &["leases"]).named(name)
}

pub(super) const ROLES: &[ClusterRole] = &[
    role("cluster-admin", &[on(ALL, ALL, ALL), at(ALL, ALL)]),
    role(
        "system:discovery",
        &[at(
            &["get"],
            &[
                "/api",
                "/api/*",
                "/apis",
                "/apis/*",
                "/healthz",
                "/livez",
                "/openapi",
                "/openapi/*",
                "/readyz",
                "/version",
                "/version/",
            ],
        )],
    ),
    role(
        "system:monitoring",
        &[at(
            &["get"],
            &[
                "/healthz",
                "/healthz/*",
                "/livez",
                "/livez/*",
                "/metrics",
                "/metrics/slis",
                "/readyz",
                "/readyz/*",
            ],
        )],
    ),
    role(
        "system:basic-user",
        &[
            on(
                &["create"],
                AUTHORIZATION,
                &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
            ),
            on(&["create"], AUTHENTICATION, &["selfsubjectreviews"]),
        ],
    ),
    role(
        "system:public-info-viewer",
        &[at(&["get"], &["/healthz", "/livez", "/readyz", "/version", "/version/"])],
    ),
    // Nodes are judged by their own authorizer; the role is for whoever wants it.
    role("system:node", NODE_RULES),
    role(
        "system:node-problem-detector",
        &[on(&["get"], CORE, &["nodes"]), on(&["patch"], CORE, &["nodes/status"]), EVENTS],
    ),
    role(
        "system:node-proxier",
        &[
            on(&["list", "watch"], CORE, &["endpoints", "services"]),
            on(READ, CORE, &["nodes"]),
            EVENTS,
            on(&["list", "watch"], DISCOVERY, &["endpointslices"]),
            on(&["list", "watch"], NETWORKING, &["servicecidrs"]),
        ],
    ),
    role(
        "system:kubelet-api-admin",
        &[
            on(READ, CORE, &["nodes"]),
            on(&["proxy"], CORE, &["nodes"]),
            on(
                ALL,
                CORE,
                &[
                    "nodes/configz",
                    "nodes/healthz",
                    "nodes/log",
                    "nodes/metrics",
                    "nodes/pods",
                    "nodes/proxy",
                    "nodes/stats",
                ],
            ),
        ],
    ),
    role(
        "system:node-bootstrapper",
        &[on(&["create", "get", "list", "watch"], CERTIFICATES, REQUESTS)],
    ),
    role(
        "system:auth-delegator",
        &[
            on(&["create"], AUTHENTICATION, &["tokenreviews"]),
            on(&["create"], AUTHORIZATION, &["subjectaccessreviews"]),
        ],
    ),
    role("system:kube-aggregator", &[on(READ, CORE, &["endpoints", "services"])]),
    role(
        "system:kube-controller-manager",
        &[
            EVENTS,
            on(&["create"], COORDINATION, &["leases"]),
            leader(&["kube-controller-manager"]),
            on(&["create"], CORE, &["secrets", "serviceaccounts"]),
            on(&["delete"], CORE, &["secrets"]),
            on(&["get"], CORE, &["configmaps", "namespaces", "secrets", "serviceaccounts"]),
            on(&["update"], CORE, &["secrets", "serviceaccounts"]),
            on(&["create"], AUTHENTICATION, &["tokenreviews"]),
            on(&["create"], AUTHORIZATION, &["subjectaccessreviews"]),
            on(&["list", "watch"], ALL, ALL),
            on(&["create"], CORE, &["serviceaccounts/token"]),
        ],
    ),
    role("system:kube-dns", &[on(&["list", "watch"], CORE, &["endpoints", "services"])]),
    role(
        "system:kube-scheduler",
        &[
            EVENTS,
            on(&["create"], COORDINATION, &["leases"]),
            on(&["get", "list", "patch", "update", "watch"], COORDINATION, &["leases"])
                .named(&["kube-scheduler"]),
            on(&["create"], COORDINATION, &["leasecandidates"]),
            on(READ, CORE, &["nodes"]),
            on(&["delete", "get", "list", "watch"], CORE, &["pods"]),
            on(&["create"], CORE, &["bindings", "pods/binding"]),
            on(&["patch", "update"], CORE, &["pods/status"]),
            on(READ, CORE, &["replicationcontrollers", "services"]),
            on(READ, &["apps", "extensions"], &["replicasets"]),
            on(READ, APPS, &["statefulsets"]),
            on(READ, POLICY, &["poddisruptionbudgets"]),
            on(READ, CORE, &["persistentvolumeclaims", "persistentvolumes"]),
            on(&["create"], AUTHENTICATION, &["tokenreviews"]),
            on(&["create"], AUTHORIZATION, &["subjectaccessreviews"]),
            on(READ, STORAGE, &["csinodes"]),
            on(READ, CORE, &["namespaces"]),
            on(READ, STORAGE, &["csidrivers"]),
            on(READ, STORAGE, &["csistoragecapacities"]),
            on(READ, STORAGE, &["volumeattachments"]),
        ],
    ),
    role(
        "system:volume-scheduler",
        &[
            on(&["get", "list", "patch", "update", "watch"], CORE, &["persistentvolumes"]),
            on(READ, STORAGE, &["storageclasses"]),
            on(&["get", "list", "patch", "update", "watch"], CORE, &["persistentvolumeclaims"]),
        ],
    ),
    role(
        "system:persistent-volume-provisioner",
        &[
            on(&["create", "delete", "get", "list", "watch"], CORE, &["persistentvolumes"]),
            on(&["get", "list", "update", "watch"], CORE, &["persistentvolumeclaims"]),
            on(READ, STORAGE, &["storageclasses"]),
            on(&["watch"], CORE, &["events"]),
            EVENTS,
        ],
    ),
    role(
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        &[on(&["create"], CERTIFICATES, &["certificatesigningrequests/nodeclient"])],
    ),
    role(
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        &[on(&["create"], CERTIFICATES, &["certificatesigningrequests/selfnodeclient"])],
    ),
    role(
        "system:certificates.k8s.io:legacy-unknown-approver",
        &[on(&["approve"], CERTIFICATES, SIGNERS).named(&["kubernetes.io/legacy-unknown"])],
    ),
    role(
        "system:certificates.k8s.io:kubelet-serving-approver",
        &[on(&["approve"], CERTIFICATES, SIGNERS).named(&["kubernetes.io/kubelet-serving"])],
    ),
    role(
        "system:certificates.k8s.io:kube-apiserver-client-approver",
        &[on(&["approve"], CERTIFICATES, SIGNERS).named(&["kubernetes.io/kube-apiserver-client"])],
    ),
    role(
        "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
        &[on(&["approve"], CERTIFICATES, SIGNERS)
            .named(&["kubernetes.io/kube-apiserver-client-kubelet"])],
    ),
    role(
        "system:service-account-issuer-discovery",
        &[at(
            &["get"],
            &[
                "/.well-known/openid-configuration",
                "/.well-known/openid-configuration/",
                "/openid/v1/jwks",
                "/openid/v1/jwks/",
            ],
        )],
    ),
    // What this program's own components need.
    role("system:coracle:image-collector", &[on(&["list"], OWN, &["modules"])]),
    // The way to images. Which of them somebody may pull and push is decided by what he may do with
    // their Modules.
    role("system:coracle:image-client", &[at(ALL, &["/upload/*", "/v2", "/v2/", "/v2/*"])]),
];

pub(super) const BINDINGS: &[(&str, &[Subject])] = &[
    ("cluster-admin", &[Subject::Group("system:masters")]),
    ("system:monitoring", &[Subject::Group("system:monitoring")]),
    ("system:discovery", &[Subject::Group("system:authenticated")]),
    ("system:basic-user", &[Subject::Group("system:authenticated")]),
    (
        "system:public-info-viewer",
        &[Subject::Group("system:authenticated"), Subject::Group("system:unauthenticated")],
    ),
    ("system:node-proxier", &[Subject::User("system:kube-proxy")]),
    ("system:kube-controller-manager", &[Subject::User("system:kube-controller-manager")]),
    ("system:kube-dns", &[Subject::Account("kube-dns")]),
    ("system:kube-scheduler", &[Subject::User("system:kube-scheduler")]),
    ("system:volume-scheduler", &[Subject::User("system:kube-scheduler")]),
    // Bound to nobody: nodes are judged by their own authorizer.
    ("system:node", &[]),
    ("system:service-account-issuer-discovery", &[Subject::Group("system:serviceaccounts")]),
    ("system:coracle:image-client", &[Subject::Group("system:authenticated")]),
    ("system:coracle:image-collector", &[Subject::User("system:coracle:images")]),
];
