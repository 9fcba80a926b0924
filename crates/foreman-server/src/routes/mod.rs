//! The handlers, one file for each kind of route.

pub(crate) mod direct;
pub(crate) mod inventory;
pub(crate) mod jobs;
pub(crate) mod live;
pub(crate) mod openapi;
pub(crate) mod own;
pub(crate) mod ps;
pub(crate) mod queue;
pub(crate) mod queued;
mod replay;
mod unload;
mod waiting;
mod wish;
