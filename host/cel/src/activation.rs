//! The values of an expression's variables.

use crate::value::Value;

/// Values by name. Few, so kept in a line.
#[derive(Clone, Debug, Default)]
pub struct Activation<'a> {
    values: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Activation<'a> {
    /// No values yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With that value, too; a later one of the same name counts.
    #[must_use]
    pub fn bind(mut self, name: &'a str, value: Value<'a>) -> Self {
        self.set(name, value);
        self
    }

    /// Adds or replaces a value.
    pub fn set(&mut self, name: &'a str, value: Value<'a>) {
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.values.push((name, value)),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}
