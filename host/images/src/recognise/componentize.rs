//! A component of a core module whose tools left the types of one in it.

use wasi_preview1_component_adapter_provider as adapters;
use wit_component::ComponentEncoder;

use super::inventory::Inventory;

/// The component, or why there is none. WASI preview 1 is translated by the usual adapter: that of
/// commands for what has a `_start`, else that of libraries.
pub(super) fn component(core: &[u8], inventory: &Inventory) -> Result<Vec<u8>, String> {
    let adapter = if inventory.has_start {
        adapters::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER
    } else {
        adapters::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER
    };
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(core)
        .and_then(|encoder| encoder.adapter(adapters::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter))
        .and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| format!("{error:#}"))
}
