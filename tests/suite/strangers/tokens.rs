//! Those who have no token, or somebody else's.

use super::attack::Attack;

pub(super) fn attacks() -> Vec<Attack> {
    [wrong(), pages()].concat()
}

fn wrong() -> Vec<Attack> {
    let with = |name, lines: &str| {
        let head = format!("GET /api/tags HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        Attack::new(name, head, &[401]).without("llama")
    };
    let long = format!("Authorization: Bearer {}\r\n", "t".repeat(50_000));
    vec![
        with("no token", ""),
        with("an empty token", "Authorization: Bearer \r\n"),
        with(
            "a token that is nearly right",
            "Authorization: Bearer token-of-anm\r\n",
        ),
        with(
            "the beginning of a token",
            "Authorization: Bearer token-of-an\r\n",
        ),
        with(
            "a token and more",
            "Authorization: Bearer token-of-annn\r\n",
        ),
        with(
            "a token in another case",
            "Authorization: Bearer TOKEN-OF-ANN\r\n",
        ),
        with(
            "a token of another scheme",
            "Authorization: Basic dG9rZW4tb2YtYW5u\r\n",
        ),
        with("a token of fifty kilobytes", &long),
        with(
            "a token that is no text",
            "Authorization: Bearer \u{fffd}\u{fffd}\r\n",
        ),
        with("the name of a caller", "X-Api-Key: ann\r\n"),
        with(
            "a wrong token before the right one",
            "Authorization: Bearer x\r\nX-Api-Key: token-of-ann\r\n",
        ),
        with(
            "what a proxy would say",
            "X-Forwarded-User: ann\r\nX-Forwarded-For: 127.0.0.1\r\n",
        ),
    ]
}

/// Pages that are not for everybody.
fn pages() -> Vec<Attack> {
    let chat = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n{";
    vec![
        Attack::get(
            "a token in the address",
            "/api/tags?token=token-of-ann&key=token-of-ann",
            401,
        ),
        Attack::get("figures without a token", "/metrics", 401),
        Attack::get("the queue without a token", "/foreman/v1/queue", 401),
        Attack::get("the changes without a token", "/foreman/v1/events", 401),
        Attack::get("a path past the open pages", "/healthz/../api/tags", 401),
        Attack::get(
            "an open page and an encoded way on",
            "/healthz%2f..%2fapi%2ftags",
            401,
        ),
        Attack::post(
            "a pause without a token",
            "/foreman/v1/queue/pause",
            &[],
            b"",
            401,
        ),
        Attack::new("a gigabyte without a token", *chat, &[401]),
    ]
}
