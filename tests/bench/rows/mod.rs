//! The rows of the table: what is measured.

mod alone;
mod blob;
mod chat;
mod depth;
mod embed;
mod stream;
mod submit;
mod waiting;

use std::pin::Pin;

use crate::Plan;
use crate::table::Figure;

/// The figures of one round.
type Round = Pin<Box<dyn Future<Output = Vec<Figure>>>>;

/// One row.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) measure: fn(Plan) -> Round,
}

/// All rows, in their order.
pub(crate) const ROWS: &[Row] = &[
    row("embed", |plan| Box::pin(embed::measure(plan))),
    row("chat-1", |plan| Box::pin(chat::one(plan))),
    row("chat-64", |plan| Box::pin(chat::many(plan))),
    row("stream-8", |plan| Box::pin(stream::paced(plan))),
    row("rested", |_| Box::pin(stream::rested())),
    row("stream-100k", |_| Box::pin(stream::unpaced())),
    row("submit-64", |plan| Box::pin(submit::single(plan))),
    row("arrays", |plan| Box::pin(submit::arrays(plan))),
    row("depth", |plan| Box::pin(depth::measure(plan))),
    row("waiting", |_| Box::pin(waiting::measure())),
    row("idle", |plan| Box::pin(alone::measure(plan))),
    row("blob", |_| Box::pin(blob::measure())),
];

/// Names all rows.
pub(crate) fn names() -> String {
    let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    names.join(", ")
}

const fn row(name: &'static str, measure: fn(Plan) -> Round) -> Row {
    Row { name, measure }
}
