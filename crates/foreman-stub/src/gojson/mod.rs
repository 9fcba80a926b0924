//! JSON as Go's `encoding/json` reads and writes it: its leniency, its error texts, its escapes.

mod decode;
mod parse;
mod value;
mod write;

pub(crate) use decode::{Decoder, GoError, GoType, folded};
pub(crate) use parse::{SyntaxError, first_value};
pub(crate) use value::{Node, Raw, Value, fold};
pub(crate) use write::{Obj, array, quote, quote_go};
