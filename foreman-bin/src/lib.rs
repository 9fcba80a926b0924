//! The foreman program as a library: command line, settings, telemetry and exit codes.
//!
//! [`run`] is the whole program. [`run_from`] is the same program with its arguments, environment
//! and output handed in, so that it can be run inside a test. [`settings::load`] merges defaults,
//! file, environment and flags into [`settings::Settings`] and says where every value came from.
//! The crate holds no logic of the queue: it parses, wires and reports.
//!
//! ```
//! use foreman_cli::{Environment, Exit, Output, run_from};
//!
//! let (mut out, mut err) = (Vec::new(), Vec::new());
//! let mut output = Output { out: &mut out, err: &mut err };
//! let exit = run_from(["foreman", "--version"], &Environment::default(), &mut output);
//!
//! assert_eq!(exit, Exit::Ok);
//! assert!(out.starts_with(b"foreman "));
//! ```

pub mod commands;
pub mod settings;
pub mod telemetry;

mod args;
mod exit;
#[cfg(feature = "fail-points")]
mod fail_points;
mod program;
mod remote;
mod screen;

pub use args::{EmbeddedStub, ServeOptions};
pub use exit::Exit;
#[cfg(feature = "fail-points")]
pub use fail_points::{Fuse, NoSuchPoint, Point, Step};
pub use program::{Environment, Output, run, run_from};
pub use settings::settings_table;
pub use telemetry::Screen;
