"""Extracts facts.json.gz from Kubernetes' OpenAPI v2 document (api/openapi-spec/swagger.json):

    python3 facts.py < swagger.json > facts.json.gz

Resources with their kinds, scopes and verbs, and definitions with their fields and the fields'
types: names alone, no texts.
"""

import gzip
import json
import sys

swagger = json.load(sys.stdin)
VERBS = {
    "get": ["get"], "list": ["list", "watch"], "post": ["create"], "put": ["update"],
    "patch": ["patch"], "delete": ["delete"], "deletecollection": ["deletecollection"],
}
# What is connected to is asked by any method.
METHODS = {"get": ["get"], "post": ["create"], "put": ["update"], "patch": ["patch"],
           "delete": ["delete"]}

resources = {}
for path, item in swagger["paths"].items():
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        version, rest = parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        version, rest = "/".join(parts[1:3]), parts[3:]
    else:
        continue
    if rest[0] == "watch":
        continue
    namespaced = rest[:2] == ["namespaces", "{namespace}"] and len(rest) > 2
    if namespaced:
        rest = rest[2:]
    name = "/".join(part for part in rest if part not in ("{name}", "{path}"))
    for method, operation in item.items():
        if not isinstance(operation, dict) or "x-kubernetes-action" not in operation:
            continue
        known = resources.setdefault(version, {}).setdefault(
            name, {"kind": "", "namespaced": False, "verbs": set()})
        known["namespaced"] |= namespaced
        action = operation["x-kubernetes-action"]
        known["verbs"].update(VERBS.get(action) or METHODS.get(method, []))
        known["kind"] = operation["x-kubernetes-group-version-kind"]["kind"]
for version in resources.values():
    for name, known in version.items():
        verbs = known["verbs"]
        # How components are is found out by asking: nothing tells when it changes.
        if "list" not in verbs or name == "componentstatuses":
            verbs.discard("watch")
        known["verbs"] = sorted(verbs)


def shape(schema):
    if "$ref" in schema:
        return "@" + schema["$ref"].rsplit("/", 1)[1]
    if schema.get("type") == "array":
        return "[]" + shape(schema.get("items", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        return "{}" + shape(schema["additionalProperties"])
    return schema.get("type", "")


definitions = {}
for name, definition in swagger["definitions"].items():
    fields = definition.get("properties", {})
    definitions[name] = {field: shape(schema) for field, schema in fields.items()}

facts = json.dumps({"resources": resources, "definitions": definitions}, sort_keys=True)
sys.stdout.buffer.write(gzip.compress(facts.encode(), 9, mtime=0))
