"""A pytest plugin: the module kubernetes.e2e_test, which the package's tests import and the package
does not carry."""

import sys
import types

from kubernetes.client import Configuration
from kubernetes.config import load_kube_config


def get_e2e_configuration():
    configuration = Configuration()
    load_kube_config(client_configuration=configuration)
    return configuration


base = types.ModuleType("kubernetes.e2e_test.base")
base.get_e2e_configuration = get_e2e_configuration
package = types.ModuleType("kubernetes.e2e_test")
package.base = base
sys.modules[package.__name__] = package
sys.modules[base.__name__] = base
