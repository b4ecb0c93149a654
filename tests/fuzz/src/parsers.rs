//! The pure parsers.

use bytes::Bytes;
use coracle_api::cron::Schedule;
use coracle_api::quantity::Quantity;
use coracle_api::selector::{FieldSelector, Selector};
use coracle_cel::{Activation, Budget, Env, Type, Value};
use coracle_schema::FieldSet;

use crate::{Run, Target, Verdict};

pub(crate) fn targets() -> Vec<Target> {
    let parser = |name, seeds, parse| Target { name, seeds, run: Run::Parser(parse) };
    vec![
        parser("selector", || texts(SELECTORS), selector),
        parser("quantity", || texts(QUANTITIES), quantity),
        parser("cron", || texts(SCHEDULES), cron),
        parser("cel", || texts(EXPRESSIONS), cel),
        parser("fields", || texts(FIELDS), fields),
        parser("wasm", modules, wasm),
        parser("reference", || texts(REFERENCES), reference),
    ]
}

fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

const SELECTORS: &[&str] = &[
    "a=b,c!=d,e in (f,g),h notin (i),j,!k",
    "example.com/app==web, tier notin (a, b, c)",
    "metadata.name=x,status.phase!=Running,spec.nodeName=",
];

const QUANTITIES: &[&str] =
    &["1", "1.5Gi", "100m", "1e3", "12E", "-0.5", "250000000000n", "1.25Ki"];

const SCHEDULES: &[&str] =
    &["*/5 0-23/2 1,15 JAN-MAR mon", "@hourly", "0 0 29 2 *", "TZ=Europe/Vienna 0 3 * * 7"];

const EXPRESSIONS: &[&str] = &[
    "self.replicas <= 5 && has(self.name) ? self.name.startsWith('a') : false",
    "self.items.all(x, x > 1) || self.items.map(x, x * 2).exists(y, y == 4)",
    "quantity('1Gi').isGreaterThan(quantity('5M')) && url('https://a/b?c').getHost() == 'a'",
    "duration('1h').getSeconds() == 3600 && timestamp('2026-01-02T03:04:05Z').getFullYear() > 1",
    "'a,b'.split(',').join('-').matches('^a.b$') && {'k': [1u, 2u]}['k'][0] == 1u",
    "[1, 2.5, 'x', b'y', null, true].size() > dyn(3) && !(1 in [2, 3])",
];

const FIELDS: &[&str] = &[
    r#"{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{}}},"f:finalizers":{"v:\"x\"":{}},"f:list":{"i:0":{}}}}"#,
];

const REFERENCES: &[&str] = &[
    "nginx",
    "docker.io/library/nginx:1.27",
    "localhost:5000/a/b@sha256:0123456789abcdef",
    "registry.k8s.io/pause:3.10",
];

fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

/// What is printed means what was read.
fn selector(input: &[u8]) -> Verdict {
    let Some(text) = text(input) else { return Ok(false) };
    let fields = text.parse::<FieldSelector>().is_ok();
    let Ok(read) = text.parse::<Selector>() else { return Ok(fields) };
    let printed = read.to_string();
    let again = printed.parse::<Selector>().map_err(|error| format!("{printed:?}: {error}"))?;
    if again.to_string() != printed {
        return Err(format!("{printed:?} is read as {again}"));
    }
    Ok(true)
}

fn quantity(input: &[u8]) -> Verdict {
    let Some(Ok(read)) = text(input).map(str::parse::<Quantity>) else { return Ok(false) };
    let printed = read.to_string();
    let again = printed.parse::<Quantity>().map_err(|error| format!("{printed:?}: {error}"))?;
    if again == read { Ok(true) } else { Err(format!("{printed:?} is not what was read")) }
}

fn cron(input: &[u8]) -> Verdict {
    Ok(text(input).is_some_and(|text| text.parse::<Schedule>().is_ok()))
}

fn cel(input: &[u8]) -> Verdict {
    let Some(text) = text(input) else { return Ok(false) };
    let env = Env::new().variable("self", Type::Dyn);
    let Ok(program) = env.compile(text, &[]) else { return Ok(false) };
    let object = serde_json::json!({"replicas": 3, "name": "abc", "items": [1, 2, 3]});
    let activation = Activation::new().bind("self", Value::json(&object));
    Ok(program.evaluate(&activation, &mut Budget::default()).is_ok())
}

fn fields(input: &[u8]) -> Verdict {
    let Ok(read) = FieldSet::read(input) else { return Ok(false) };
    let mut printed = String::new();
    read.write(&mut printed);
    let again =
        FieldSet::read(printed.as_bytes()).map_err(|error| format!("{printed}: {error}"))?;
    let mut twice = String::new();
    again.write(&mut twice);
    if twice == printed { Ok(true) } else { Err(format!("{printed} became {twice}")) }
}

fn modules() -> Vec<Vec<u8>> {
    let text = [
        "(module (func (export \"_start\")) (memory (export \"memory\") 1))",
        "(component (core module (func (export \"f\"))))",
        "(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i32 i32 i32 i32) \
         (result i32))) (memory 1) (data (i32.const 0) \"hello\"))",
    ];
    text.iter().filter_map(|text| wat::parse_str(text).ok()).collect()
}

fn wasm(input: &[u8]) -> Verdict {
    Ok(coracle_images::recognise(Bytes::copy_from_slice(input)).is_ok())
}

fn reference(input: &[u8]) -> Verdict {
    Ok(text(input).is_some_and(|text| text.parse::<coracle_images::Reference>().is_ok()))
}
