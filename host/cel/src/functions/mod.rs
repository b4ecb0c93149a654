//! The libraries: what functions there are, for which types, at what cost. One library a file;
//! each is a table of [`Declared`] lines. Knows nothing of trees and variables.

mod address;
mod arithmetic;
pub(crate) mod authorizer;
mod comparison;
mod conversion;
mod lists;
mod named_format;
mod optional;
mod patches;
mod printf;
mod quantity;
pub(crate) mod regex;
mod semver;
mod sets;
mod signature;
mod strings;
pub(crate) mod time;
mod url;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use coracle_api::quantity::Quantity;

use crate::budget::{Meter, traversal};
use crate::declaration::Type;
use crate::error::EvalError;
use crate::value::Value;

/// What a function comes to.
pub(crate) type Out<'a> = Result<Value<'a>, EvalError>;
/// How a function is computed.
pub(crate) type Run = for<'a> fn(&mut Meter, &[Value<'a>]) -> Out<'a>;

/// Bytes and elements beyond which nothing is made.
pub(crate) const MAX_SIZE: usize = 10 << 20;
const MAX_ELEMENTS: usize = 1 << 20;

/// What a call costs besides what its function charges by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cost {
    /// Nothing to speak of.
    One,
    /// That much.
    Fixed(u64),
    /// The function charges all of it.
    Own,
    /// A tenth of the first argument's size.
    First,
    /// A fifth of it.
    FirstTwice,
    /// A tenth of the smaller argument.
    Shorter,
    /// A tenth of both arguments.
    Both,
    /// The product of a tenth of each argument.
    Product,
    /// One for each element, or a tenth for each character, of the first argument.
    Elements,
    /// A fifth of the result.
    Result,
    /// What searching the first argument for the pattern in the second may take.
    Pattern,
}

/// A line of a library's table: a signature as [`signature`] reads it, a cost, a function.
pub(crate) struct Declared(pub(crate) &'static str, pub(crate) Cost, pub(crate) Run);

/// A function for arguments of certain types.
pub(crate) struct Overload {
    pub(crate) name: &'static str,
    /// Whether the first parameter stands before the dot.
    pub(crate) member: bool,
    pub(crate) parameters: Vec<Type>,
    pub(crate) result: Type,
    /// How many type variables, numbered from 0, there are in it.
    pub(crate) variables: usize,
    cost: Cost,
    run: Run,
}

static OVERLOADS: LazyLock<HashMap<&'static str, Vec<Overload>>> = LazyLock::new(|| {
    let tables = [
        arithmetic::TABLE,
        comparison::TABLE,
        conversion::TABLE,
        time::TABLE,
        strings::TABLE,
        lists::TABLE,
        sets::TABLE,
        optional::TABLE,
        regex::TABLE,
        url::TABLE,
        quantity::TABLE,
        address::TABLE,
        semver::TABLE,
        named_format::TABLE,
        authorizer::TABLE,
        patches::TABLE,
    ];
    let mut overloads: HashMap<_, Vec<_>> = HashMap::new();
    for Declared(text, cost, run) in tables.into_iter().flatten() {
        let overload = signature::read(text, *cost, *run);
        overloads.entry(overload.name).or_default().push(overload);
    }
    overloads
});

/// The overloads of a function.
pub(crate) fn overloads(name: &str) -> Option<&'static [Overload]> {
    OVERLOADS.get(name).map(Vec::as_slice)
}

/// Whether the function is there only where patches are made.
pub(crate) fn is_for_patches(name: &str) -> bool {
    name.starts_with("jsonpatch.")
}

impl Overload {
    /// Whether values are of the parameters' types, as far as their outside tells.
    pub(crate) fn accepts(&self, args: &[Value<'_>]) -> bool {
        args.len() == self.parameters.len()
            && self.parameters.iter().zip(args).all(|(parameter, arg)| fits(parameter, arg))
    }

    pub(crate) fn call<'a>(&self, meter: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
        let weight = |index: usize| args.get(index).map_or(0, Value::weight);
        meter.charge(match self.cost {
            Cost::One => 1,
            Cost::Fixed(units) => units,
            Cost::Own | Cost::Result => 0,
            Cost::First => traversal(weight(0)),
            Cost::FirstTwice => traversal(weight(0) * 2),
            Cost::Shorter => traversal(weight(0).min(weight(1))),
            Cost::Both => traversal(weight(0) + weight(1)),
            Cost::Product => traversal(weight(0)).saturating_mul(traversal(weight(1))),
            Cost::Elements => match args.first() {
                Some(Value::List(list)) => list.len() as u64,
                _ => traversal(weight(0)),
            },
            Cost::Pattern => regex::cost(weight(0), weight(1)),
        })?;
        let result = (self.run)(meter, args)?;
        if matches!(self.cost, Cost::Result) {
            meter.charge(traversal(result.weight() * 2))?;
        }
        Ok(result)
    }
}

