//! The settings: their names and defaults, where values come from, and what is wrong with them.
//!
//! [`load()`] merges four layers, the later over the earlier: defaults, the file `foreman.toml`, the
//! environment (`FOREMAN_*`) and the command line. It reads every value of every layer, so that one
//! run names all problems, and notes for each key where its value came from. Secrets are never part
//! of a message or a listing.

mod checks;
mod duration;
mod error;
mod keys;
mod layers;
mod load;
mod model;
mod parse;
mod place;
mod problem;
mod raw;
mod read;
mod size;
mod suggest;
#[cfg(test)]
mod tests;
mod tokens;

pub use duration::{format_duration, parse_duration};
pub use error::InvalidValue;
pub use keys::{DefaultValue, SETTINGS, SettingInfo, settings_table};
pub use load::{Input, Loaded, load};
pub use model::{
    Interim, QueueSettings, RetentionSettings, RetrySettings, Settings, TargetSettings,
};
pub use problem::{Problem, Source};
pub use read::Effective;
pub use size::ByteSize;
pub use tokens::{CallerRate, CallerToken, RateUnit};
