//! Whatever the expression: no panic, no end of the stack, no work without end.

use std::sync::Arc;

use coracle_api::dice;
use serde_json::{Value as Json, json};

use super::{all_fail, env};
use crate::{Activation, Budget, CALL_LIMIT, EvalError, Value};

#[test]
fn depth_is_bounded() {
    let limit = "expression recursion limit exceeded";
    let nested = [
        format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{}1{}", "[".repeat(1000), "]".repeat(1000)),
        format!("1{}", " + 1".repeat(1000)),
        format!("object{}", ".a".repeat(1000)),
        format!("object{}", "[0]".repeat(1000)),
        format!("{}true", "true ? true : ".repeat(1000)),
    ];
    for expression in &nested {
        all_fail(&json!({}), &[(expression, limit)]);
    }
    all_fail(&json!({}), &[(&" ".repeat(200_000), "code point size exceeds limit")]);
    // The deepest that is accepted is evaluated without harm; long rows of conditions are flat.
    let deep = [
        format!("{}1{}", "[".repeat(95), "]".repeat(95)),
        format!("1{}", " + 1".repeat(95)),
        format!("{}1", "!".repeat(1000).replace('!', "-")),
        format!("true{}", " && true".repeat(5000)),
    ];
    for expression in &deep {
        assert!(super::evaluate(expression, &json!({})).is_ok());
    }
}

#[test]
fn work_is_bounded() {
    let big: Vec<_> = (0..1000).collect();
    let object = json!({ "list": big, "text": "x".repeat(100_000), "deep": vec![&big; 20] });
    let limit = "operation cancelled: actual cost limit exceeded";
    all_fail(
        &object,
        &[
            ("object.list.all(a, object.list.all(b, object.list.all(c, a + b + c >= 0)))", limit),
            ("object.list.map(a, object.list.map(b, object.list.map(c, c))).size() == 0", limit),
            ("object.list.all(a, object.deep == object.deep)", limit),
            ("object.list.all(a, !object.text.matches('(x+)+y'))", limit),
            ("object.list.all(a, object.text.replace('x', object.text).size() > 0)", limit),
            ("object.text.replace('x', object.text)", "string too long"),
            ("object.list.all(a, object.text.split('').size() > 0)", limit),
            ("object.list.all(a, sets.equivalent(object.list, object.list))", limit),
            (
                "[1].map(x, object.list).map(x, x + x + x + x).map(x, x + x + x + x).map(x, x + x + \
                 x + x).map(x, x + x + x + x).map(x, x + x + x + x).map(x, x + x + x + x).size() > 0",
                "",
            ),
        ],
    );
}

#[test]
fn budgets_are_shared() {
    let list: Vec<_> = (0..1000).collect();
    let object = json!(list);
    let program = env().compile("object.all(x, x >= 0)", &[]).unwrap();
    let activation = Activation::new().bind("object", Value::json(&object));
    let mut budget = Budget::new(20_000);
    let mut done = 0;
    while program.evaluate(&activation, &mut budget).is_ok() {
        done += 1;
        assert!(done < 20, "the budget is never spent");
    }
    assert!(done > 1);
    assert_eq!(program.evaluate(&activation, &mut budget).unwrap_err(), EvalError::BudgetSpent);
    assert_eq!(budget.remaining(), 0);
}

const WORDS: &[&str] = &[
    "object",
    "object.a",
    "object.list",
    "params",
    "1",
    "2u",
    "1.5",
    "'s'",
    "b'x'",
    "null",
    "true",
    "[1, 2]",
    "{'a': 1}",
    "[]",
    "{}",
    "duration('1s')",
    "timestamp('2023-01-01T00:00:00Z')",
    "quantity('1')",
    "ip('::1')",
    "cidr('::/0')",
    "url('/')",
    "semver('1.0.0')",
    "optional.none()",
    "optional.of(1)",
    "authorizer",
    "x",
    "int",
    "-9223372036854775808",
    "format.uuid()",
];

