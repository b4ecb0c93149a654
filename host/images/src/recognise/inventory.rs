//! What a valid module imports and exports.

use std::collections::BTreeSet;

use wasmparser::{ComponentTypeRef, Encoding, ExternalKind, Parser, Payload};

use super::Refused;

/// The two encodings of WebAssembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    Core,
    Component,
}

#[derive(Debug)]
pub(super) struct Inventory {
    pub(super) layer: Layer,
    /// The module and the function of a core import; nothing and the name of a component's.
    pub(super) imports: BTreeSet<(String, String)>,
    pub(super) exports: BTreeSet<String>,
    /// Whether a core module exports the function `_start`.
    pub(super) has_start: bool,
    /// Whether a core module carries the types of a component to be made of it.
    pub(super) has_component_type: bool,
}

impl Inventory {
    /// Looks at the outermost level only: what lies inside a component is its own business.
    pub(super) fn take(bytes: &[u8]) -> Result<Self, Refused> {
        let invalid = |error: wasmparser::BinaryReaderError| Refused::Invalid(error.to_string());
        let mut inventory = Self {
            layer: Layer::Core,
            imports: BTreeSet::new(),
            exports: BTreeSet::new(),
            has_start: false,
            has_component_type: false,
        };
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(invalid)?;
            match &payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                // The outermost level ends too, last.
                Payload::End(_) => depth = depth.saturating_sub(1),
                _ if depth > 0 => {}
                payload => inventory.add(payload).map_err(invalid)?,
            }
        }
        Ok(inventory)
    }

    fn add(&mut self, payload: &Payload<'_>) -> Result<(), wasmparser::BinaryReaderError> {
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } => self.layer = Layer::Component,
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    let import = import?;
                    self.imports.insert((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::ExportSection(section) => {
                for export in section.clone() {
                    let export = export?;
                    self.has_start |= export.name == "_start" && export.kind == ExternalKind::Func;
                    self.exports.insert(export.name.to_owned());
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    let import = import?;
                    // A type is a name for something; nobody has to provide it.
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        self.imports.insert((String::new(), import.name.name.to_owned()));
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    self.exports.insert(export?.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) => {
                self.has_component_type |= section.name().starts_with("component-type");
            }
            _ => {}
        }
        Ok(())
    }

    /// The imports for which `provided` says no, by name.
    pub(super) fn imports_without(&self, provided: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let missing = self.imports.iter().filter(|(module, name)| !provided(module, name));
        missing.map(shown).collect()
    }

    pub(super) fn import_names(&self) -> Vec<String> {
        self.imports.iter().map(shown).collect()
    }
}

fn shown((module, name): &(String, String)) -> String {
    if module.is_empty() { name.clone() } else { format!("{module}.{name}") }
}
