//! The language itself.

use serde_json::json;

use super::{all_fail, all_true, evaluate};

#[test]
fn operators() {
    all_true(
        &json!({}),
        &[
            "1 + 2 * 3 == 7",
            "(1 + 2) * 3 == 9",
            "7 / 2 == 3 && -7 / 2 == -3",
            "7 % 3 == 1 && -7 % 3 == -1",
            "7.0 / 2.0 == 3.5",
            "5u - 3u == 2u",
            "-(-3) == 3",
            "!!true",
            "!(1 > 2)",
            "1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && 1 != 2",
            "1 < 1.5 && 2u > 1 && 1.0 <= 1u",
            "9223372036854775807 < 9223372036854775808u",
            "dyn(1) == dyn(1.0) && dyn(1u) == dyn(1)",
            "dyn(1) != dyn('1')",
            "'a' < 'b' && b'a' < b'b' && false < true",
            "'a' + 'b' == 'ab' && [1] + [2] == [1, 2]",
            "true ? 1 == 1 : false",
            "true || 1 / 0 > 0",
            "1 / 0 > 0 || true",
            "!(false && 1 / 0 > 0)",
            "!(1 / 0 > 0 && false)",
            "2 in [1, 2] && !(3 in [1, 2]) && 'a' in {'a': 1}",
            "0x1F == 31 && 1e3 == 1000.0 && .5 == 0.5 && 2.5e-1 == 0.25",
            "-9223372036854775808 < 0",
            "null == null",
            "1 == 1 // a remark",
            "{'a': 1}.a == 1 && {'a': 1}['a'] == 1 && {1: 2}[1] == 2",
            "[1, 2, 3][1] == 2 && [[1]][0][0] == 1",
            "{'a': [1, 2]} == {'a': [1, 2]} && [{'b': 1}] == [{'b': 1}]",
            "0.1 + 0.2 != 0.3",
            "double('NaN') != double('NaN')",
        ],
    );
}

#[test]
fn literals() {
    all_true(
        &json!({}),
        &[
            r#"'it\'s' == "it's""#,
            r#"'\n\t\\\x41\u0041\U00000041\101' == "\n\t\\AAAA""#,
            r"r'\n'.size() == 2 && R'''a'b'''.size() == 3",
            "'''two\nlines'''.contains('\\n')",
            r"b'\xff'.size() == 1 && b'ÿ'.size() == 2 && br'\x'.size() == 2",
            "size('Grüße') == 5",
            "[] == [] && {} == {} && [1,] == [1] && {'a': 1,} == {'a': 1}",
        ],
    );
}

#[test]
fn macros() {
    all_true(
        &json!({ "list": [1, 2, 3], "map": { "a": 1, "b": 2 }, "empty": null }),
        &[
            "object.list.all(x, x > 0) && !object.list.all(x, x > 1)",
            "object.list.exists(x, x == 2) && object.list.exists_one(x, x == 2)",
            "[].all(x, x > 0) && ![].exists(x, true)",
            "object.list.map(x, x * 2) == [2, 4, 6]",
            "object.list.map(x, x > 1, x * 2) == [4, 6]",
            "object.list.filter(x, x > 1) == [2, 3]",
            "object.map.all(key, key in ['a', 'b']) && object.map.map(k, object.map[k]) == [1, 2]",
            "object.map.exists(k, v, v == 2) && object.list.all(i, v, v == i + 1)",
            "object.list.existsOne(i, v, v == 2)",
            "object.list.transformList(i, v, i * v) == [0, 2, 6]",
            "object.list.transformList(i, v, v > 1, i * v) == [2, 6]",
            "object.map.transformMap(k, v, v + 1) == {'a': 2, 'b': 3}",
            "object.map.transformMap(k, v, v > 1, v + 1) == {'b': 3}",
            "object.map.transformMapEntry(k, v, {string(v): k}) == {'1': 'a', '2': 'b'}",
            "[[1, 2], [3]].map(x, x.map(y, y + x[0])) == [[2, 3], [6]]",
            // An error that a later element makes up for.
            "[0, 2].exists(x, 4 / x == 2)",
            "![0, 1].all(x, 1 / x == 2)",
            "has(object.list) && !has(object.nothing) && has(object.empty)",
            "!has(object.map.c) && has({'a': 1}.a)",
        ],
    );
}

