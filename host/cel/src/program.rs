//! A checked expression: a tree in which every name is resolved.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use regex::Regex;

use crate::activation::Activation;
use crate::ast::{Access, Shape};
use crate::budget::{Budget, Meter};
use crate::declaration::Type;
use crate::error::EvalError;
use crate::evaluate::evaluate;
use crate::functions::Overload;
use crate::value::Value;

/// An expression that can be evaluated, from any thread, as often as wanted.
pub struct Program {
    pub(crate) node: Node,
    pub(crate) r#type: Type,
    /// The variables that occur, by the index that nodes have.
    pub(crate) globals: Vec<String>,
    /// The fields of variables that occur.
    pub(crate) fields: BTreeSet<(String, String)>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("type", &self.r#type).finish_non_exhaustive()
    }
}

impl Program {
    /// The type of what it evaluates to.
    pub fn result_type(&self) -> &Type {
        &self.r#type
    }

    /// Whether the variable occurs in it.
    pub fn uses(&self, variable: &str) -> bool {
        self.globals.iter().any(|name| name == variable)
    }

    /// The fields of `variable` that it selects.
    pub fn fields_of<'p>(&'p self, variable: &'p str) -> impl Iterator<Item = &'p str> {
        let of = self.fields.iter().filter(move |(name, _)| name == variable);
        of.map(|(_, field)| field.as_str())
    }

    /// Computes the value. The cost is taken from the budget, and is bounded in itself.
    pub fn evaluate<'a>(
        &self,
        activation: &Activation<'a>,
        budget: &mut Budget,
    ) -> Result<Value<'a>, EvalError> {
        let mut meter = Meter::new(*budget);
        let result = evaluate(self, activation, &mut meter);
        meter.settle(budget);
        result
    }
}

pub(crate) enum Node {
    Const(Value<'static>),
    /// An index into [`Program::globals`].
    Global(usize),
    /// An index into the variables of the macros around.
    Local(usize),
    Select {
        operand: Box<Node>,
        field: Box<str>,
        access: Access,
    },
    Index {
        operand: Box<Node>,
        index: Box<Node>,
        access: Access,
    },
    Call(Box<Call>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Conditional(Box<[Node; 3]>),
    List(Vec<Element>),
    Map(Vec<(Node, Element)>),
    Struct {
        name: Arc<str>,
        fields: Vec<(Arc<str>, Element)>,
    },
    Fold(Box<Fold>),
    OptMap {
        target: Box<Node>,
        body: Box<Node>,
        flat: bool,
    },
}

pub(crate) struct Element {
    pub(crate) optional: bool,
    pub(crate) value: Node,
}

pub(crate) struct Call {
    pub(crate) function: &'static str,
    pub(crate) overloads: Vec<&'static Overload>,
    pub(crate) args: Vec<Node>,
    /// The literal pattern among the arguments.
    pub(crate) pattern: Option<Regex>,
}

pub(crate) struct Fold {
    pub(crate) shape: Shape,
    pub(crate) range: Node,
    /// Whether there are two variables.
    pub(crate) two: bool,
    pub(crate) filter: Option<Node>,
    pub(crate) body: Node,
}
