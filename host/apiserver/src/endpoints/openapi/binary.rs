//! The protobuf form of OpenAPI v2 (`openapi.v2.Document` of gnostic), which typed Go clients ask
//! for. A table of its messages, as far as our documents have them, and a walk over the document.

use serde_json::{Map, Value};

use crate::protobuf::wire::{bytes, close, float, integer, open};

/// What a field of a message holds.
enum Form {
    Text,
    Texts,
    Bool,
    Integer,
    Float,
    /// Any value, as YAML.
    Yaml,
    Yamls,
    /// A message.
    One(&'static Message),
    /// Messages.
    Many(&'static Message),
    /// A message of pairs of a name and a message.
    Named(&'static Message),
    /// A message whose first field is the text or the texts.
    Boxed,
    /// A message whose first field is the message.
    Inside(&'static Message),
    /// `ResponseValue` by its code.
    Responses,
    /// `AdditionalPropertiesItem`: a schema or a boolean.
    Additional,
    Parameters,
    /// `SecurityDefinitions`, all of them API keys.
    Keys,
    /// `SecurityRequirement`s.
    Requirements,
}

/// A message: its fields by their names in JSON, and the number of what begins with `x-`.
struct Message {
    fields: &'static [(&'static str, u32, Form)],
    extensions: u32,
}

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, Form::Text),
        ("info", 2, Form::One(&INFO)),
        ("consumes", 6, Form::Texts),
        ("produces", 7, Form::Texts),
        ("paths", 8, Form::Named(&PATH)),
        ("definitions", 9, Form::Named(&SCHEMA)),
        ("security", 12, Form::Requirements),
        ("securityDefinitions", 13, Form::Keys),
    ],
    extensions: 16,
};
static INFO: Message =
    Message { fields: &[("title", 1, Form::Text), ("version", 2, Form::Text)], extensions: 7 };
static PATH: Message = Message {
    fields: &[
        ("get", 2, Form::One(&OPERATION)),
        ("put", 3, Form::One(&OPERATION)),
        ("post", 4, Form::One(&OPERATION)),
        ("delete", 5, Form::One(&OPERATION)),
        ("options", 6, Form::One(&OPERATION)),
        ("head", 7, Form::One(&OPERATION)),
        ("patch", 8, Form::One(&OPERATION)),
        ("parameters", 9, Form::Parameters),
    ],
    extensions: 10,
};
static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Form::Texts),
        ("summary", 2, Form::Text),
        ("description", 3, Form::Text),
        ("operationId", 5, Form::Text),
        ("produces", 6, Form::Texts),
        ("consumes", 7, Form::Texts),
        ("parameters", 8, Form::Parameters),
        ("responses", 9, Form::Responses),
        ("schemes", 10, Form::Texts),
        ("deprecated", 11, Form::Bool),
        ("security", 12, Form::Requirements),
    ],
    extensions: 13,
};
static RESPONSE: Message = Message {
    fields: &[("description", 1, Form::Text), ("schema", 2, Form::Inside(&SCHEMA))],
    extensions: 5,
};
static BODY: Message = Message {
    fields: &[
        ("description", 1, Form::Text),
        ("name", 2, Form::Text),
        ("in", 3, Form::Text),
        ("required", 4, Form::Bool),
        ("schema", 5, Form::One(&SCHEMA)),
    ],
    extensions: 6,
};
/// Where a query parameter has one field more, its numbers are higher by one from there.
static QUERY: Message = Message {
    fields: &[
        ("required", 1, Form::Bool),
        ("in", 2, Form::Text),
        ("description", 3, Form::Text),
        ("name", 4, Form::Text),
        ("type", 6, Form::Text),
        ("format", 7, Form::Text),
        ("uniqueItems", 20, Form::Bool),
    ],
    extensions: 23,
};
static PATH_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, Form::Bool),
        ("in", 2, Form::Text),
        ("description", 3, Form::Text),
        ("name", 4, Form::Text),
        ("type", 5, Form::Text),
        ("format", 6, Form::Text),
        ("uniqueItems", 19, Form::Bool),
    ],
    extensions: 22,
};
static KEY: Message = Message {
    fields: &[
        ("type", 1, Form::Text),
        ("name", 2, Form::Text),
        ("in", 3, Form::Text),
        ("description", 4, Form::Text),
    ],
    extensions: 5,
};
static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Form::Text),
        ("format", 2, Form::Text),
        ("title", 3, Form::Text),
        ("description", 4, Form::Text),
        ("default", 5, Form::Yaml),
        ("multipleOf", 6, Form::Float),
        ("maximum", 7, Form::Float),
        ("exclusiveMaximum", 8, Form::Bool),
        ("minimum", 9, Form::Float),
        ("exclusiveMinimum", 10, Form::Bool),
        ("maxLength", 11, Form::Integer),
        ("minLength", 12, Form::Integer),
        ("pattern", 13, Form::Text),
        ("maxItems", 14, Form::Integer),
        ("minItems", 15, Form::Integer),
        ("uniqueItems", 16, Form::Bool),
        ("maxProperties", 17, Form::Integer),
        ("minProperties", 18, Form::Integer),
        ("required", 19, Form::Texts),
        ("enum", 20, Form::Yamls),
        ("additionalProperties", 21, Form::Additional),
        ("type", 22, Form::Boxed),
        ("items", 23, Form::Inside(&SCHEMA)),
        ("allOf", 24, Form::Many(&SCHEMA)),
        ("properties", 25, Form::Named(&SCHEMA)),
        ("readOnly", 27, Form::Bool),
        ("example", 30, Form::Yaml),
    ],
    extensions: 31,
};

