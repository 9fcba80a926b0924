//! Requests that are not what they seem, or no requests at all.

use super::attack::{Attack, CLOSED};

/// A request for a page that anybody may see, with lines of one's own.
fn lines(lines: &str) -> Vec<u8> {
    format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n").into_bytes()
}

/// A chat with lines and a body of one's own.
fn chat(lines: &str, body: &str) -> Vec<u8> {
    format!("POST /api/chat HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n{body}").into_bytes()
}

pub(super) fn attacks() -> Vec<Attack> {
    [
        no_http(),
        heads(),
        lengths(),
        chunks(),
        smuggling(),
        origins(),
    ]
    .concat()
}

fn no_http() -> Vec<Attack> {
    vec![
        Attack::new(
            "the hello of TLS",
            *b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            &[400],
        ),
        Attack::new(
            "the preface of HTTP/2",
            *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[400, CLOSED],
        ),
        Attack::new(
            "a version that does not exist",
            *b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
            &[400],
        ),
        Attack::new("a request line of noise", vec![b'\xff'; 4096], &[400]),
        Attack::new(
            "a request line without end",
            vec![b'A'; 200_000],
            &[400, 414, 431],
        ),
        Attack::new(
            "a control character in the path",
            *b"GET /\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            &[400],
        ),
        Attack::new(
            "a method of ten thousand letters",
            format!(
                "{} / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "INVENTED".repeat(1250)
            ),
            &[405],
        ),
        Attack::new(
            "a tunnel",
            *b"CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            &[400],
        ),
    ]
}

fn heads() -> Vec<Attack> {
    let many = "X: y\r\n".repeat(500);
    let huge = format!("X: {}", "y".repeat(1_000_000));
    let path = "a".repeat(100_000);
    vec![
        Attack::new("five hundred headers", lines(many.trim_end()), &[431]),
        Attack::new("a header of a megabyte", lines(&huge), &[431]),
        Attack::new(
            "a path of a hundred kilobytes",
            format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            &[414],
        ),
        Attack::new(
            "a header that goes on in the next line",
            lines("X: a\r\n b"),
            &[400],
        ),
        Attack::new("a space before the colon", lines("X : a"), &[400]),
        Attack::new("a header without a colon", lines("X"), &[400]),
        Attack::new("a header without a name", lines(": a"), &[400]),
        Attack::new("NUL in a header", lines("X: a\0b"), &[400]),
        Attack::new("a bare CR in a header", lines("X: a\rY: b"), &[400]),
        Attack::new("no host", *b"GET /healthz HTTP/1.1\r\n\r\n", &[400]),
        Attack::new("two hosts", lines("Host: evil.example"), &[400]),
        Attack::new(
            "an upgrade to HTTP/2",
            lines(
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
            ),
            &[200],
        ),
        Attack::new(
            "an expectation that nobody knows",
            chat("Expect: 200-ok\r\nContent-Length: 2", "{}"),
            &[400],
        ),
    ]
}

fn lengths() -> Vec<Attack> {
    vec![
        Attack::new(
            "two lengths that differ",
            chat("Content-Length: 2\r\nContent-Length: 3", "{}x"),
            &[400],
        ),
        Attack::new(
            "a list of lengths",
            chat("Content-Length: 2, 3", "{}x"),
            &[400],
        ),
        Attack::new(
            "a length with a sign",
            chat("Content-Length: +2", "{}"),
            &[400],
        ),
        Attack::new(
            "a negative length",
            chat("Content-Length: -2", "{}"),
            &[400],
        ),
        Attack::new(
            "a length in hexadecimal",
            chat("Content-Length: 0x2", "{}"),
            &[400],
        ),
        Attack::new(
            "a length beyond all numbers",
            chat("Content-Length: 18446744073709551616", "{}"),
            &[400],
        ),
        Attack::new(
            "a length of a gigabyte",
            chat("Content-Length: 1073741824", ""),
            &[413],
        ),
        Attack::new(
            "a gigabyte that asks first",
            chat("Expect: 100-continue\r\nContent-Length: 1073741824", ""),
            &[413],
        ),
        Attack::new(
            "a length as large as a number can be",
            chat("Content-Length: 18446744073709551615", ""),
            &[431],
        ),
    ]
}

