//! The roles of the controllers. Each is `system:controller:<name>` and bound to the service
//! account of that name in `kube-system`.

use super::*;

const EXTENDED: &[&str] = &["apps", "extensions"];

pub(super) const ROLES: &[(&str, &[Rule])] = &[
    (
        "attachdetach-controller",
        &[
            on(&["list", "watch"], CORE, &["persistentvolumeclaims", "persistentvolumes"]),
            on(READ, CORE, &["nodes"]),
            on(&["patch", "update"], CORE, &["nodes/status"]),
            on(&["list", "watch"], CORE, &["pods"]),
            EVENTS,
            on(&["create", "delete", "get", "list", "watch"], STORAGE, &["volumeattachments"]),
            on(READ, STORAGE, &["csidrivers"]),
            on(READ, STORAGE, &["csinodes"]),
        ],
    ),
    (
        "certificate-controller",
        &[
            on(&["delete", "get", "list", "watch"], CERTIFICATES, &["certificatesigningrequests"]),
            on(
                &["update"],
                CERTIFICATES,
                &["certificatesigningrequests/approval", "certificatesigningrequests/status"],
            ),
            on(&["approve"], CERTIFICATES, &["signers"])
                .named(&["kubernetes.io/kube-apiserver-client-kubelet"]),
            on(&["sign"], CERTIFICATES, &["signers"]).named(&[
                "kubernetes.io/kube-apiserver-client",
                "kubernetes.io/kube-apiserver-client-kubelet",
                "kubernetes.io/kubelet-serving",
                "kubernetes.io/legacy-unknown",
            ]),
            on(&["create"], AUTHORIZATION, &["subjectaccessreviews"]),
            EVENTS,
        ],
    ),
    (
        "clusterrole-aggregation-controller",
        &[on(&["escalate", "get", "list", "patch", "update", "watch"], RBAC, &["clusterroles"])],
    ),
    (
        "cronjob-controller",
        &[
            on(&["get", "list", "update", "watch"], BATCH, &["cronjobs"]),
            on(&["create", "delete", "get", "list", "patch", "update", "watch"], BATCH, &["jobs"]),
            on(&["update"], BATCH, &["cronjobs/status"]),
            on(&["update"], BATCH, &["cronjobs/finalizers"]),
            on(&["delete", "list", "watch"], CORE, &["pods"]),
            EVENTS,
        ],
    ),
    (
        "daemon-set-controller",
        &[
            on(READ, EXTENDED, &["daemonsets"]),
            on(&["update"], EXTENDED, &["daemonsets/status"]),
            on(&["update"], EXTENDED, &["daemonsets/finalizers"]),
            on(&["list", "watch"], CORE, &["nodes"]),
            on(&["create", "delete", "list", "patch", "watch"], CORE, &["pods"]),
            on(&["create"], CORE, &["pods/binding"]),
            on(
                &["create", "delete", "get", "list", "patch", "update", "watch"],
                APPS,
                &["controllerrevisions"],
            ),
            EVENTS,
        ],
    ),
    (
        "deployment-controller",
        &[
            on(&["get", "list", "update", "watch"], EXTENDED, &["deployments"]),
            on(&["update"], EXTENDED, &["deployments/status"]),
            on(&["update"], EXTENDED, &["deployments/finalizers"]),
            on(
                &["create", "delete", "get", "list", "patch", "update", "watch"],
                EXTENDED,
                &["replicasets"],
            ),
            on(&["get", "list", "update", "watch"], CORE, &["pods"]),
            EVENTS,
        ],
    ),
    (
        "disruption-controller",
        &[
            on(READ, EXTENDED, &["deployments"]),
            on(READ, EXTENDED, &["replicasets"]),
            on(READ, CORE, &["replicationcontrollers"]),
            on(READ, POLICY, &["poddisruptionbudgets"]),
            on(READ, APPS, &["statefulsets"]),
            on(&["update"], POLICY, &["poddisruptionbudgets/status"]),
            on(&["patch", "update"], CORE, &["pods/status"]),
            on(&["get"], ALL, &["*/scale"]),
            EVENTS,
        ],
    ),
    (
        "endpoint-controller",
        &[
            on(READ, CORE, &["pods", "services"]),
            on(&["create", "delete", "get", "list", "update", "watch"], CORE, &["endpoints"]),
            on(&["create"], CORE, &["endpoints/restricted"]),
            EVENTS,
        ],
    ),
    (
        "endpointslice-controller",
        &[
            on(READ, CORE, &["nodes", "pods", "services"]),
            on(&["update"], CORE, &["services/finalizers"]),
            on(
                &["create", "delete", "get", "list", "update", "watch"],
                DISCOVERY,
                &["endpointslices"],
            ),
            EVENTS,
        ],
    ),
    (
        "endpointslicemirroring-controller",
        &[
            on(READ, CORE, &["endpoints", "services"]),
            on(&["update"], CORE, &["services/finalizers"]),
            on(&["update"], CORE, &["endpoints/finalizers"]),
            on(
                &["create", "delete", "get", "list", "update", "watch"],
                DISCOVERY,
                &["endpointslices"],
            ),
            EVENTS,
        ],
    ),
    (
        "ephemeral-volume-controller",
        &[
            on(READ, CORE, &["pods"]),
            on(&["update"], CORE, &["pods/finalizers"]),
            on(&["create", "get", "list", "watch"], CORE, &["persistentvolumeclaims"]),
            EVENTS,
        ],
    ),
    (
        "expand-controller",
        &[
            on(&["get", "list", "patch", "update", "watch"], CORE, &["persistentvolumes"]),
            on(&["patch", "update"], CORE, &["persistentvolumeclaims/status"]),
            on(READ, CORE, &["persistentvolumeclaims"]),
            EVENTS,
        ],
    ),
    (
        "generic-garbage-collector",
        &[on(&["delete", "get", "list", "patch", "update", "watch"], ALL, ALL), EVENTS],
    ),
    (
        "horizontal-pod-autoscaler",
        &[
            on(READ, AUTOSCALING, &["horizontalpodautoscalers"]),
            on(&["update"], AUTOSCALING, &["horizontalpodautoscalers/status"]),
            on(&["get", "update"], ALL, &["*/scale"]),
            on(&["list", "watch"], CORE, &["pods"]),
            on(&["list", "watch"], &["metrics.k8s.io"], &["pods"]),
            on(READ, &["custom.metrics.k8s.io"], ALL),
            on(READ, &["external.metrics.k8s.io"], ALL),
            EVENTS,
        ],
    ),
    (
        "job-controller",
        &[
            on(&["get", "list", "patch", "update", "watch"], BATCH, &["jobs"]),
            on(&["update"], BATCH, &["jobs/status"]),
            on(&["update"], BATCH, &["jobs/finalizers"]),
            on(&["create", "delete", "list", "patch", "watch"], CORE, &["pods"]),
            EVENTS,
        ],
    ),
    (
        "legacy-service-account-token-cleaner",
        &[
            on(&["get"], CORE, &["configmaps"])
                .named(&["kube-apiserver-legacy-service-account-token-tracking"]),
            on(&["delete", "patch"], CORE, &["secrets"]),
        ],
    ),
    (
        "namespace-controller",
        &[
            on(&["delete", "get", "list", "watch"], CORE, &["namespaces"]),
            on(&["update"], CORE, &["namespaces/finalize", "namespaces/status"]),
            on(&["delete", "deletecollection", "get", "list", "watch"], ALL, ALL),
        ],
    ),
    (
        "node-controller",
        &[
            on(&["delete", "get", "list", "patch", "update", "watch"], CORE, &["nodes"]),
            on(&["patch", "update"], CORE, &["nodes/status"]),
            on(&["patch", "update"], CORE, &["pods/status"]),
            on(&["delete", "get", "list", "watch"], CORE, &["pods"]),
            EVENTS,
        ],
    ),
    (
        "persistent-volume-binder",
        &[
            on(
                &["create", "delete", "get", "list", "update", "watch"],
                CORE,
                &["persistentvolumes"],
            ),
            on(&["update"], CORE, &["persistentvolumes/status"]),
            on(&["get", "list", "update", "watch"], CORE, &["persistentvolumeclaims"]),
            on(&["update"], CORE, &["persistentvolumeclaims/status"]),
            on(&["create", "delete", "get", "list", "watch"], CORE, &["pods"]),
            on(READ, STORAGE, &["storageclasses"]),
            on(&["list", "watch"], CORE, &["nodes"]),
            EVENTS,
            on(&["watch"], CORE, &["events"]),
        ],
    ),
    (
        "pod-garbage-collector",
        &[
            on(&["delete", "list", "watch"], CORE, &["pods"]),
            on(READ, CORE, &["nodes"]),
            on(&["patch"], CORE, &["pods/status"]),
        ],
    ),
    (
        "pv-protection-controller",
        &[on(&["get", "list", "update", "watch"], CORE, &["persistentvolumes"]), EVENTS],
    ),
    (
        "pvc-protection-controller",
        &[
            on(&["get", "list", "update", "watch"], CORE, &["persistentvolumeclaims"]),
            on(READ, CORE, &["pods"]),
            EVENTS,
        ],
    ),
    (
        "replicaset-controller",
        &[
            on(&["get", "list", "update", "watch"], EXTENDED, &["replicasets"]),
            on(&["update"], EXTENDED, &["replicasets/status"]),
            on(&["update"], EXTENDED, &["replicasets/finalizers"]),
            on(&["create", "delete", "list", "patch", "watch"], CORE, &["pods"]),
            EVENTS,
        ],
    ),
    (
        "replication-controller",
        &[
            on(&["get", "list", "update", "watch"], CORE, &["replicationcontrollers"]),
            on(&["update"], CORE, &["replicationcontrollers/status"]),
            on(&["update"], CORE, &["replicationcontrollers/finalizers"]),
            on(&["create", "delete", "list", "patch", "watch"], CORE, &["pods"]),
            EVENTS,
        ],
    ),
    (
        "resourcequota-controller",
        &[
            on(&["list", "watch"], ALL, ALL),
            on(&["update"], CORE, &["resourcequotas/status"]),
            EVENTS,
        ],
    ),
    ("root-ca-cert-publisher", &[on(&["create", "update"], CORE, &["configmaps"]), EVENTS]),
    ("service-account-controller", &[on(&["create"], CORE, &["serviceaccounts"]), EVENTS]),
    (
        "service-cidrs-controller",
        &[
            on(&["get", "list", "patch", "update", "watch"], NETWORKING, &["servicecidrs"]),
            on(&["patch", "update"], NETWORKING, &["servicecidrs/finalizers"]),
            on(&["patch", "update"], NETWORKING, &["servicecidrs/status"]),
            on(READ, NETWORKING, &["ipaddresses"]),
            EVENTS,
        ],
    ),
    (
        "service-controller",
        &[
            on(READ, CORE, &["services"]),
            on(&["patch", "update"], CORE, &["services/status"]),
            on(&["list", "watch"], CORE, &["nodes"]),
            EVENTS,
        ],
    ),
    (
        "statefulset-controller",
        &[
            on(&["list", "watch"], CORE, &["pods"]),
            on(READ, APPS, &["statefulsets"]),
            on(&["update"], APPS, &["statefulsets/status"]),
            on(&["update"], APPS, &["statefulsets/finalizers"]),
            on(&["create", "delete", "get", "patch", "update"], CORE, &["pods"]),
            on(
                &["create", "delete", "get", "list", "patch", "update", "watch"],
                APPS,
                &["controllerrevisions"],
            ),
            on(&["create", "get", "list", "watch"], CORE, &["persistentvolumeclaims"]),
            on(&["delete", "update"], CORE, &["persistentvolumeclaims"]),
            on(&["update"], CORE, &["pods/finalizers"]),
            EVENTS,
        ],
    ),
    (
        "ttl-after-finished-controller",
        &[on(&["delete", "get", "list", "watch"], BATCH, &["jobs"]), EVENTS],
    ),
    ("ttl-controller", &[on(&["list", "patch", "update", "watch"], CORE, &["nodes"]), EVENTS]),
    (
        "validatingadmissionpolicy-status-controller",
        &[
            on(READ, &["admissionregistration.k8s.io"], &["validatingadmissionpolicies"]),
            on(
                &["get", "patch", "update"],
                &["admissionregistration.k8s.io"],
                &["validatingadmissionpolicies/status"],
            ),
            EVENTS,
        ],
    ),
];
