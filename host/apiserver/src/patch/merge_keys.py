"""Extracts merge_keys.json from Kubernetes' OpenAPI v2 document (api/openapi-spec/swagger.json):

    python3 merge_keys.py < swagger.json > merge_keys.json
"""

import json
import sys

swagger = json.load(sys.stdin)
definitions = swagger["definitions"]


def ref(schema):
    for s in (schema, schema.get("items", {}), schema.get("additionalProperties", {})):
        if isinstance(s, dict) and "$ref" in s:
            return s["$ref"].rsplit("/", 1)[1]


table = {}
for name, definition in definitions.items():
    fields = {}
    for field, schema in definition.get("properties", {}).items():
        known = {}
        for key, extension in (("mergeKey", "patch-merge-key"), ("listType", "list-type"), ("listMapKeys", "list-map-keys"), ("mapType", "map-type")):
            if "x-kubernetes-" + extension in schema: known[key] = schema["x-kubernetes-" + extension]
        if "x-kubernetes-patch-strategy" in schema: known["strategies"] = schema["x-kubernetes-patch-strategy"].split(",")
        if ref(schema): known["ref"] = ref(schema)
        if known: fields[field] = known
    whole = definition.get("x-kubernetes-map-type")
    if whole: fields[""] = {"mapType": whole}
    table[name] = fields
# A reference matters only if something is known of what it leads to.
while True:
    dead = {n for n, f in table.items() if not f}
    if not dead: break
    for n in dead: del table[n]
    for n, f in list(table.items()):
        for field, known in list(f.items()):
            if known.get("ref") in dead: del known["ref"]
            if not known: del f[field]
# Cycles of references alone (JSON schemas) say nothing.
live = {n for n, f in table.items() if any(set(k) - {"ref"} for k in f.values())}
while True:
    more = {n for n, f in table.items() if n not in live and any(k.get("ref") in live for k in f.values())}
    if not more: break
    live |= more
for n in list(table):
    if n not in live: del table[n]; continue
    for field, known in list(table[n].items()):
        if known.get("ref") and known["ref"] not in live: del known["ref"]
        if not known: del table[n][field]
print("{")
lines = [f"{json.dumps(n)}: {json.dumps(table[n], sort_keys=True, separators=(',', ':'))}" for n in sorted(table)]
print(",\n".join(lines)); print("}")
