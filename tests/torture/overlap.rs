//! How many chats the target worked on at once, by the life of foreman that sent them.
//!
//! Each life sends a token of its own. A chat of a life that was killed may end late: the target
//! has to notice that its connection is closed, and the next life does not know of it.

use std::collections::BTreeMap;
use std::thread;

use foreman_stub::{Record, RequestRecord, Stub};
use tokio::sync::oneshot;

/// One job runs at the target at a time.
const SLOTS: usize = 1;

/// The most chats that were open at the target at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// Whoever sent them.
    pub(crate) of_all: usize,
    /// Sent by one life.
    pub(crate) of_one_life: usize,
    /// Each life that had more open than there are slots, and what it sent then.
    pub(crate) faults: Vec<String>,
}

/// Returns the token that a life of foreman sends.
pub(crate) fn token(life: u64) -> String {
    format!("life-{life}")
}

/// Starts a stub that sees things in the order in which they happen: one thread does everything,
/// so that a request is never met before the end of a connection that was closed before it.
pub(crate) async fn watchful(builder: foreman_stub::StubBuilder) -> Stub {
    let (started, stub) = oneshot::channel();
    thread::Builder::new()
        .name("target".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let stub = builder.start().await.expect("a stub");
                if started.send(stub).is_ok() {
                    // It ends with the process.
                    std::future::pending::<()>().await;
                }
            });
        })
        .expect("a thread");
    stub.await.expect("a stub")
}

/// Counts what was open at once, from the arrival of each chat to its end.
pub(crate) fn count(record: &Record) -> Overlap {
    let chats: Vec<_> = record.on("/api/chat").collect();
    let mut lives: BTreeMap<&str, Vec<&RequestRecord>> = BTreeMap::new();
    for &chat in &chats {
        let life = chat.header("authorization").unwrap_or_default();
        lives.entry(life).or_default().push(chat);
    }
    let mut overlap = Overlap {
        of_all: most(&chats).len(),
        ..Overlap::default()
    };
    for (life, chats) in lives {
        let open = most(&chats);
        overlap.of_one_life = overlap.of_one_life.max(open.len());
        if open.len() > SLOTS {
            let open = open.iter().map(|chat| describe(chat));
            let open = open.collect::<Vec<_>>().join("; ");
            overlap.faults.push(format!("{life}: {open}"));
        }
    }
    overlap
}

/// Returns those of which the most were open at once. They are in the order of their arrival.
fn most<'a>(chats: &[&'a RequestRecord]) -> Vec<&'a RequestRecord> {
    let mut most = Vec::new();
    let mut open: Vec<&RequestRecord> = Vec::new();
    for &chat in chats {
        open.retain(|other| other.ended.is_none_or(|end| end > chat.arrived_stamp));
        open.push(chat);
        if open.len() > most.len() {
            most.clone_from(&open);
        }
    }
    most
}

fn describe(chat: &RequestRecord) -> String {
    let RequestRecord {
        order,
        connection,
        arrived_stamp,
        started,
        ended,
        end,
        chunks,
        ..
    } = chat;
    format!(
        "chat {order} on connection {connection}, arrived {arrived_stamp}, started {started:?}, \
         ended {ended:?} {end:?}, {chunks} chunks"
    )
}

#[cfg(test)]
mod tests {
    use foreman_stub::Hold;
    use foreman_tests::{Exchange, chat};

    use super::*;

    /// Opens one chat of each of two lives at the same time.
    async fn two_at_once(lives: [u64; 2]) -> Overlap {
        let stub = watchful(foreman_tests::stub()).await;
        let gate = stub.hold(Hold::before_first_token());
        let mut open = Vec::new();
        for life in lives {
            let life = token(life);
            let headers = [("Authorization", life.as_str())];
            let body = chat("llama3.2:1b", "hello");
            open.push(Exchange::post_with(&stub.url(), "/api/chat", &headers, &body).await);
        }
        stub.wait_for("both chats", |record| record.on("/api/chat").count() == 2)
            .await
            .unwrap();
        gate.release();
        for chat in open {
            chat.reply().await;
        }
        count(&stub.record())
    }

    #[tokio::test]
    async fn two_chats_of_one_life_at_once_are_a_fault() {
        let overlap = two_at_once([7, 7]).await;

        assert_eq!((overlap.of_all, overlap.of_one_life), (2, 2));
        assert_eq!(overlap.faults.len(), 1, "{overlap:?}");
    }

    #[tokio::test]
    async fn a_chat_that_outlives_the_life_that_sent_it_is_none() {
        let overlap = two_at_once([7, 8]).await;

        assert_eq!((overlap.of_all, overlap.of_one_life), (2, 1));
        assert_eq!(overlap.faults, Vec::<String>::new());
    }
}