#[test]
fn optionals() {
    all_true(
        &json!({ "a": { "b": 1 }, "list": [1] }),
        &[
            "object.?a.?b == optional.of(1)",
            "object.?a.b == optional.of(1)",
            "object.?x.?y == optional.none() && object.?x.y.z == optional.none()",
            "object.?x.orValue(5) == 5 && object.?a.?b.orValue(5) == 1",
            "object.?x.or(object.?a.?b).value() == 1",
            "object.list[?0].value() == 1 && !object.list[?1].hasValue()",
            "object[?'a'].hasValue()",
            "[?object.?x, 2] == [2] && [?object.?a.?b] == [1]",
            "{?'k': object.?x, 'l': 1} == {'l': 1}",
            "optional.of(2).optMap(v, v * 2) == optional.of(4)",
            "optional.none().optMap(v, v * 2) == optional.none()",
            "object.?a.optFlatMap(a, a.?b) == optional.of(1)",
            "optional.ofNonZeroValue('') == optional.none()",
            "!has(object.?x.y) && has(object.?a.b)",
        ],
    );
    all_fail(&json!({}), &[("optional.none().value()", "optional.none() dereference")]);
}

#[test]
fn conversions() {
    all_true(
        &json!({}),
        &[
            "int('42') == 42 && int(42.9) == 42 && int(3u) == 3 && uint(3) == 3u",
            "double('1.5') == 1.5 && double(2) == 2.0",
            "string(1.5) == '1.5' && string(1000000.0) == '1e+06' && string(123456.0) == '123456'",
            "string(0.00001) == '1e-05' && string(true) == 'true' && string(b'abc') == 'abc'",
            "bytes('abc') == b'abc' && bool('true')",
            "string(duration('90m')) == '5400s' && string(duration('1.5s')) == '1.5s'",
            "int(timestamp('1970-01-01T00:01:00Z')) == 60",
            "string(timestamp('2023-01-02T03:04:05Z')) == '2023-01-02T03:04:05Z'",
            "type(1) == int && type('') == string && type([]) == list && type({}) == map",
            "type(null) == null_type && type(int) == type && type(1u) != type(1)",
            "type(duration('1s')) == google.protobuf.Duration",
            "type(ip('::1')) == net.IP",
            "size([1, 2]) == 2 && {'a': 1}.size() == 1",
        ],
    );
    all_fail(
        &json!({}),
        &[
            ("int('x')", "type conversion error from 'string' to 'int'"),
            ("int(1e30)", "integer overflow"),
            ("uint(-1)", "unsigned integer overflow"),
            ("bool('maybe')", "type conversion error from 'string' to 'bool'"),
            ("string(b'\\xff')", "invalid UTF-8"),
        ],
    );
}

#[test]
fn times() {
    all_true(
        &json!({}),
        &[
            "timestamp('2023-01-01T00:00:00Z') + duration('24h') == timestamp('2023-01-02T00:00:00Z')",
            "timestamp('2023-01-02T00:00:00Z') - timestamp('2023-01-01T00:00:00Z') == duration('24h')",
            "duration('1h30m') - duration('30m') == duration('1h') && duration('-1s') < duration('0s')",
            "timestamp('2023-03-04T05:06:07.089Z').getFullYear() == 2023",
            "timestamp('2023-03-04T05:06:07.089Z').getMonth() == 2",
            "timestamp('2023-03-04T05:06:07.089Z').getDate() == 4",
            "timestamp('2023-03-04T05:06:07.089Z').getDayOfMonth() == 3",
            "timestamp('2023-03-04T05:06:07.089Z').getDayOfYear() == 62",
            "timestamp('2023-03-04T05:06:07.089Z').getDayOfWeek() == 6",
            "timestamp('2023-03-04T05:06:07.089Z').getHours() == 5",
            "timestamp('2023-03-04T05:06:07.089Z').getHours('-02:00') == 3",
            "timestamp('2023-03-04T05:06:07.089Z').getHours('America/New_York') == 0",
            "timestamp('2023-03-04T05:06:07.089Z').getMilliseconds() == 89",
            "duration('3h30m').getHours() == 3 && duration('90s').getMinutes() == 1",
            "duration('1.5s').getMilliseconds() == 1500",
            "duration('1us') == duration('1000ns') && duration('0') == duration('0s')",
        ],
    );
}

#[test]
fn json_by_its_form() {
    let object = json!({ "i": 3, "f": 1.5, "s": "x", "n": null, "b": true, "big": u64::MAX });
    all_true(
        &object,
        &[
            "type(object.i) == int && type(object.f) == double && type(object.big) == double",
            "object.i == 3 && object.i == 3.0 && object.n == null && object.b",
            "object.s + 'y' == 'xy'",
            "type(object) == map && size(object) == 6",
        ],
    );
    assert_eq!(evaluate("object", &object), Ok(object.clone()));
    assert_eq!(evaluate("{'a': [object.i, 2u]}", &object), Ok(json!({ "a": [3, 2] })));
}
