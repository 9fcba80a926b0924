//! All routes: which there are, and one handler per file.

mod audio;
mod blobs;
mod embed;
mod error;
mod handle;
mod infer;
mod manage;
mod models;
mod progress;
mod ps;
mod show;
mod table;
mod tags;
mod vector;

pub(crate) use blobs::upload;
pub(crate) use error::{error_body, missing_model};
pub(crate) use handle::handle;
pub(crate) use table::{Found, Route, find};
