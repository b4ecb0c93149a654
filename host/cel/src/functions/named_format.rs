//! Kubernetes' named formats of strings.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use coracle_api::meta;

use super::url::Url;
use super::{Cost, Declared, Extension, Out, no_overload, time};
use crate::budget::{Meter, traversal};
use crate::value::Value;

macro_rules! formats {
    ($($name:literal, $shown:literal, $cost:literal, $faults:expr;)*) => {
        const FORMATS: &[Format] =
            &[$(Format { called: $name, name: $shown, pattern: $cost, faults: $faults },)*];
        pub(super) const TABLE: &[Declared] = &[
            Declared("format.named(string) optional<format>", Cost::One, named),
            Declared("format|validate(string) optional<list<string>>", Cost::Own, validate),
            $(Declared(concat!("format.", $name, "() format"), Cost::One, |_, _| known($name)),)*
        ];
    };
}

formats! {
    "dns1123Label", "DNS1123Label", 30, meta::dns_1123_label;
    "dns1123Subdomain", "DNS1123Subdomain", 60, meta::dns_1123_subdomain;
    "dns1035Label", "DNS1035Label", 30, meta::dns_1035_label;
    "qualifiedName", "QualifiedName", 60, meta::qualified_name;
    "dns1123LabelPrefix", "DNS1123LabelPrefix", 30, |text| meta::dns_1123_label(&masked(text));
    "dns1123SubdomainPrefix", "DNS1123SubdomainPrefix", 60,
        |text| meta::dns_1123_subdomain(&masked(text));
    "dns1035LabelPrefix", "DNS1035LabelPrefix", 30, |text| meta::dns_1035_label(&masked(text));
    "labelValue", "LabelValue", 40, meta::label_value;
    "uri", "URI", 1000, |text| match Url::parse(text) {
        Ok(_) => vec![],
        Err(why) => vec![format!("parse {text:?}: {why}")],
    };
    "uuid", "uuid", 100, |text| verdict(is_uuid(text), "does not match the UUID format");
    "byte", "byte", 100, |text| verdict(BASE64_STANDARD.decode(text).is_ok(), "invalid base64");
    "date", "date", 100, |text| {
        let date = text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok();
        verdict(date, "invalid date")
    };
    "datetime", "datetime", 100, |text| {
        verdict(time::parse_timestamp(text).is_some(), "invalid datetime")
    };
}

#[derive(Debug)]
#[doc(hidden)]
pub struct Format {
    called: &'static str,
    pub(super) name: &'static str,
    /// How long a pattern for it would be: that is what it costs.
    pattern: usize,
    faults: fn(&str) -> Vec<String>,
}

fn verdict(good: bool, otherwise: &str) -> Vec<String> {
    if good { vec![] } else { vec![otherwise.to_owned()] }
}

fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.called == name)
}

fn known<'a>(name: &str) -> Out<'a> {
    find(name).map_or_else(no_overload, |format| Ok(Extension::Format(format).into()))
}

fn named<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::String(name)] => {
            let format = find(name).map(|format| Extension::Format(format).into());
            Ok(format.map_or(Value::Optional(None), Value::some))
        }
        _ => no_overload(),
    }
}

fn validate<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let [Value::Extension(Extension::Format(format)), Value::String(text)] = args else {
        return no_overload();
    };
    meter.charge(traversal(text.len() + 1).saturating_mul(format.pattern.div_ceil(4) as u64))?;
    let faults = (format.faults)(text);
    if faults.is_empty() {
        return Ok(Value::Optional(None));
    }
    Ok(Value::some(Value::list(faults.into_iter().map(Value::string).collect())))
}

/// A prefix of a name as a name: a dash at its end is followed by something.
fn masked(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{rest}a"),
        _ => text.to_owned(),
    }
}

/// With or without dashes, in either case.
fn is_uuid(text: &str) -> bool {
    let mut rest = text;
    for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        match rest.split_at_checked(length) {
            Some((digits, behind)) if digits.bytes().all(|d| d.is_ascii_hexdigit()) => {
                rest = behind
            }
            _ => return false,
        }
    }
    rest.is_empty()
}
