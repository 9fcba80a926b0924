//! The models a stub has: how they are described, named and kept.

mod library;
mod name;
mod spec;

pub(crate) use library::{Library, Model};
pub(crate) use name::{Name, NameError, Reference, Source};
pub use spec::ModelSpec;
pub(crate) use spec::{Capability, hex, sha256_hex};
