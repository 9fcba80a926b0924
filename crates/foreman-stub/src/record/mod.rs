//! What a stub has seen: every request, load and eviction, and how much overlapped.

mod recorder;
mod ticket;
mod view;

pub(crate) use recorder::Recorder;
pub(crate) use ticket::{Kind, Opening, Running, Ticket};
pub use view::{
    Counts, End, Eviction, EvictionReason, Load, LoadReason, Record, RecordMode, RecordedBody,
    RequestRecord,
};
