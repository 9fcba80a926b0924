//! Odd bytes: what is an answer passes unchanged, what has no end is given up in little memory.

use bytes::Bytes;
use foreman_stub::{Fault, FaultRule};
use foreman_tests::{Pair, chat, chat_stream, eventually, stub};
use rstest::rstest;

use super::{answer_once, chats, ends_with_an_error, goes_on, stream};
use crate::{A, foreman};

const LINE: &str = r#"{"model":"m","message":{"role":"assistant","content":"a"},"done":false}"#;
const DONE: &str = r#"{"model":"m","message":{"role":"assistant","content":""},"done":true}"#;

#[rstest]
#[case::no_json(format!("!! not json {{\n{DONE}\n"))]
#[case::carriage_returns(format!("{LINE}\r\n{DONE}\r\n"))]
#[case::two_in_one_line(format!("{LINE}{DONE}\n"))]
#[case::no_newline_at_the_end(format!("{LINE}\n{DONE}"))]
#[case::zeroes(format!("{{\"x\":\"\0\0\"}}\n{DONE}\n"))]
#[case::empty_lines(format!("\n\n{LINE}\n\n{DONE}\n\n"))]
#[tokio::test]
async fn odd_lines_reach_the_caller_unchanged_and_the_job_is_done(#[case] said: String) {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    answer_once(&stub, stream(&said));

    let reply = foreman.post("/api/chat", &chat_stream(A, "hi")).await;

    assert_eq!((reply.status(), reply.text()), (200, said));
    assert!(reply.clean);
    assert_eq!(chats(&stub), 1);
    goes_on(&foreman).await;
}

#[tokio::test]
async fn text_that_is_not_unicode_reaches_the_caller_unchanged() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let said = [b"{\"x\":\"\xff\xfe\"}\n", format!("{DONE}\n").as_bytes()].concat();
    let mut pieces = stream("");
    pieces.push(Bytes::from(said.clone()));
    answer_once(&stub, pieces);

    let reply = foreman.post("/api/chat", &chat_stream(A, "hi")).await;

    assert_eq!(reply.chunks.concat(), said);
}

#[tokio::test]
async fn a_line_in_a_thousand_packets_arrives_as_one() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let long = LINE.replace("\"a\"", &format!("{:?}", "a".repeat(1000)));
    let mut pieces = stream("");
    pieces.extend(long.bytes().map(|byte| Bytes::from(vec![byte])));
    pieces.push(Bytes::from(format!("\n{DONE}\n")));
    answer_once(&stub, pieces);

    let reply = foreman.post("/api/chat", &chat_stream(A, "hi")).await;

    assert_eq!(reply.text(), format!("{long}\n{DONE}\n"));
    let whole = |chunk: &Vec<u8>| chunk.ends_with(b"\n");
    assert!(reply.chunks.iter().all(whole), "lines are not split");
}

#[rstest]
#[case::twice(format!("{LINE}\n{DONE}\n{DONE}\n"))]
#[case::data_after_it(format!("{LINE}\n{DONE}\n{LINE}\n"))]
#[case::an_error_after_it(format!("{LINE}\n{DONE}\n{{\"error\":\"late\"}}\n"))]
#[tokio::test]
async fn the_first_end_is_the_end(#[case] said: String) {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    answer_once(&stub, stream(&said));

    let reply = foreman.post("/api/chat", &chat_stream(A, "hi")).await;

    assert!(reply.clean);
    assert!(reply.text().starts_with(&format!("{LINE}\n{DONE}\n")));
    assert_eq!(chats(&stub), 1);
    let rows = rusqlite::Connection::open(foreman.database()).unwrap();
    let state: String = rows
        .query_row("SELECT state FROM jobs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(state, "done");
    goes_on(&foreman).await;
}

#[tokio::test]
async fn an_old_servers_answer_without_a_length_is_an_answer() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let old = |kind: &str, body: &str| {
        let head = format!("HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\n\r\n");
        vec![Bytes::from(head + body)]
    };
    answer_once(
        &stub,
        old("application/x-ndjson", &format!("{LINE}\n{DONE}\n")),
    );
    let lines = foreman.post("/api/chat", &chat_stream(A, "hi")).await;
    answer_once(&stub, old("application/json", DONE));
    let whole = foreman.post("/api/chat", &chat(A, "hi")).await;

    assert_eq!(lines.text(), format!("{LINE}\n{DONE}\n"));
    assert_eq!((whole.status(), whole.text().as_str()), (200, DONE));
    assert_eq!(chats(&stub), 2);
}

fn many_headers() -> Fault {
    let headers: Vec<_> = (0..10_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let headers = headers.concat();
    Fault::Raw(vec![Bytes::from(format!(
        "HTTP/1.1 200 OK\r\n{headers}\r\n"
    ))])
}

fn endless(first: &'static str, again: &'static str) -> Fault {
    Fault::RawWithoutEnd {
        first: Bytes::from_static(first.as_bytes()),
        again: Bytes::from(again.repeat(64 * 1024 / again.len())),
    }
}

const LINES: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n";

#[rstest]
#[case::many_headers(many_headers())]
#[case::an_endless_header(endless("HTTP/1.1 200 OK\r\nX: ", "y"))]
#[case::endless_headers(endless("HTTP/1.1 200 OK\r\n", "X: y\r\n"))]
#[tokio::test]
async fn a_head_without_measure_is_no_answer(#[case] fault: Fault) {
    let settings = foreman().set("MAX_ATTEMPTS", "2");
    let Pair { stub, foreman } = Pair::start(stub(), settings).await;
    let before = foreman.memory();
    let struck = stub.inject(FaultRule::always(fault).on_path("/api/chat"));

    let reply = foreman.post("/api/chat", &chat(A, "hi")).await;

    assert_eq!(reply.status(), 502);
    assert!(reply.json()["error"].is_string());
    assert!(foreman.memory() < before + (64 << 20));
    struck.remove();
    goes_on(&foreman).await;
}

#[rstest]
#[case::one_line(endless(LINES, "y"))]
#[case::of_lines(endless(LINES, "{\"message\":{\"content\":\"y\"},\"done\":false}\n"))]
#[tokio::test]
async fn a_body_without_measure_fails_its_job_in_bounded_memory(#[case] fault: Fault) {
    let settings = foreman().set("MAX_RUN", "3s").set("MAX_ATTEMPTS", "1");
    let Pair { stub, foreman } = Pair::start(stub(), settings).await;
    let struck = stub.inject(FaultRule::once(fault).on_path("/api/chat"));

    let reply = foreman.post("/api/chat", &chat(A, "hi")).await;

    assert_eq!(struck.hits(), 1);
    let refused = (500..600).contains(&reply.status());
    assert!(refused || ends_with_an_error(&reply), "{}", reply.status());
    assert!(reply.clean);
    assert!(foreman.memory() < 1 << 30, "{} bytes", foreman.memory());
    eventually("the slot to be free", || async {
        foreman.health().await["queue"]["running"].is_null()
    })
    .await;
    goes_on(&foreman).await;
}

#[tokio::test]
async fn a_chunk_that_is_no_chunk_ends_the_answer_with_an_error() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{:x}\r\n{LINE}\n\r\nzzz\r\n", LINE.len() + 1);
    answer_once(&stub, vec![Bytes::from(format!("{head}{chunk}"))]);

    let reply = foreman.post("/api/chat", &chat_stream(A, "hi")).await;

    assert!(reply.clean);
    assert!(ends_with_an_error(&reply) || reply.text().contains("echo: hi"));
    goes_on(&foreman).await;
}