/// The document in protobuf; the names of what the table does not know are left to the caller.
pub(super) fn write(document: &Value) -> (Vec<u8>, Vec<String>) {
    let mut writer = Writer { out: vec![], unknown: vec![] };
    writer.message(&DOCUMENT, document);
    (writer.out, writer.unknown)
}

struct Writer {
    out: Vec<u8>,
    unknown: Vec<String>,
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    // A single item stands for a list of one.
    let list = value.as_array();
    list.into_iter().flatten().chain(list.is_none().then_some(value))
}

impl Writer {
    fn nested(&mut self, number: u32, content: impl FnOnce(&mut Self)) {
        let start = open(number, &mut self.out);
        content(self);
        close(start, &mut self.out);
    }

    fn text(&mut self, number: u32, value: &Value) {
        bytes(number, value.as_str().unwrap_or_default().as_bytes(), &mut self.out);
    }

    /// JSON is YAML.
    fn yaml(&mut self, number: u32, value: &Value) {
        self.nested(number, |this| bytes(2, format!("{value}\n").as_bytes(), &mut this.out));
    }

    /// A pair of a name and what `content` writes as its second field.
    fn pair(&mut self, number: u32, name: &str, content: impl FnOnce(&mut Self)) {
        self.nested(number, |this| {
            bytes(1, name.as_bytes(), &mut this.out);
            content(this);
        });
    }

    fn message(&mut self, message: &Message, value: &Value) {
        for (name, value) in entries(value) {
            match message.fields.iter().find(|(known, ..)| known == name) {
                Some((_, number, form)) => self.field(*number, form, value),
                None if name.starts_with("x-") => {
                    self.pair(message.extensions, name, |this| this.yaml(2, value));
                }
                None => self.unknown.push(name.clone()),
            }
        }
    }

    fn field(&mut self, number: u32, form: &Form, value: &Value) {
        match form {
            Form::Text => self.text(number, value),
            Form::Texts => items(value).for_each(|text| self.text(number, text)),
            Form::Bool => {
                integer(number, value.as_bool().unwrap_or_default().into(), &mut self.out);
            }
            Form::Integer => {
                integer(number, value.as_i64().unwrap_or_default().cast_unsigned(), &mut self.out);
            }
            Form::Float => float(number, value.as_f64().unwrap_or_default(), &mut self.out),
            Form::Yaml => self.yaml(number, value),
            Form::Yamls => items(value).for_each(|value| self.yaml(number, value)),
            Form::One(message) => self.nested(number, |this| this.message(message, value)),
            Form::Many(message) => {
                items(value)
                    .for_each(|value| self.nested(number, |this| this.message(message, value)));
            }
            Form::Named(message) => self.nested(number, |this| {
                // Paths have their extensions first.
                let place = if std::ptr::eq(*message, &raw const PATH) { 2 } else { 1 };
                for (name, value) in entries(value) {
                    this.pair(place, name, |this| {
                        this.nested(2, |this| this.message(message, value));
                    });
                }
            }),
            Form::Boxed => {
                self.nested(number, |this| items(value).for_each(|text| this.text(1, text)));
            }
            Form::Inside(message) => self.nested(number, |this| {
                this.nested(1, |this| this.message(message, value));
            }),
            Form::Responses => self.nested(number, |this| {
                for (code, value) in entries(value) {
                    this.pair(1, code, |this| {
                        this.nested(2, |this| {
                            this.nested(1, |this| this.message(&RESPONSE, value));
                        });
                    });
                }
            }),
            Form::Additional => self.nested(number, |this| match value {
                Value::Bool(allowed) => integer(2, (*allowed).into(), &mut this.out),
                schema => this.nested(1, |this| this.message(&SCHEMA, schema)),
            }),
            Form::Parameters => {
                items(value).for_each(|value| self.nested(number, |this| this.parameter(value)));
            }
            Form::Keys => self.nested(number, |this| {
                for (name, value) in entries(value) {
                    this.pair(1, name, |this| {
                        this.nested(2, |this| this.nested(2, |this| this.message(&KEY, value)));
                    });
                }
            }),
            Form::Requirements => items(value).for_each(|value| {
                self.nested(number, |this| {
                    for (name, value) in entries(value) {
                        this.pair(1, name, |this| {
                            this.nested(2, |this| {
                                items(value).for_each(|text| this.text(1, text));
                            });
                        });
                    }
                });
            }),
        }
    }

    /// What is in a `ParametersItem`.
    fn parameter(&mut self, value: &Value) {
        if let Some(reference) = value.get("$ref") {
            return self.nested(2, |this| this.text(1, reference));
        }
        self.nested(1, |this| match value["in"].as_str() {
            Some("body") => this.nested(1, |this| this.message(&BODY, value)),
            Some("path") => this.nested(2, |this| {
                this.nested(4, |this| this.message(&PATH_PARAMETER, value));
            }),
            _ => this.nested(2, |this| this.nested(3, |this| this.message(&QUERY, value))),
        });
    }
}
