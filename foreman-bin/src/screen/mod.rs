//! What people see: tables, colours, times, a line that shows progress.

mod console;
mod progress;
mod table;
mod time;

pub(crate) use console::Console;
pub(crate) use progress::{StatusLine, bar};
pub(crate) use table::{Cell, Paint, Table};
pub(crate) use time::{age, between, brief, of_state};
