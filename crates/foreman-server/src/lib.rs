//! The HTTP front of foreman on raw hyper: what callers see.
//!
//! A [`Server`] takes its [`ServerConfig`] and its [`Parts`], and serves a listener until its
//! [`Shutdown`]. Requests for work become jobs through the scheduler's handle; embeddings and
//! management pass through; lists come from the inventory. The server never claims or settles a
//! job, and never keeps one.
//!
//! ```
//! use foreman_job::Priority;
//! use foreman_server::{ServerConfig, TokenEntry};
//!
//! let config = ServerConfig {
//!     tokens: vec![TokenEntry::new("alice", "open sesame", Priority::Normal)],
//!     ..ServerConfig::default()
//! };
//! assert!(!format!("{config:?}").contains("sesame"));
//! ```
//!
//! The example `mount` serves in a program of one's own.

mod app;
mod auth;
mod caps;
mod changes;
mod config;
mod connection;
mod cors;
mod decode;
mod deliveries;
mod error;
mod fault;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod host;
mod interim;
mod io;
mod job_body;
mod job_routes;
mod json;
mod metrics;
mod query;
mod rate;
mod record;
mod request;
mod reserve;
mod response;
mod rests;
mod router;
mod routes;
mod server;
mod service;
mod shape;
mod target;
mod terms;
mod when_woken;

pub use config::{Interim, Rate, ServerConfig, TokenEntry};
pub use error::ServeError;
pub use foreman_scheduler::Shutdown;
pub use metrics::Metrics;
pub use record::REQUEST_LINES;
pub use server::{Parts, Server};
