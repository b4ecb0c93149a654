//! Whether somebody may do something: expressions put the question together, the caller of the
//! evaluation answers it.

use std::fmt;
use std::sync::Arc;

use coracle_api::meta;

use super::{
    AUTHORIZER, Cost, Declared, Extension, GROUP_CHECK, Out, PATH_CHECK, RESOURCE_CHECK, failed,
    no_overload, text,
};
use crate::value::Value;

/// What one check costs: two are allowed per evaluation.
const CHECK: u64 = 350_000;

/// Answers questions of expressions.
pub trait Authorizer: Sync {
    /// Whether `check` is allowed.
    fn check(&self, check: &Check) -> Decision;
}

/// A question: whether the subject may do `verb`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Namespace and name of the service account that is asked about, if it is not the request's
    /// own user.
    pub service_account: Option<(String, String)>,
    /// The path, for what is no resource.
    pub path: Option<String>,
    /// API group.
    pub group: String,
    /// Plural resource.
    pub resource: String,
    /// Subresource, empty for none.
    pub subresource: String,
    /// Namespace, empty for all or none.
    pub namespace: String,
    /// Object, empty for all.
    pub name: String,
    /// Field selector, empty for none.
    pub field_selector: String,
    /// Label selector, empty for none.
    pub label_selector: String,
    /// The verb.
    pub verb: String,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why.
    pub reason: String,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Subject,
    Path,
    Group,
    Resource,
}

/// A question that is being put together.
#[derive(Clone)]
#[doc(hidden)]
pub struct Asking<'a> {
    authorizer: &'a dyn Authorizer,
    check: Arc<Check>,
    stage: Stage,
}

impl fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asking").field(&self.check).finish()
    }
}

impl<'a> Value<'a> {
    /// The variable `authorizer`.
    pub fn authorizer(authorizer: &'a dyn Authorizer) -> Self {
        let check = Arc::default();
        Extension::Asking(Asking { authorizer, check, stage: Stage::Subject }).into()
    }

    /// The variable `authorizer.requestResource`: a check that lacks nothing but the verb.
    pub fn resource_check(authorizer: &'a dyn Authorizer, check: Check) -> Self {
        let check = Arc::new(check);
        Extension::Asking(Asking { authorizer, check, stage: Stage::Resource }).into()
    }
}

impl<'a> Asking<'a> {
    pub(super) fn type_name(&self) -> &'static str {
        match self.stage {
            Stage::Subject => AUTHORIZER,
            Stage::Path => PATH_CHECK,
            Stage::Group => GROUP_CHECK,
            Stage::Resource => RESOURCE_CHECK,
        }
    }

    fn with(&self, stage: Stage, change: impl FnOnce(&mut Check)) -> Value<'a> {
        let mut check = (*self.check).clone();
        change(&mut check);
        let check = Arc::new(check);
        Extension::Asking(Self { authorizer: self.authorizer, check, stage }).into()
    }
}

macro_rules! resource_check {
    ($($name:literal => $field:ident;)*) => {
        &[
            Declared("authorizer|path(string) pathcheck", Cost::One, |_, args| {
                step(args, |asking, path| {
                    if path.trim().is_empty() {
                        return failed("path must not be empty");
                    }
                    Ok(asking.with(Stage::Path, |check| check.path = Some(path.to_owned())))
                })
            }),
            Declared("authorizer|group(string) groupcheck", Cost::One, |_, args| {
                step(args, |asking, group| {
                    Ok(asking.with(Stage::Group, |check| check.group = group.to_owned()))
                })
            }),
            Declared("authorizer|serviceAccount(string, string) authorizer", Cost::One, |_, args| {
                service_account(args)
            }),
            Declared("groupcheck|resource(string) resourcecheck", Cost::One, |_, args| {
                step(args, |asking, resource| {
                    if resource.trim().is_empty() {
                        return failed("resource must not be empty");
                    }
                    let resource = resource.to_owned();
                    Ok(asking.with(Stage::Resource, |check| check.resource = resource))
                })
            }),
            $(Declared(concat!("resourcecheck|", $name, "(string) resourcecheck"), Cost::One, |_, args| {
                step(args, |asking, given| {
                    Ok(asking.with(Stage::Resource, |check| check.$field = given.to_owned()))
                })
            }),)*
            Declared("pathcheck|check(string) decision", Cost::Fixed(CHECK), |_, args| ask(args)),
            Declared("resourcecheck|check(string) decision", Cost::Fixed(CHECK), |_, args| ask(args)),
            Declared("decision|allowed() bool", Cost::One, |_, args| {
                told(args, |decision| Ok(Value::Bool(decision.allowed)))
            }),
            Declared("decision|reason() string", Cost::One, |_, args| {
                told(args, |decision| text(&*decision.reason))
            }),
            Declared("decision|errored() bool", Cost::One, |_, args| {
                told(args, |decision| Ok(Value::Bool(decision.error.is_some())))
            }),
            Declared("decision|error() string", Cost::One, |_, args| {
                told(args, |decision| text(decision.error.as_deref().unwrap_or_default()))
            }),
        ]
    };
}

pub(super) const TABLE: &[Declared] = resource_check! {
    "subresource" => subresource;
    "namespace" => namespace;
    "name" => name;
    "fieldSelector" => field_selector;
    "labelSelector" => label_selector;
};

fn step<'a>(args: &[Value<'a>], next: fn(&Asking<'a>, &str) -> Out<'a>) -> Out<'a> {
    match args {
        [Value::Extension(Extension::Asking(asking)), Value::String(given)] => next(asking, given),
        _ => no_overload(),
    }
}

fn service_account<'a>(args: &[Value<'a>]) -> Out<'a> {
    let [
        Value::Extension(Extension::Asking(asking)),
        Value::String(namespace),
        Value::String(name),
    ] = args
    else {
        return no_overload();
    };
    let faults = meta::dns_1123_subdomain(name);
    if !faults.is_empty() {
        return failed(format!("Invalid service account name: {}", faults.join(", ")));
    }
    let faults = meta::dns_1123_label(namespace);
    if !faults.is_empty() {
        return failed(format!("Invalid service account namespace: {}", faults.join(", ")));
    }
    let account = (namespace.to_string(), name.to_string());
    Ok(asking.with(Stage::Subject, |check| check.service_account = Some(account)))
}

fn ask<'a>(args: &[Value<'a>]) -> Out<'a> {
    step(args, |asking, verb| {
        let check = Check { verb: verb.to_owned(), ..(*asking.check).clone() };
        Ok(Extension::Decision(Arc::new(asking.authorizer.check(&check))).into())
    })
}

fn told<'a>(args: &[Value<'a>], of: fn(&Decision) -> Out<'static>) -> Out<'a> {
    match args {
        [Value::Extension(Extension::Decision(decision))] => of(decision),
        _ => no_overload(),
    }
}
