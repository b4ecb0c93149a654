"""Extracts fields.json from the Go type information in binaries (ELF, 64 bit) that hold Kubernetes'
API types, kubectl for most and helm for CustomResourceDefinitions:

    python3 fields.py kubectl helm > fields.json

Kubernetes' protobuf schema is generated from its Go types, and says less than they do: which fields
are pointers (so that a zero in them means something) and which are inlined in JSON. A field is
[number, JSON name, type, flags]; types are s(tring), b(ool), i(nteger), f(loat), x (bytes), l(ist
of strings), or the name of a message. Flags: r(epeated), m(ap from strings), p(ointer or always
shown: zero is kept), n (inlined).
"""

import json
import re
import struct
import sys

# The groups' packages and versions that are served, or that clients of ours could send.
SERVED = {
    "admissionregistration": "v1 v1beta1 v1alpha1",
    "apidiscovery": "v2 v2beta1",
    "apiextensions": "v1",
    "apiserverinternal": "v1alpha1",
    "apps": "v1",
    "authentication": "v1",
    "authorization": "v1",
    "autoscaling": "v1 v2",
    "batch": "v1",
    "certificates": "v1 v1beta1 v1alpha1",
    "coordination": "v1 v1beta1 v1alpha2",
    "core": "v1",
    "discovery": "v1",
    "events": "v1",
    "extensions": "v1beta1",
    "flowcontrol": "v1",
    "meta": "v1 v1beta1",
    "networking": "v1 v1beta1",
    "node": "v1",
    "policy": "v1",
    "rbac": "v1",
    "resource": "v1 v1beta1 v1beta2 v1alpha3",
    "scheduling": "v1 v1alpha2",
    "storage": "v1 v1beta1",
    "storagemigration": "v1beta1",
}
# Kept by no binary that a package carries: kube-aggregator's generated.proto and types.go.
AGGREGATOR = {
    "APIService": [
        [1, "metadata", "meta/v1.ObjectMeta", ""],
        [2, "spec", "apiregistration/v1.APIServiceSpec", ""],
        [3, "status", "apiregistration/v1.APIServiceStatus", ""],
    ],
    "APIServiceCondition": [
        [1, "type", "s", "p"],
        [2, "status", "s", "p"],
        [3, "lastTransitionTime", "meta/v1.Time", ""],
        [4, "reason", "s", ""],
        [5, "message", "s", ""],
    ],
    "APIServiceList": [
        [1, "metadata", "meta/v1.ListMeta", ""],
        [2, "items", "apiregistration/v1.APIService", "pr"],
    ],
    "APIServiceSpec": [
        [1, "service", "apiregistration/v1.ServiceReference", "p"],
        [2, "group", "s", ""],
        [3, "version", "s", ""],
        [4, "insecureSkipTLSVerify", "b", ""],
        [5, "caBundle", "x", ""],
        [7, "groupPriorityMinimum", "i", "p"],
        [8, "versionPriority", "i", "p"],
    ],
    "APIServiceStatus": [[1, "conditions", "apiregistration/v1.APIServiceCondition", "r"]],
    "ServiceReference": [[1, "namespace", "s", ""], [2, "name", "s", ""], [3, "port", "i", "p"]],
}
KINDS = {1: "b", 24: "s", 13: "f", 14: "f"} | {k: "i" for k in range(2, 13)}
LISTS = ("ExtraValue", "Verbs")
ROOTS = ("k8s.io/api/", "k8s.io/apimachinery/pkg/", "k8s.io/apiextensions-apiserver/pkg/apis/")


def short(path):
    """`core/v1` for `k8s.io/api/core/v1`, `resource` for `k8s.io/apimachinery/pkg/api/resource`."""
    parts = path.split("/")
    return "/".join(parts[-2:]) if re.fullmatch(r"v\d\w*", parts[-1]) else parts[-1]


def is_served(package):
    name, _, version = package.partition("/")
    return version in SERVED.get(name, "").split() and version != ""


