#!/bin/bash
# Builds the tests of the kube-client that the workspace uses, as its package carries them, with the
# versions of everything that the workspace uses: into the folder $1, the binary as $1/tests.
set -euo pipefail
folder=$1
source=$(cargo metadata --format-version 1 --locked | python3 -c '
import json, os, sys
packages = json.load(sys.stdin)["packages"]
print(next(os.path.dirname(p["manifest_path"]) for p in packages if p["name"] == "kube-client"))')
rm -rf "$folder" "$folder.new"
mkdir -p "$folder.new"
cp -R "$source/." "$folder.new"
cp Cargo.lock "$folder.new/Cargo.lock"
# Its tests use the facade, a dependency on a neighbour that packaging has taken out of the manifest.
printf '\n[dev-dependencies.kube]\nversion = "5"\ndefault-features = false\nfeatures = ["client"]\n' \
    >> "$folder.new/Cargo.toml"
target=$(dirname "$folder")/cargo
binary=$(cargo test --manifest-path "$folder.new/Cargo.toml" --target-dir "$target" --no-run --lib \
    --features gzip,jsonpatch,kubelet-debug,rustls-tls,ws --message-format json |
    python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["name"] == "kube_client":
        print(message["executable"])')
ln -f "$binary" "$folder.new/tests"
mv "$folder.new" "$folder"
touch "$folder"
