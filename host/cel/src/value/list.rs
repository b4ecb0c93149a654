//! Lists: in the data, or made by an expression.

use std::sync::Arc;

use super::Value;
use crate::declaration::ListType;

#[derive(Clone, Debug)]
pub enum List<'a> {
    #[doc(hidden)]
    Json { items: &'a [serde_json::Value], of: Arc<ListType> },
    #[doc(hidden)]
    Values(Arc<[Value<'a>]>),
    /// Elements of data that is merged by a rule, after an addition.
    #[doc(hidden)]
    Merged { items: Arc<[Value<'a>]>, of: Arc<ListType> },
}

impl<'a> List<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json { items, .. } => items.len(),
            Self::Values(items) | Self::Merged { items, .. } => items.len(),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Json { items, of } => {
                items.get(index).map(|item| Value::typed(item, &of.element))
            }
            Self::Values(items) | Self::Merged { items, .. } => items.get(index).cloned(),
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The rule by which the list is compared and added to, if it has one.
    pub(crate) fn of(&self) -> Option<&Arc<ListType>> {
        match self {
            Self::Json { of, .. } | Self::Merged { of, .. } => Some(of),
            Self::Values(_) => None,
        }
    }
}
