#!/usr/bin/env python3
"""Prints behaviours.txt from Kubernetes' conformance.yaml: `behaviours.py conformance.yaml`.

A behaviour is here if an API server and controllers are enough to see it: whole files of the
end-to-end tests, and single tests of others.
"""

import collections
import re
import sys

FILES = """
apimachinery/ auth/certificates.go auth/subjectreviews.go instrumentation/ network/apiserver.go
network/endpoints.go network/endpointslice.go network/endpointslicemirroring.go network/ingress.go
network/ingressclass.go network/service_cidrs.go common/node/lease.go node/node_lifecycle.go
common/node/podtemplates.go scheduling/limit_range.go storage/csi_node.go
storage/csistoragecapacity.go storage/persistent_volumes.go storage/storageclass.go
storage/volume_attachment.go storage/volumeattributesclass.go apps/controller_revision.go
apps/disruption.go dra/
""".split()

TESTS = """
csidriver_lifecycle
cronjob_api_operations
daemonset_list_and_delete_a_collection_of_daemonsets
daemonset_status_sub_resource
deployment_completes_the_scaling_of_a_deployment_subresource
deployment_completes_the_lifecycle_of_a_deployment
deployment_status_sub_resource
jobs_apply_changes_to_status
jobs_manage_lifecycle
replicaset_is_created_replaced_and_patched
replicaset_completes_the_scaling_of_a_replicaset_subresource
replica_set_adopt_matching_pods_and_release_non_matching_pods
replicaset_list_and_delete_a_collection_of_replicasets
replicaset_status_sub_resource
replication_controller_adopt_matching_pods
replication_controller_get_and_update_replicationcontroller_scale
replication_controller_release_pods
replication_controller_check_for_issues_like_exceeding_allocated_quota
replication_controller_lifecycle
statefulset_resource_replica_scaling
statefulset_list_patch_and_delete_a_collection_of_statefulsets
statefulset_status_sub_resource
oidc_discovery_serviceaccountissuerdiscovery
serviceaccount_create_and_review_token
rootca_configmap_test
serviceaccount_lifecycle_test
serviceaccount_update_a_serviceaccount
service_change_type_clusterip_to_externalname
service_change_type_externalname_to_clusterip
service_change_type_externalname_to_nodeport
service_change_type_nodeport_to_externalname
service_complete_servicestatus_lifecycle
service_deletes_a_collection_of_services
find_kubernetes_service_in_default_namespace
configmap_with_empty_key
configmap_lifecycle
configmap_volume_immutability
secrets_volume_immutability
secrets_with_empty_key
secret_patching
ephemeral_container_update_ephemeral_containers
pods_generation_updates
pods_generation_500_updates
pods_qos
pods_delete_a_collection
pods_patching_status
pods_completes_the_lifecycle_of_a_pod_and_the_podstatus
runtimeclass_api
pod_with_the_non_existing_runtimeclass_is_rejected
runtimeclass_overhead_field_must_be_respected
sysctls_reject_invalid_sysctls
scheduler_verify_priorityclass_endpoints
""".split()


def entries(text):
    """The test names and files; the list has one shape, so that no YAML parser is needed."""
    for entry in re.split(r"(?m)^- ", text):
        name = re.search(r"(?m)^\s*testname: ((?:.|\n    )*)$", entry)
        file = re.search(r"(?m)^\s*file: test/e2e/(.*)$", entry)
        if name and file:
            yield re.sub(r"\s+", " ", name.group(1)).strip("'\" "), file.group(1)


def slug(name):
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def main():
    seen = collections.Counter()
    with open(sys.argv[1], encoding="utf-8") as file:
        for name, path in entries(file.read()):
            name = slug(name)
            seen[name] += 1
            if seen[name] > 1:
                name += f"_{seen[name]}"
            if name in TESTS or any(path.startswith(prefix) for prefix in FILES):
                print(f"{path} {name}")


main()
