//! HTTP/1.1 to the target: dialling, a small pool, one exchange at a time per connection.

mod alarm;
mod bell;
mod body;
mod client;
mod dial;
mod exchange;
mod failure;
mod names;
mod pool;
mod upload;

pub use client::HyperClient;
