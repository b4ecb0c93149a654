//! What expressions may refer to: variables and their types. The functions are always the same.

use std::sync::Arc;

use crate::check::check;
use crate::declaration::{ObjectType, Type};
use crate::error::{CompileError, Fault, report};
use crate::program::Program;
use crate::syntax::parse;

/// The variables that an expression may use.
#[derive(Clone, Debug, Default)]
pub struct Env {
    variables: Vec<(String, Type)>,
    patches: bool,
}

impl Env {
    /// No variables, all functions.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a variable of that type, too. A name may have dots: `authorizer.requestResource`.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, r#type: Type) -> Self {
        let name = name.into();
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, r#type));
        self
    }

    /// With the variables `authorizer` and, if there is a request for a resource,
    /// `authorizer.requestResource`.
    #[must_use]
    pub fn authorizer(self) -> Self {
        use crate::functions::{AUTHORIZER, RESOURCE_CHECK};
        self.variable("authorizer", Type::Opaque(AUTHORIZER))
            .variable("authorizer.requestResource", Type::Opaque(RESOURCE_CHECK))
    }

    /// With what expressions that change objects have: `Object{}`, `JSONPatch{}`,
    /// `jsonpatch.escapeKey`.
    #[must_use]
    pub fn patches(mut self) -> Self {
        self.patches = true;
        self
    }

    /// Reads and checks an expression, which must be of one of the types `wanted`; of any if
    /// there are none.
    pub fn compile(&self, source: &str, wanted: &[Type]) -> Result<Program, CompileError> {
        let tree = parse(source).map_err(|issue| report(source, vec![issue]))?;
        let program = check(self, &tree).map_err(|issues| report(source, issues))?;
        let fits = wanted.iter().any(|wanted| program.result_type().is_exactly(wanted));
        if fits || wanted.is_empty() {
            return Ok(program);
        }
        let names: Vec<_> = wanted.iter().map(ToString::to_string).collect();
        let message = match names.as_slice() {
            [only] => format!("must evaluate to {only}"),
            several => format!("must evaluate to one of [{}]", several.join(" ")),
        };
        Err(CompileError { fault: Fault::ResultType, message })
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Type> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, r#type)| r#type)
    }

    pub(crate) fn makes_patches(&self) -> bool {
        self.patches
    }
}

impl Type {
    /// The type of `Object{}`, `Object.spec{}`, `JSONPatch{}`: what expressions that change
    /// objects make.
    pub fn made(name: &str) -> Self {
        Self::Object(Arc::new(ObjectType::new(name, vec![])))
    }
}