fn chunks() -> Vec<Attack> {
    let chunked = |body: &str| chat("Transfer-Encoding: chunked", body);
    let extension = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(100_000));
    let trailers = format!("2\r\n{{}}\r\n0\r\n{}\r\n", "X: y\r\n".repeat(50_000));
    let piece = format!("100000\r\n{}\r\n", "x".repeat(0x10_0000));
    vec![
        Attack::new(
            "a chunk size that is no number",
            chunked("zz\r\n{}\r\n0\r\n\r\n"),
            &[400],
        ),
        Attack::new(
            "a negative chunk size",
            chunked("-2\r\n{}\r\n0\r\n\r\n"),
            &[400],
        ),
        Attack::new(
            "a chunk size beyond all numbers",
            chunked("ffffffffffffffffff\r\n{}"),
            &[400],
        ),
        Attack::new(
            "a chunk that is longer than it says",
            chunked("1\r\n{}\r\n0\r\n\r\n"),
            &[400],
        ),
        Attack::new(
            "a chunk size with a long story",
            chunked(&extension),
            &[400],
        ),
        Attack::new("trailers without end", chunked(&trailers), &[400]),
        Attack::new(
            "chunks beyond the largest body",
            chunked(&piece.repeat(9)),
            &[413],
        ),
        Attack::new(
            "an encoding that nobody knows",
            chat("Transfer-Encoding: xchunked", "2\r\n{}\r\n0\r\n\r\n"),
            &[400],
        ),
        Attack::new(
            "chunked, but not last",
            chat(
                "Transfer-Encoding: chunked, identity",
                "2\r\n{}\r\n0\r\n\r\n",
            ),
            &[400],
        ),
        Attack::new(
            "chunks in HTTP/1.0",
            *b"POST /api/chat HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            &[400],
        ),
    ]
}

/// The second request of each must never be answered.
fn smuggling() -> Vec<Attack> {
    let second = "GET /foreman/v1/queue HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let end = format!("0\r\n\r\n{second}");
    vec![
        Attack::new(
            "a length and chunks",
            chat(
                &format!(
                    "Content-Length: {}\r\nTransfer-Encoding: chunked",
                    end.len()
                ),
                &end,
            ),
            &[400],
        )
        .without("by_model"),
        Attack::new(
            "chunks and a length",
            chat(
                &format!(
                    "Transfer-Encoding: chunked\r\nContent-Length: {}",
                    end.len()
                ),
                &end,
            ),
            &[400],
        )
        .without("by_model"),
        Attack::new(
            "chunks twice",
            chat(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                &end,
            ),
            &[400],
        )
        .without("by_model"),
        Attack::new(
            "chunks behind a tab",
            chat("Transfer-Encoding:\tchunked\r\nContent-Length: 5", &end),
            &[400],
        )
        .without("by_model"),
        Attack::new(
            "a header that looks like one",
            chat(
                "Transfer_Encoding: chunked\r\nContent-Length: 5",
                "0\r\n\r\n",
            ),
            &[400],
        ),
        Attack::new(
            "a request in the rest of a refused body",
            chat("Content-Length: 1073741824", second),
            &[413],
        )
        .without("by_model"),
    ]
}

fn origins() -> Vec<Attack> {
    let from = |origin: &str| lines(&format!("Origin: {origin}"));
    vec![
        Attack::new("a name that leads here from elsewhere", *b"GET /api/tags HTTP/1.1\r\nHost: rebind.evil.example\r\n\r\n", &[403]),
        Attack::new("the same in the request line", *b"GET http://rebind.evil.example/api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n", &[403]),
        Attack::new("a name that ends like a local one", *b"GET /api/tags HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", &[403]),
        Attack::new("a web page from elsewhere", from("https://evil.example"), &[403]),
        Attack::new("a web page from nowhere", from("null"), &[403]),
        Attack::new("a web page whose name begins like a local one", from("http://localhost.evil.example"), &[403]),
        Attack::new("a question of a web page from elsewhere", *b"OPTIONS /api/chat HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n", &[403]).without("access-control-allow"),
    ]
}
