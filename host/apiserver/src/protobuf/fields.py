"""Extracts fields.json from the Go type information in a kubectl binary (ELF, 64 bit):

    python3 fields.py < kubectl > fields.json

Kubernetes' protobuf schema is generated from its Go types, and says less than they do: which fields
are pointers (so that a zero in them means something) and which are inlined in JSON. A field is
[number, JSON name, type, flags]; types are s(tring), b(ool), i(nteger), f(loat), x (bytes), l(ist
of strings), or the name of a message. Flags: r(epeated), m(ap from strings), p(ointer or always shown: zero is kept), n (inlined).
"""

import json
import re
import struct
import sys

data = sys.stdin.buffer.read()
(offset,) = struct.unpack_from("<Q", data, 40)
size, count, names_at = struct.unpack_from("<HHH", data, 58)
sections = [struct.unpack_from("<IIQQQQIIQQ", data, offset + size * i) for i in range(count)]
text = sections[names_at][4]
named = {data[text + s[0]:data.index(b"\0", text + s[0])].decode(): s for s in sections}
base, start, length = named[".rodata"][3:6]


def at(address):
    where = address - base
    return start + where if 0 <= where < length else None


def word(position):
    return struct.unpack_from("<Q", data, position)[0]


def blob(position):
    """A name and its tag."""
    def read(p):
        n = shift = 0
        while True:
            n |= (data[p] & 127) << shift
            shift += 7
            p += 1
            if data[p - 1] < 128:
                return data[p:p + n].decode("utf8", "replace"), p + n
    name, end = read(position + 1)
    return name, read(end)[0] if data[position] & 2 else ""


KINDS = {1: "b", 24: "s", 13: "f", 14: "f"} | {k: "i" for k in range(2, 13)}
LISTS = ("ExtraValue", "Verbs")
PACKAGES = ("k8s.io/api/", "k8s.io/apimachinery/pkg/")


def name_of(position):
    (string,) = struct.unpack_from("<i", data, position + 40)
    name = blob(start + string)[0]
    return name.lstrip("*").rsplit(".", 1)[-1]


def package(position, kind=25):
    """The package of a named type: behind its own part stands the uncommon one."""
    if not data[position + 20] & 1:
        return ""
    own = {25: 80, 21: 104, 22: 56, 23: 56}.get(kind, 48)
    (path,) = struct.unpack_from("<i", data, position + own)
    return blob(start + path)[0]


def message(position):
    return package(position).replace("k8s.io/", "", 1) + "." + name_of(position)


def kind_of(position):
    return data[position + 23] & 31


def describe(position, flags):
    kind = kind_of(position)
    if kind == 22:
        return describe(at(word(position + 48)), flags | {"p"})
    if kind == 23:
        element = at(word(position + 48))
        if kind_of(element) == 8:
            return "x", flags
        # A named list is a message of its own.
        # A named list is a message of its own, with the list as its only field.
        if package(position, kind).startswith(PACKAGES) and name_of(position) in LISTS:
            return "l", flags
        return describe(element, flags | {"r"})
    if kind == 21:
        return describe(at(word(position + 56)), flags | {"m"})
    if kind == 25:
        return message(position), flags
    return KINDS.get(kind, "?"), flags


table = {}
for position in range(start, start + length - 80, 8):
    if kind_of(position) != 25:
        continue
    fields, count, capacity = struct.unpack_from("<QQQ", data, position + 56)
    if not 0 < count == capacity < 200 or not at(fields) or not data[position + 20] & 4:
        continue
    try:
        path = package(position)
        if not path.startswith(PACKAGES) or not re.search(r"/(v1|v2|resource|intstr|runtime)$", path):
            continue
        found = []
        for i in range(count):
            name, kind, _ = struct.unpack_from("<QQQ", data, at(fields) + 24 * i)
            _, tag = blob(at(name))
            number = re.search(r'protobuf:"\w+,(\d+),', tag)
            shown = re.search(r'json:"([^"]*)"', tag)
            if not number or not shown or shown[1] == "-":
                continue
            shown, *options = shown[1].split(",")
            type_, flags = describe(at(kind), set())
            if "inline" in options or not shown:
                flags = flags | {"n"}
            elif "omitempty" not in options:
                flags = flags | {"p"}
            found.append([int(number[1]), shown, type_, "".join(sorted(flags))])
        if found:
            table[path.replace("k8s.io/", "", 1) + "." + name_of(position)] = sorted(found)
    except (struct.error, TypeError, IndexError):
        continue

json.dump(table, sys.stdout, separators=(",", ":"), sort_keys=True)
