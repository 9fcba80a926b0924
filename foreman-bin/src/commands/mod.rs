//! The commands of the program, one file each.

pub mod serve;

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod jobs;
pub(crate) mod queue;
pub(crate) mod submit;

mod error;
mod remote;

pub(crate) use check::Form;
pub(crate) use error::CommandError;
pub(crate) use remote::{RemoteCommand, ask};
