"""Extracts fields.json from Kubernetes' OpenAPI v2 document (api/openapi-spec/swagger.json):

    python3 fields.py < swagger.json > fields.json

By definition (without the leading "io.k8s."), by field: what the field is, as a short text, or an object with the text
as "is" where more is known. A text is "s", "n", "b" (string, number, boolean), "a" (any scalar), "*" (anything) or "@" and
a definition, after "[" for a list or "{" for a map of such. What is known of a definition as a whole stands at the field "".
"""

import json
import sys

definitions = json.load(sys.stdin)["definitions"]

# Scalars that may be written in several ways.
ANY = ("api.resource.Quantity", "intstr.IntOrString", "meta.v1.Time", "meta.v1.MicroTime")
SCALARS = {"string": "s", "integer": "n", "number": "n", "boolean": "b"}
# What a server fills in where a key of a list is left out.
KEY_DEFAULTS = {("ContainerPort", "protocol"): "TCP", ("ServicePort", "protocol"): "TCP"}
# Fields that are no pointers in Go, so that they are there even if nobody gives them. Only those count that are reached
# from an object through others like them.
STANDING = {"metadata", "spec", "status", "template", "strategy", "updateStrategy", "jobTemplate", "loadBalancer", "roleRef",
            "involvedObject", "source", "daemonEndpoints", "kubeletEndpoint", "nodeInfo", "names", "acceptedNames",
            "priorityLevelConfiguration", "scaleTargetRef", "containers"}
POINTERS = {("ReplicationControllerSpec", "template"), ("Volume", "source")}


def short(reference):
    return reference.rsplit("/", 1)[1].removeprefix("io.k8s.")


def text(schema):
    if "$ref" in schema:
        name = short(schema["$ref"])
        if name.endswith(ANY): return "a"
        return "@" + name if definitions["io.k8s." + name].get("properties") else "*"
    kind = schema.get("type")
    if kind == "array": return "[" + text(schema["items"])
    if kind == "object": return "{" + text(schema["additionalProperties"]) if "additionalProperties" in schema else "*"
    return "a" if schema.get("format") == "int-or-string" else SCALARS.get(kind, "*")


def known(definition, field, schema):
    found = {}
    for key, extension in (("mergeKey", "patch-merge-key"), ("listType", "list-type"), ("listMapKeys", "list-map-keys"), ("mapType", "map-type")):
        if "x-kubernetes-" + extension in schema: found[key] = schema["x-kubernetes-" + extension]
    if "x-kubernetes-patch-strategy" in schema: found["strategies"] = schema["x-kubernetes-patch-strategy"].split(",")
    if (definition, field) in KEY_DEFAULTS: found["default"] = KEY_DEFAULTS[definition, field]
    what = text(schema)
    standing = field in STANDING and (definition, field) not in POINTERS and (what[0] == "@" or field == "containers")
    if standing: found["standing"] = True
    return {"is": what, **found} if found else what


lines = []
for name in sorted(definitions):
    definition = definitions[name]
    if not definition.get("properties"): continue
    kind = name.rsplit(".", 1)[1]
    fields = {field: known(kind, field, schema) for field, schema in sorted(definition["properties"].items())}
    if "x-kubernetes-map-type" in definition: fields[""] = {"is": "*", "mapType": definition["x-kubernetes-map-type"]}
    lines.append(f"{json.dumps(name.removeprefix('io.k8s.'))}:{json.dumps(fields, separators=(',', ':'))}")
print("{" + ",\n".join(lines) + "}")