class Binary:
    def __init__(self, data):
        self.data = data
        (offset,) = struct.unpack_from("<Q", data, 40)
        size, count, names_at = struct.unpack_from("<HHH", data, 58)
        sections = [
            struct.unpack_from("<IIQQQQIIQQ", data, offset + size * i) for i in range(count)
        ]
        text = sections[names_at][4]
        named = {data[text + s[0]:data.index(b"\0", text + s[0])].decode(): s for s in sections}
        self.base, self.start, self.length = named[".rodata"][3:6]

    def at(self, address):
        where = address - self.base
        return self.start + where if 0 <= where < self.length else None

    def word(self, position):
        return struct.unpack_from("<Q", self.data, position)[0]

    def blob(self, position):
        """A name and its tag."""
        def read(p):
            n = shift = 0
            while True:
                n |= (self.data[p] & 127) << shift
                shift += 7
                p += 1
                if self.data[p - 1] < 128:
                    return self.data[p:p + n].decode("utf8", "replace"), p + n
        name, end = read(position + 1)
        return name, read(end)[0] if self.data[position] & 2 else ""

    def name_of(self, position):
        (string,) = struct.unpack_from("<i", self.data, position + 40)
        return self.blob(self.start + string)[0].lstrip("*").rsplit(".", 1)[-1]

    def package(self, position, kind=25):
        """The package of a named type: behind its own part stands the uncommon one."""
        if not self.data[position + 20] & 1:
            return ""
        own = {25: 80, 21: 104, 22: 56, 23: 56}.get(kind, 48)
        (path,) = struct.unpack_from("<i", self.data, position + own)
        return self.blob(self.start + path)[0]

    def message(self, position):
        return short(self.package(position)) + "." + self.name_of(position)

    def kind_of(self, position):
        return self.data[position + 23] & 31

    def describe(self, position, flags):
        kind = self.kind_of(position)
        if kind == 22:
            return self.describe(self.at(self.word(position + 48)), flags | {"p"})
        if kind == 23:
            element = self.at(self.word(position + 48))
            if self.kind_of(element) == 8:
                return "x", flags
            # A named list is a message of its own, with the list as its only field.
            if self.package(position, kind).startswith(ROOTS) and self.name_of(position) in LISTS:
                return "l", flags
            return self.describe(element, flags | {"r"})
        if kind == 21:
            return self.describe(self.at(self.word(position + 56)), flags | {"m"})
        if kind == 25:
            return self.message(position), flags
        return KINDS.get(kind, "?"), flags

    def fields_of(self, position, fields, count):
        found = []
        for i in range(count):
            name, kind, _ = struct.unpack_from("<QQQ", self.data, self.at(fields) + 24 * i)
            tag = self.blob(self.at(name))[1]
            number = re.search(r'protobuf:"\w+,(\d+),', tag)
            shown = re.search(r'json:"([^"]*)"', tag)
            if not number or not shown or shown[1] == "-":
                continue
            shown, *options = shown[1].split(",")
            type_, flags = self.describe(self.at(kind), set())
            if "inline" in options or not shown:
                flags = flags | {"n"}
            elif "omitempty" not in options:
                flags = flags | {"p"}
            found.append([int(number[1]), shown, type_, "".join(sorted(flags))])
        return sorted(found)

    def messages(self):
        for position in range(self.start, self.start + self.length - 80, 8):
            if self.kind_of(position) != 25:
                continue
            fields, count, capacity = struct.unpack_from("<QQQ", self.data, position + 56)
            if not 0 <= count == capacity < 200 or count and not self.at(fields):
                continue
            if not self.data[position + 20] & 4:
                continue
            try:
                path = self.package(position)
                if path.startswith(ROOTS) and is_served(short(path)):
                    yield self.message(position), self.fields_of(position, fields, count)
            except (struct.error, TypeError, IndexError):
                continue


table = {f"apiregistration/v1.{name}": fields for name, fields in AGGREGATOR.items()}
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        for name, fields in Binary(file.read()).messages():
            if fields or name not in table:
                table[name] = fields
# Only what something refers to, or what is an object of its own.
needed = [name for name, fields in table.items() if any(f[1] in ("metadata", "items") for f in fields)]
needed += [name for name in table if name.startswith(("meta/", "apidiscovery/"))]
seen = set()
while needed:
    name = needed.pop()
    if name in table and name not in seen:
        seen.add(name)
        needed += [field[2] for field in table[name]]
rows = (f"{json.dumps(name)}:{json.dumps(table[name], separators=(',', ':'))}" for name in sorted(seen))
print("{" + ",\n".join(rows) + "}")
