//! What the end-to-end tests share: the real program, the stub and a client that sees every chunk.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that cannot be set up has failed"
)]

mod books;
mod crowd;
mod disk;
mod exchange;
mod process;
mod setup;
mod wait;

pub use books::{Books, Row};
pub use crowd::{Left, Waited, leave_at_once, wait_in_line};
pub use disk::Disk;
pub use exchange::{Exchange, Head, Reply, request};
pub use process::{Builder, Foreman, Log};
pub use setup::{Pair, chat, chat_stream, stub};
pub use wait::{DEADLINE, eventually, within};