/// Whether a value is of a type, by its outside.
fn fits(parameter: &Type, value: &Value<'_>) -> bool {
    match (parameter, value) {
        (Type::Dyn | Type::Unknown(_) | Type::Error, _)
        | (Type::Null, Value::Null)
        | (Type::Bool, Value::Bool(_))
        | (Type::Int, Value::Int(_))
        | (Type::Uint, Value::Uint(_))
        | (Type::Double, Value::Double(_))
        | (Type::String, Value::String(_))
        | (Type::Bytes, Value::Bytes(_))
        | (Type::Duration, Value::Duration(_))
        | (Type::Timestamp, Value::Timestamp(_))
        | (Type::Map(_), Value::Map(_))
        | (Type::Optional(_), Value::Optional(_))
        | (Type::Type, Value::Type(_)) => true,
        (Type::List(of), Value::List(list)) => {
            of.element.is_dyn() || list.get(0).is_none_or(|first| fits(&of.element, &first))
        }
        (Type::Opaque(name), Value::Extension(extension)) => extension.type_name() == *name,
        _ => false,
    }
}

pub(crate) const QUANTITY: &str = "kubernetes.Quantity";
pub(crate) const URL: &str = "kubernetes.URL";
pub(crate) const IP: &str = "net.IP";
pub(crate) const CIDR: &str = "net.CIDR";
pub(crate) const SEMVER: &str = "kubernetes.Semver";
pub(crate) const FORMAT: &str = "kubernetes.NamedFormat";
pub(crate) const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
pub(crate) const PATH_CHECK: &str = "kubernetes.authorization.PathCheck";
pub(crate) const GROUP_CHECK: &str = "kubernetes.authorization.GroupCheck";
pub(crate) const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";
pub(crate) const DECISION: &str = "kubernetes.authorization.Decision";

/// The types of the libraries, which expressions may name.
pub(crate) const OPAQUE: &[&str] = &[
    QUANTITY,
    URL,
    IP,
    CIDR,
    SEMVER,
    FORMAT,
    AUTHORIZER,
    PATH_CHECK,
    GROUP_CHECK,
    RESOURCE_CHECK,
    DECISION,
];

/// A value of one of the libraries.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub enum Extension<'a> {
    #[doc(hidden)]
    Quantity(Quantity),
    #[doc(hidden)]
    Url(Arc<url::Url>),
    #[doc(hidden)]
    Ip(std::net::IpAddr),
    #[doc(hidden)]
    Cidr(address::Cidr),
    #[doc(hidden)]
    Semver(Arc<semver::Semver>),
    #[doc(hidden)]
    Format(&'static named_format::Format),
    #[doc(hidden)]
    Asking(authorizer::Asking<'a>),
    #[doc(hidden)]
    Decision(Arc<authorizer::Decision>),
}

impl Extension<'_> {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Quantity(_) => QUANTITY,
            Self::Url(_) => URL,
            Self::Ip(_) => IP,
            Self::Cidr(_) => CIDR,
            Self::Semver(_) => SEMVER,
            Self::Format(_) => FORMAT,
            Self::Asking(asking) => asking.type_name(),
            Self::Decision(_) => DECISION,
        }
    }

    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Ip(ip) => address::bytes(*ip),
            Self::Cidr(cidr) => address::bytes(cidr.address),
            _ => 1,
        }
    }

    pub(crate) fn equals(&self, other: &Extension<'_>) -> bool {
        match (self, other) {
            (Self::Quantity(a), Extension::Quantity(b)) => a == b,
            (Self::Url(a), Extension::Url(b)) => a == b,
            (Self::Ip(a), Extension::Ip(b)) => a == b,
            (Self::Cidr(a), Extension::Cidr(b)) => a == b,
            (Self::Semver(a), Extension::Semver(b)) => a.cmp(b).is_eq(),
            (Self::Format(a), Extension::Format(b)) => a.name == b.name,
            (Self::Decision(a), Extension::Decision(b)) => a == b,
            _ => false,
        }
    }
}

impl<'a> From<Extension<'a>> for Value<'a> {
    fn from(extension: Extension<'a>) -> Self {
        Self::Extension(extension)
    }
}

fn failed<'a>(message: impl Into<String>) -> Out<'a> {
    Err(EvalError::failed(message))
}

/// The answer to arguments that no overload takes.
fn no_overload<'a>() -> Out<'a> {
    Err(EvalError::NoSuchOverload)
}

/// Text that a function made, if it is not too long.
fn text<'a>(text: impl Into<Arc<str>>) -> Out<'a> {
    let text = text.into();
    if text.len() > MAX_SIZE {
        return failed("string too long");
    }
    Ok(Value::string(text))
}

/// A list that a function made, if it is not too long.
fn list<'a>(meter: &mut Meter, values: Vec<Value<'a>>) -> Out<'a> {
    room(meter, values.len())?;
    Ok(Value::list(values))
}

/// Charges for making that many elements, before they are made.
pub(crate) fn room(meter: &mut Meter, elements: usize) -> Result<(), EvalError> {
    if elements > MAX_ELEMENTS {
        return Err(EvalError::failed("list too long"));
    }
    meter.visit(elements)
}
