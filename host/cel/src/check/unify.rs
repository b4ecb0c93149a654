//! Types that are still to be found, and what is known of them.

use crate::declaration::{ListType, Type};

/// What is known of each unknown type, with a way back.
#[derive(Default)]
pub(super) struct Unifier {
    known: Vec<Option<Type>>,
    trail: Vec<usize>,
}

impl Type {
    /// With unknown types numbered from `base`.
    pub(super) fn instantiated(&self, base: usize) -> Self {
        self.mapped(&mut |number| Self::Unknown(base + number))
    }

    fn mapped(&self, of: &mut impl FnMut(usize) -> Self) -> Self {
        match self {
            Self::Unknown(number) => of(*number),
            Self::List(list) => {
                let element = list.element.mapped(of);
                Self::List(ListType { element, merge: list.merge.clone() }.into())
            }
            Self::Map(map) => Self::map(map.0.mapped(of), map.1.mapped(of)),
            Self::Optional(inner) => Self::optional(inner.mapped(of)),
            other => other.clone(),
        }
    }

    fn has_unknown(&self) -> bool {
        match self {
            Self::Unknown(_) => true,
            Self::List(list) => list.element.has_unknown(),
            Self::Map(map) => map.0.has_unknown() || map.1.has_unknown(),
            Self::Optional(inner) => inner.has_unknown(),
            _ => false,
        }
    }

    fn mentions(&self, number: usize) -> bool {
        match self {
            Self::Unknown(other) => *other == number,
            Self::List(list) => list.element.mentions(number),
            Self::Map(map) => map.0.mentions(number) || map.1.mentions(number),
            Self::Optional(inner) => inner.mentions(number),
            _ => false,
        }
    }

    /// Whether `null` may stand for a value of it.
    fn takes_null(&self) -> bool {
        matches!(
            self,
            Self::Null
                | Self::Object(_)
                | Self::Opaque(_)
                | Self::Optional(_)
                | Self::Duration
                | Self::Timestamp
        )
    }
}

impl Unifier {
    pub(super) fn variables(&mut self, count: usize) -> usize {
        let base = self.known.len();
        self.known.resize(base + count, None);
        base
    }

    pub(super) fn fresh(&mut self) -> Type {
        Type::Unknown(self.variables(1))
    }

    pub(super) fn mark(&self) -> usize {
        self.trail.len()
    }

    pub(super) fn undo(&mut self, mark: usize) {
        for number in self.trail.drain(mark..) {
            self.known[number] = None;
        }
    }

    /// With everything that is known put in.
    pub(super) fn resolve(&self, r#type: &Type) -> Type {
        if !r#type.has_unknown() {
            return r#type.clone();
        }
        r#type.mapped(&mut |number| match self.known.get(number) {
            Some(Some(known)) => self.resolve(known),
            _ => Type::Unknown(number),
        })
    }

    pub(super) fn show(&self, r#type: &Type) -> String {
        self.resolve(r#type).to_string()
    }

    fn bind(&mut self, number: usize, to: &Type) -> bool {
        if to.mentions(number) {
            return matches!(to, Type::Unknown(_));
        }
        match self.known.get_mut(number) {
            Some(known) => *known = Some(to.clone()),
            None => return false,
        }
        self.trail.push(number);
        true
    }

    /// Whether a value of the type `given` is good where `wanted` is. What is unknown becomes
    /// known by it.
    pub(super) fn assignable(&mut self, wanted: &Type, given: &Type) -> bool {
        let (wanted, given) = (self.resolve(wanted), self.resolve(given));
        match (&wanted, &given) {
            (Type::Unknown(a), Type::Unknown(b)) if a == b => true,
            (Type::Unknown(number), other) | (other, Type::Unknown(number)) => {
                self.bind(*number, other)
            }
            (a, b) if a.is_dyn() || b.is_dyn() => true,
            (Type::Null, other) | (other, Type::Null) => other.takes_null(),
            (Type::List(a), Type::List(b)) => self.assignable(&a.element, &b.element),
            (Type::Map(a), Type::Map(b)) => {
                self.assignable(&a.0, &b.0) && self.assignable(&a.1, &b.1)
            }
            (Type::Optional(a), Type::Optional(b)) => self.assignable(a, b),
            (a, b) => a.is_exactly(b),
        }
    }

    /// The type that covers both, of which one is good for the other.
    pub(super) fn general(&self, a: &Type, b: &Type) -> Type {
        let (a, b) = (self.resolve(a), self.resolve(b));
        match (&a, &b) {
            (Type::Dyn, _) | (_, Type::Dyn) => Type::Dyn,
            (Type::Null | Type::Error, _) => b,
            (Type::List(x), Type::List(y)) => {
                let element = self.general(&x.element, &y.element);
                Type::List(ListType { element, merge: x.merge.clone() }.into())
            }
            (Type::Map(x), Type::Map(y)) => {
                Type::map(self.general(&x.0, &y.0), self.general(&x.1, &y.1))
            }
            (Type::Optional(x), Type::Optional(y)) => Type::optional(self.general(x, y)),
            _ => a,
        }
    }
}
