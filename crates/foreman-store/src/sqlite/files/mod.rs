//! The files of a database: where they lie, who may read them, who owns them, how much room is left.

mod lock;
mod place;
mod space;

pub(super) use lock::LockFile;
pub(super) use place::{Identity, Place};
pub(super) use space::Ballast;
pub use space::FreeSpace;
