//! The stub at the wire: what it answers, byte for byte, over plain TCP.

mod client;
mod compat;
mod disconnect;
mod errors;
mod faults;
mod management;
mod native;
mod record;
mod residency;
