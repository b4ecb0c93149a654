//! An expression as it was written, macros already recognised.

/// Nesting beyond which expressions are refused; every later walk over the tree relies on it.
pub(crate) const MAX_DEPTH: usize = 100;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
}

/// An expression and the byte where an error in it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) at: usize,
    pub(crate) depth: usize,
    pub(crate) kind: Kind,
}

/// What a selection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// `a.b`, `a[b]`
    Value,
    /// `a.?b`, `a[?b]`
    Optional,
    /// `has(a.b)`
    Test,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Literal(Literal),
    /// With a leading dot if written so.
    Ident(String),
    Select {
        operand: Box<Expr>,
        field: String,
        access: Access,
    },
    Index {
        operand: Box<Expr>,
        index: Box<Expr>,
        access: Access,
    },
    Call {
        target: Option<Box<Expr>>,
        function: String,
        args: Vec<Expr>,
    },
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Conditional(Box<[Expr; 3]>),
    List(Vec<Item>),
    Map(Vec<Entry>),
    Struct {
        name: String,
        fields: Vec<(String, Item)>,
    },
    Fold(Box<Fold>),
    /// `target.optMap(variable, body)`; `flat` if the body is optional itself.
    OptMap {
        target: Box<Expr>,
        variable: String,
        body: Box<Expr>,
        flat: bool,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Left out if the value is an empty optional: `?value`.
    pub(crate) optional: bool,
    pub(crate) value: Expr,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Expr,
    pub(crate) item: Item,
}

/// What a macro over a list or map makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    All,
    Exists,
    ExistsOne,
    /// `map`, `filter`, `transformList`
    List,
    /// `transformMap`
    Map,
    /// `transformMapEntry`
    Entries,
}

#[derive(Clone, Debug)]
pub(crate) struct Fold {
    pub(crate) shape: Shape,
    pub(crate) range: Expr,
    /// The element of a list or key of a map; with two, the index or key and the value.
    pub(crate) variables: Vec<String>,
    pub(crate) filter: Option<Expr>,
    pub(crate) body: Expr,
}
