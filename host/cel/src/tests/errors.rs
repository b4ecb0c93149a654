//! What is said of expressions that are wrong, and of evaluations that fail.

use serde_json::json;

use super::all_fail;
use crate::{Env, Fault, Type};

#[test]
fn evaluation() {
    all_fail(
        &json!({ "a": 1, "list": [1] }),
        &[
            ("object.b", "no such key: b"),
            ("object.b.c", "no such key: b"),
            ("object['b']", "no such key: b"),
            ("object.list[5]", "index out of bounds: 5"),
            ("1 / 0", "division by zero"),
            ("1 % 0", "modulus by zero"),
            ("9223372036854775807 + 1", "integer overflow"),
            ("0u - 1u", "unsigned integer overflow"),
            ("object.a + 'x'", "no such overload"),
            ("object.a.b", "no such overload"),
            ("object.a && true", "no such overload"),
            ("params == 1", "no such attribute(s): params"),
            ("{'a': 1, 'a': 2}", "Failed with repeated key: a"),
        ],
    );
}

#[test]
fn compilation() {
    all_fail(
        &json!({}),
        &[
            (
                "foo > 1",
                "compilation failed: ERROR: <input>:1:1: undeclared reference to 'foo' (in \
                 container '')\n | foo > 1\n | ^",
            ),
            ("object.foo(1)", "<input>:1:11: undeclared reference to 'foo' (in container '')"),
            ("foo(1)", "<input>:1:4: undeclared reference to 'foo'"),
            (
                "1 + 'a'",
                "<input>:1:3: found no matching overload for '_+_' applied to '(int, string)'\n | \
                 1 + 'a'\n | ..^",
            ),
            ("1 == 'a'", "found no matching overload for '_==_' applied to '(int, string)'"),
            ("'a'.startsWith(1)", "for 'startsWith' applied to 'string.(int)'"),
            ("(1).foo", "type 'int' does not support field selection"),
            (
                "(5).all(x, true)",
                "expression of type 'int' cannot be range of a comprehension (must be list, map, \
                 or dynamic)",
            ),
            ("[1].all(x, x)", "found no matching overload for '_&&_' applied to '(bool, int)'"),
            ("[1].filter(x, x)", "found no matching overload for '_?_:_'"),
            ("[1, 'a']", "expected type 'int' but found 'string'"),
            ("{'a': 1, 'b': 'c'}", "expected type 'int' but found 'string'"),
            ("true ? 1 : 'a'", "for '_?_:_' applied to '(bool, int, string)'"),
            ("has(object)", "invalid argument to has() macro"),
            ("[1].all(1, true)", "argument must be a simple name"),
            ("[1].map(x.y, true)", "argument is not an identifier"),
            ("'a'[0]", "found no matching overload for '_[_]' applied to '(string, int)'"),
            ("[1]['a']", "for '_[_]' applied to '(list(int), string)'"),
            ("duration('x')", "invalid duration argument"),
            ("timestamp('x')", "invalid timestamp argument"),
            ("while", "reserved identifier: while"),
            ("", "Syntax error: mismatched input '<EOF>'"),
            ("1 +", "<input>:1:4: Syntax error: mismatched input '<EOF>'"),
            ("(1", "Syntax error"),
            ("'abc", "Syntax error"),
            ("1 2", "Syntax error: mismatched input '2' expecting <EOF>"),
            ("a @ b", "Syntax error: token recognition error at: '@'"),
            ("99999999999999999999", "invalid int literal"),
            ("Object{}", "undeclared reference to 'Object'"),
            ("jsonpatch.escapeKey('a')", "undeclared reference to"),
            ("math.greatest(1, 2)", "undeclared reference to"),
            ("foo && bar", "bar\n | .......^"),
        ],
    );
}

#[test]
fn result_types() {
    let env = Env::new().variable("object", Type::Dyn);
    let error = env.compile("'a'", &[Type::Bool]).unwrap_err();
    assert_eq!((error.fault, &*error.message), (Fault::ResultType, "must evaluate to bool"));
    // What is not known before evaluation is not known to be right.
    assert!(env.compile("object.x", &[Type::Bool]).is_err());
    assert!(env.compile("object.x == 1", &[Type::Bool]).is_ok());
    let error = env.compile("1", &[Type::String, Type::Null]).unwrap_err();
    assert_eq!(error.message, "must evaluate to one of [string null]");
}
