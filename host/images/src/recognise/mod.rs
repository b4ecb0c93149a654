//! What a file is, by its bytes: pure, no I/O.
//!
//! Three forms can run: a component that is a command, a component that handles HTTP, and a core
//! module that is a plain WASI preview 1 command. A core module that says by its custom sections
//! that it wants to be a component is made into one. Everything else is refused with the reason.

mod componentize;
mod inventory;
mod sniff;

use bytes::Bytes;
use coracle_api::capabilities;
use coracle_api::module::Form;
use thiserror::Error;
use wasmparser::Validator;

use inventory::{Inventory, Layer};

/// A module that can run.
#[derive(Clone, Debug)]
pub struct Recognised {
    /// What it is.
    pub form: Form,
    /// What to run: the bytes as they came, or the component made of them.
    pub wasm: Bytes,
    /// Whether `wasm` was made of what came.
    pub converted: bool,
    /// What the host must provide, sorted.
    pub imports: Vec<String>,
    /// What it provides, sorted.
    pub exports: Vec<String>,
}

/// Why a file cannot run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// Something else.
    #[error("it is not WebAssembly but {0}")]
    NotWasm(String),
    /// WebAssembly of a version that is not known.
    #[error("its WebAssembly version (bytes {0:02x?}) is not known: it was made for another time")]
    UnknownVersion([u8; 4]),
    /// Broken, cut off, or of a proposal that is not provided.
    #[error("it is not valid WebAssembly: {0}")]
    Invalid(String),
    /// It asks for what the host does not provide.
    #[error("it imports what this cluster does not provide: {}", .0.join(", "))]
    UnknownImports(Vec<String>),
    /// Nothing to run.
    #[error(
        "it has no entry point: a command exports wasi:cli/run (or _start, a core module), a server \
         wasi:http/incoming-handler; it exports {}",
        if .0.is_empty() { "nothing".to_owned() } else { .0.join(", ") }
    )]
    NoEntryPoint(Vec<String>),
    /// A core module of which no component could be made.
    #[error("no component can be made of it: {0}")]
    NotComponentizable(String),
}

/// Says what `bytes` are.
pub fn recognise(bytes: Bytes) -> Result<Recognised, Refused> {
    sniff::wasm(&bytes)?;
    // Before anything else looks at them: what is valid cannot surprise later.
    Validator::new().validate_all(&bytes).map_err(|error| Refused::Invalid(error.to_string()))?;
    let inventory = Inventory::take(&bytes)?;
    match inventory.layer {
        Layer::Component => component(bytes, inventory, false),
        Layer::Core if runs_as_it_is(&inventory) => Ok(Recognised {
            form: Form::CoreCommand,
            wasm: bytes,
            converted: false,
            imports: inventory.import_names(),
            exports: inventory.exports.into_iter().collect(),
        }),
        Layer::Core if inventory.has_component_type => {
            let made =
                componentize::component(&bytes, &inventory).map_err(Refused::NotComponentizable)?;
            let inventory = Inventory::take(&made)?;
            component(made.into(), inventory, true)
        }
        Layer::Core => {
            let unknown = inventory.imports_without(capabilities::function_provided);
            if unknown.is_empty() {
                Err(Refused::NoEntryPoint(inventory.exports.into_iter().collect()))
            } else {
                Err(Refused::UnknownImports(unknown))
            }
        }
    }
}

/// A plain command. Such a module stays what it is even if it could be made into a component:
/// only so are its exit codes kept.
fn runs_as_it_is(inventory: &Inventory) -> bool {
    inventory.has_start
        && !inventory.exports.iter().any(|export| export.contains('#'))
        && inventory.imports_without(capabilities::function_provided).is_empty()
}

fn component(wasm: Bytes, inventory: Inventory, converted: bool) -> Result<Recognised, Refused> {
    let unknown = inventory.imports_without(|_, name| capabilities::interface_provided(name));
    if !unknown.is_empty() {
        return Err(Refused::UnknownImports(unknown));
    }
    let exports_line = |interface: &str| {
        inventory.exports.iter().any(|export| {
            export.split_once('@').is_some_and(|(name, version)| {
                // Pre-releases have other types.
                name == interface && version.starts_with("0.2.") && !version.contains('-')
            })
        })
    };
    let form = if exports_line("wasi:http/incoming-handler") {
        Form::HttpHandler
    } else if exports_line("wasi:cli/run") {
        Form::Command
    } else {
        return Err(Refused::NoEntryPoint(inventory.exports.into_iter().collect()));
    };
    let imports = inventory.import_names();
    let exports = inventory.exports.into_iter().collect();
    Ok(Recognised { form, wasm, converted, imports, exports })
}

#[cfg(test)]
mod tests;
