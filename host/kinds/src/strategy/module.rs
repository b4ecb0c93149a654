//! Module: what the registry inside holds under a name.

use coracle_api::cause::Cause;
use coracle_api::module::Module;
use serde_json::{Value, json};

use super::generation;
use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

/// How much of a digest a row shows, `sha256:` included.
const DIGEST_SHOWN: usize = "sha256:".len() + 12;

impl Strategy for Module {
    const NAMES: Names = Names {
        group: "coracle.dev",
        version: "v1",
        kind: "Module",
        plural: "modules",
        singular: "module",
        short: &["mod"],
        categories: &[],
        namespaced: true,
        status: false,
    };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Tags", "string", "The tags of this name, newest first."),
        column("Digest", "string", "Beginning of the newest tag's digest."),
        column("Size", "string", "Bytes of the newest tag's WebAssembly."),
        column("Form", "string", "What was recognised in the newest tag's bytes."),
        AGE,
    ];

    fn prepare_create(&mut self) {
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, _part: Part) {
        let changed = self.spec != old.spec;
        generation::count(self, old, changed);
    }

    fn validate(&self) -> Vec<Cause> {
        validation::module(self)
    }

    fn row(&self) -> Vec<Value> {
        let tags: Vec<_> = self.spec.tags.iter().map(|tag| tag.name.as_str()).collect();
        let newest = self.spec.tags.first();
        let digest = newest.map_or("", |tag| tag.digest.get(..DIGEST_SHOWN).unwrap_or(&tag.digest));
        vec![
            name(self),
            json!(tags.join(",")),
            json!(digest),
            json!(newest.map_or(String::new(), |tag| size(tag.size))),
            json!(newest.map_or(String::new(), |tag| format!("{:?}", tag.form))),
            age(self),
        ]
    }
}

/// `80.2KiB`.
fn size(bytes: i64) -> String {
    let mut amount = i128::from(bytes) * 10;
    let mut units = ["B", "KiB", "MiB", "GiB"].into_iter().peekable();
    while amount >= 10240 && units.len() > 1 {
        amount /= 1024;
        units.next();
    }
    let unit = units.next().unwrap_or_default();
    if unit == "B" { format!("{bytes}B") } else { format!("{}.{}{unit}", amount / 10, amount % 10) }
}
