//! Modules as bytes and as names: what a person uploads, what `image:` means.
//!
//! [`Images`] stores bytes under their digest. [`recognise`] says what a file is and refuses what
//! could not run. [`resolve`] turns a container's `image` into a file to run. [`router`] takes
//! uploads: one plain `PUT`, or the OCI distribution API. Which bytes a name means is recorded in
//! `Module` objects alone, always through the client of whoever asks, so that the cluster's
//! authorization holds for images too.
//!
//! Owns: the image directory, image references, aliases, the OCI formats.
//! May import: `coracle_api`. Knows nothing of the store, the API server or the sandbox.

mod admit;
mod aliases;
mod collect;
mod digest;
mod error;
mod incoming;
mod manifest;
mod module;
mod provide;
mod recognise;
mod reference;
mod registry;
mod resolve;
mod store;
mod upload;

pub use collect::{Collected, collect};
pub use digest::Digest;
pub use error::{Error, ProvideError, ResolveError, Result};
pub use provide::provide;
pub use recognise::{Recognised, Refused, recognise};
pub use reference::{InvalidReference, Reference};
pub use registry::router;
pub use resolve::{Resolved, resolve};
pub use store::{Images, SIZE_LIMIT, Stored};
