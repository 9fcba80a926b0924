//! Talks to a running foreman: where it is, what it is asked, what its answers mean.

mod answer_text;
mod client;
mod events;
mod job;
mod place;

pub(crate) use answer_text::AnswerText;
pub(crate) use client::{Remote, Waiting, query};
pub(crate) use events::{EventReader, JobEvent};
pub(crate) use job::{JobPage, JobView, Usage};
pub(crate) use place::{Place, RemoteArgs};
