"""The part of pytest-kind's interface that test suites use."""

import os
import shutil
import subprocess
from pathlib import Path


class KindCluster:
    """The cluster that KUBECONFIG names; somebody else starts and ends it."""

    def __init__(self, name="pytest-kind", kubeconfig=None, image=None, **_):
        self.name = name
        self.image = image
        self.kubeconfig_path = Path(kubeconfig or os.environ["CORACLE_KUBECONFIG"])
        self.kubectl_path = Path(shutil.which("kubectl"))

    def create(self, config_file=None):
        pass

    def delete(self):
        pass

    def kubectl(self, *args, **kwargs):
        return subprocess.check_output(
            [str(self.kubectl_path), *args],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig_path)},
            encoding="utf-8",
            **kwargs,
        )