const FORMS: &[&str] = &[
    "@ + @",
    "@ - @",
    "@ * @",
    "@ / @",
    "@ % @",
    "@ == @",
    "@ < @",
    "@ in @",
    "@ && @",
    "@ || @",
    "!@",
    "-@",
    "@ ? @ : @",
    "@[@]",
    "@[?@]",
    "@.a",
    "@.?a",
    "has(@.a)",
    "[@, @]",
    "{@: @}",
    "@.all(x, @)",
    "@.exists(x, @)",
    "@.map(x, @)",
    "@.filter(x, @)",
    "@.map(x, @, @)",
    "@.transformMap(k, x, @)",
    "@.transformMapEntry(k, x, {@: @})",
    "@.optMap(x, @)",
    "size(@)",
    "type(@)",
    "dyn(@)",
    "string(@)",
    "int(@)",
    "uint(@)",
    "double(@)",
    "@.sum()",
    "@.min()",
    "@.indexOf(@)",
    "@.indexOf(@, @)",
    "@.lastIndexOf(@, @)",
    "@.substring(@, @)",
    "@.charAt(@)",
    "@.split(@, @)",
    "@.replace(@, @, @)",
    "@.join(@)",
    "'%s %d %f %e %x'.format([@, @])",
    "@.format(@)",
    "@.matches(@)",
    "@.findAll(@, @)",
    "@.add(@)",
    "@.sub(@)",
    "@.compareTo(@)",
    "@.containsIP(@)",
    "@.masked()",
    "@.getHours(@)",
    "@.getFullYear()",
    "@.validate(@)",
    "@.orValue(@)",
    "@.value()",
    "sets.contains(@, @)",
    "(@)",
    "@ @",
    "@.",
    "'@",
    "@)",
];

fn expression(depth: usize) -> String {
    if depth == 0 || dice::below(5) == 0 {
        return WORDS[dice::below(WORDS.len())].to_owned();
    }
    let form = FORMS[dice::below(FORMS.len())];
    let mut made = String::new();
    for (index, part) in form.split('@').enumerate() {
        if index > 0 {
            made.push_str(&expression(depth - 1));
        }
        made.push_str(part);
    }
    made
}

fn data(depth: usize) -> Json {
    match dice::below(if depth == 0 { 6 } else { 9 }) {
        0 => Json::Null,
        1 => json!(true),
        2 => json!(i64::MIN),
        3 => json!(1.5),
        4 => json!("a%s\u{1F600}"),
        5 => json!(3),
        6 => json!([data(depth - 1), data(depth - 1)]),
        _ => json!({ "a": data(depth - 1), "list": [data(depth - 1)], "namespace": 1 }),
    }
}

#[test]
fn nothing_panics_and_cost_stays_bounded() {
    dice::seed(7);
    let env = Arc::new(env().variable("x", crate::Type::Dyn));
    let mut evaluated = 0;
    for _ in 0..10_000 {
        let expression = expression(4);
        let Ok(program) = env.compile(&expression, &[]) else { continue };
        let object = data(3);
        let activation =
            Activation::new().bind("object", Value::json(&object)).bind("x", Value::json(&object));
        let mut budget = Budget::default();
        let before = budget.remaining();
        let result = program.evaluate(&activation, &mut budget);
        // A step may cross the limit, and none costs more than it.
        assert!(before - budget.remaining() <= 2 * CALL_LIMIT, "{expression}");
        evaluated += usize::from(result.is_ok());
        drop(result.map(|value| value.to_json()));
    }
    assert!(evaluated > 300, "only {evaluated} expressions came to anything");
}

#[test]
fn garbage_is_refused_quietly() {
    dice::seed(11);
    let alphabet: Vec<char> =
        "abcx0159.?:()[]{}'\"\\ru,<>=!&|+-*/% \n\u{1F600}\u{e9}\0".chars().collect();
    for _ in 0..20_000 {
        let length = dice::below(40);
        let text: String = (0..length).map(|_| alphabet[dice::below(alphabet.len())]).collect();
        drop(env().compile(&text, &[]));
    }
}
