//! Expressions of webhooks and policies: their variables, and their compilation.

use coracle_api::cause::Cause;
use coracle_cel::{Env, Field, ObjectType, Program, Type};
use k8s_openapi::api::admissionregistration::v1::{MatchCondition, Variable};

fn object(name: &str, fields: &[(&str, Type)]) -> Type {
    let fields = fields
        .iter()
        .map(|(name, r#type)| Field { property: (*name).to_owned(), r#type: r#type.clone() });
    Type::Object(ObjectType::new(name, fields.collect()).into())
}

/// The variables of every expression of admission.
pub fn env(params: bool) -> Env {
    use Type::{Bool, Dyn, String};
    let version = |name: &str, last: &str| {
        object(name, &[("group", String), ("version", String), (last, String)])
    };
    let kind = version("kubernetes.GroupVersionKind", "kind");
    let resource = version("kubernetes.GroupVersionResource", "resource");
    let strings = Type::list(String);
    let user = object(
        "kubernetes.UserInfo",
        &[
            ("username", String),
            ("uid", String),
            ("groups", strings.clone()),
            ("extra", Type::map(String, strings.clone())),
        ],
    );
    let request = object(
        "kubernetes.AdmissionRequest",
        &[
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", String),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", String),
            ("name", String),
            ("namespace", String),
            ("operation", String),
            ("userInfo", user),
            ("dryRun", Bool),
            ("options", Dyn),
        ],
    );
    let strings_by_string = Type::map(String, String);
    let metadata = object(
        "kubernetes.NamespaceMetadata",
        &[
            ("name", String),
            ("generateName", String),
            ("namespace", String),
            ("labels", strings_by_string.clone()),
            ("annotations", strings_by_string),
            ("uid", String),
            ("creationTimestamp", Type::Timestamp),
            ("deletionGracePeriodSeconds", Type::Int),
            ("deletionTimestamp", Type::Timestamp),
            ("generation", Type::Int),
            ("resourceVersion", String),
            ("finalizers", strings.clone()),
        ],
    );
    let namespace = object(
        "kubernetes.Namespace",
        &[
            ("metadata", metadata),
            ("spec", object("kubernetes.NamespaceSpec", &[("finalizers", strings)])),
            ("status", object("kubernetes.NamespaceStatus", &[("phase", String)])),
        ],
    );
    let env = Env::new()
        .variable("object", Dyn)
        .variable("oldObject", Dyn)
        .variable("request", request)
        .variable("namespaceObject", namespace)
        .authorizer();
    if params { env.variable("params", Dyn) } else { env }
}

/// An expression, compiled, or why it cannot be.
#[derive(Debug)]
pub struct Expression {
    /// As it was written.
    pub text: String,
    /// What it became, or why it cannot be compiled.
    pub program: Result<Program, String>,
}

impl Expression {
    /// Compiles a text that must come to one of the `wanted` types, if any are named.
    pub fn new(env: &Env, text: &str, wanted: &[Type]) -> Self {
        let program = env.compile(text, wanted).map_err(|error| error.to_string());
        Self { text: text.to_owned(), program }
    }

    /// What is wrong with it, where it stands in its object. One that is missing is told of
    /// elsewhere.
    pub fn fault(&self, path: String) -> Option<Cause> {
        let why = self.program.as_ref().err()?;
        let given = !self.text.trim().is_empty();
        given.then(|| Cause::invalid(path, self.text.as_str(), why))
    }
}

/// The composed variables of a policy, in their order: later ones may use earlier ones.
#[derive(Debug, Default)]
pub struct Variables(Vec<(String, Expression)>);

impl Variables {
    /// Compiles them; the answer is the environment in which they can be used.
    pub fn new(env: Env, given: &[Variable]) -> (Self, Env) {
        let mut fields: Vec<(String, Type)> = vec![];
        let mut compiled = vec![];
        let mut extended = env.clone();
        for Variable { name, expression } in given {
            let expression = Expression::new(&extended, expression, &[]);
            let r#type = expression.program.as_ref().map(|program| program.result_type().clone());
            fields.push((name.clone(), r#type.unwrap_or(Type::Dyn)));
            compiled.push((name.clone(), expression));
            let known: Vec<_> =
                fields.iter().map(|(name, r#type)| (name.as_str(), r#type.clone())).collect();
            extended = env.clone().variable("variables", object("kubernetes.variables", &known));
        }
        (Self(compiled), extended)
    }
}

impl Variables {
    /// The variables with their names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &(String, Expression)> {
        self.0.iter()
    }

    /// Those that cannot be compiled.
    pub fn faults(&self) -> Vec<Cause> {
        let all = self.0.iter().enumerate();
        let faults = all.filter_map(|(at, (_, expression))| {
            expression.fault(format!("spec.variables[{at}].expression"))
        });
        faults.collect()
    }
}

/// The conditions under which a webhook is called or a policy looked at.
#[derive(Debug, Default)]
pub struct Conditions(Vec<Expression>);

impl Conditions {
    /// Compiles them, each to a bool.
    pub fn new(env: &Env, given: Option<&Vec<MatchCondition>>) -> Self {
        let given = given.into_iter().flatten();
        Self(given.map(|given| Expression::new(env, &given.expression, &[Type::Bool])).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The conditions in order.
    pub fn iter(&self) -> impl Iterator<Item = &Expression> {
        self.0.iter()
    }

    /// Those that cannot be compiled; `path` is that of their list.
    pub fn faults(&self, path: &str) -> Vec<Cause> {
        let all = self.0.iter().enumerate();
        all.filter_map(|(at, condition)| condition.fault(format!("{path}[{at}].expression")))
            .collect()
    }
}
