//! Code that is ready to start.

use coracle_api::capabilities::{function_provided, interface_provided};
use coracle_api::module::Form;
use wasmtime::component::Component;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::LoadError;
use crate::capabilities::{Guest, Linkers};
use crate::container::CoreGuest;

/// A module, compiled and linked against what the host provides.
pub struct Module {
    digest: String,
    imports: Vec<String>,
    exports: Vec<String>,
    hears_stops: bool,
    pub(crate) code: Code,
}

/// The lanes.
pub(crate) enum Code {
    /// A component with `wasi:cli/run`.
    Command(CommandPre<Guest>),
    /// A component with `wasi:http/incoming-handler`.
    Http(ProxyPre<Guest>),
    /// A core module with `_start`.
    Core(wasmtime::InstancePre<CoreGuest>),
}

impl Module {
    /// `sha256:<hex>` of the bytes that it was compiled from.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What it was recognised as.
    pub fn form(&self) -> Form {
        match self.code {
            Code::Command(_) => Form::Command,
            Code::Http(_) => Form::HttpHandler,
            Code::Core(_) => Form::CoreCommand,
        }
    }

    /// The interfaces, or functions as `module::name`, that it imports; sorted.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// The interfaces or functions that it exports; sorted.
    pub fn exports(&self) -> &[String] {
        &self.exports
    }

    /// Whether it can hear that it is asked to end.
    pub(crate) fn hears_stops(&self) -> bool {
        self.hears_stops
    }

    /// Links a component.
    pub(crate) fn component(
        digest: &str,
        component: &Component,
        linkers: &Linkers,
    ) -> Result<Self, LoadError> {
        let link = |error: wasmtime::Error| LoadError::Link(format!("{error:#}"));
        let engine = component.engine();
        let ty = component.component_type();
        let imports = sorted(ty.imports(engine).map(|(name, _)| name.to_owned()));
        let exports = sorted(ty.exports(engine).map(|(name, _)| name.to_owned()));
        let unknown: Vec<String> =
            imports.iter().filter(|name| !interface_provided(name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(LoadError::UnknownImports(unknown));
        }
        let exported = |interface: &str| exports.iter().any(|name| name.starts_with(interface));
        let handler = exported("wasi:http/incoming-handler@0.2");
        if !handler && !exported("wasi:cli/run@0.2") {
            return Err(LoadError::NoEntry);
        }
        let pre = linkers.component.instantiate_pre(component).map_err(link)?;
        let code = if handler {
            Code::Http(ProxyPre::new(pre).map_err(link)?)
        } else {
            Code::Command(CommandPre::new(pre).map_err(link)?)
        };
        let hears_stops =
            handler || imports.iter().any(|name| name.starts_with("coracle:guest/shutdown@"));
        Ok(Self { digest: digest.to_owned(), imports, exports, hears_stops, code })
    }

    /// Links a core module.
    pub(crate) fn core(
        digest: &str,
        module: &wasmtime::Module,
        linkers: &Linkers,
    ) -> Result<Self, LoadError> {
        let unknown = sorted(
            module
                .imports()
                .filter(|import| !function_provided(import.module(), import.name()))
                .map(|import| format!("{}::{}", import.module(), import.name())),
        );
        if !unknown.is_empty() {
            return Err(LoadError::UnknownImports(unknown));
        }
        let start = module.get_export("_start");
        if start.as_ref().and_then(|export| export.func()).is_none() {
            return Err(LoadError::NoEntry);
        }
        let pre = linkers
            .core
            .instantiate_pre(module)
            .map_err(|error| LoadError::Link(format!("{error:#}")))?;
        let imports =
            module.imports().map(|import| format!("{}::{}", import.module(), import.name()));
        Ok(Self {
            digest: digest.to_owned(),
            imports: sorted(imports),
            exports: sorted(module.exports().map(|export| export.name().to_owned())),
            hears_stops: false,
            code: Code::Core(pre),
        })
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module")
            .field("digest", &self.digest)
            .field("form", &self.form())
            .finish_non_exhaustive()
    }
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}
