//! The ready-made modules, carried inside the program.

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../target/modules"]
#[allow_missing = true]
#[include = "*.wasm"]
#[exclude = "python-*"]
struct Files;

/// Name and bytes of every ready-made module.
pub(crate) fn ready_made() -> impl Iterator<Item = (String, std::borrow::Cow<'static, [u8]>)> {
    Files::iter().filter_map(|path| {
        let name = path.strip_suffix(".wasm")?.to_owned();
        Some((name, Files::get(&path)?.data))
    })
}
