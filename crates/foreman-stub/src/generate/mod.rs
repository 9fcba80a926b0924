//! Generates text: what is said, at which pace, and how it ends.

mod checks;
mod directive;
mod plan;
mod run;
mod speaker;

pub(crate) use checks::{load_fault, refusal_status};
pub(crate) use run::run;
