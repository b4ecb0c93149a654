"""Pushes a file to a registry and pulls it back, with the OCI client of the package `oras`.

    oci.py REGISTRY USERNAME REPOSITORY:TAG FILE CA OUTDIR    (the password is read from stdin)
"""

import os
import sys

from oras.client import OrasClient

registry, username, target, path, ca, outdir = sys.argv[1:]
os.environ["REQUESTS_CA_BUNDLE"] = ca
client = OrasClient(hostname=registry, auth_backend="basic")
client.auth.set_basic_auth(username, sys.stdin.read().strip())
full = f"{registry}/{target}"
answer = client.push(
    target=full, files=[f"{path}:application/wasm"], disable_path_validation=True, quiet=True
)
print("pushed", answer.status_code)
for pulled in client.pull(target=full, outdir=outdir):
    print("pulled", pulled)
print("tags", *client.get_tags(full))
