"""Stands in for pytest-kind: where that makes a cluster in containers, this gives the one of KUBECONFIG."""
