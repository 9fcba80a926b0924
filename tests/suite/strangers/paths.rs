//! Paths and queries that lead elsewhere, or nowhere.

use super::attack::Attack;

const JOBS: &str = "/foreman/v1/jobs";

pub(super) fn attacks() -> Vec<Attack> {
    [paths(), ids(), queries()].concat()
}

fn paths() -> Vec<Attack> {
    let bypass = |name, path: &str, expected| Attack::post(name, path, &[], b"{}", expected);
    vec![
        Attack::get("a path upwards", "/../../etc/passwd", 307),
        Attack::get("a path upwards, encoded", "/%2e%2e/%2e%2e/etc/passwd", 307),
        Attack::get(
            "a path upwards behind a broken sign",
            "/%zz/../../etc/passwd",
            404,
        ),
        Attack::get(
            "a line break for the header of a redirect",
            "//x%0d%0aSet-Cookie:%20a=b",
            307,
        )
        .without("\nSet-Cookie"),
        Attack::get(
            "a script for the page of a redirect",
            "//%3Cscript%3Ealert(1)%3C/script%3E",
            307,
        )
        .without("<script>"),
        bypass("a queued route with an encoded letter", "/api/%63hat", 400),
        bypass("a queued route with an encoded slash", "/api%2fchat", 400),
        bypass("a queued route with two slashes", "/api//chat", 307),
        bypass("a queued route by a way round", "/x/../api/chat", 307),
        bypass("a queued route with a slash at its end", "/api/chat/", 307),
        Attack::get("a page that is not there", "/foreman/v1/INVENTED", 404),
        Attack::get("the page of another time", "/foreman%2fv1%2fINVENTED", 404),
    ]
}

fn ids() -> Vec<Attack> {
    let id = |name, id: &str, expected| Attack::get(name, &format!("{JOBS}/{id}"), expected);
    vec![
        id("a job upwards", "..%2f..%2fetc%2fpasswd", 307),
        id(
            "a job that is two",
            "01J9Z3N6T5Q8W0V2X4Y6Z8A0BC%2foutput",
            404,
        ),
        id("a job with NUL", "01J9Z3N6T5Q8W0V2X4Y6Z8A0B%00", 400),
        id("a job of thirty kilobytes", &"0".repeat(30_000), 400),
        id(
            "a job beyond the end of time",
            "ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
            400,
        ),
        id(
            "a job with a statement for the database",
            "1'%20OR%20'1'='1",
            400,
        ),
        id("a job that nobody made", "01J9Z3N6T5Q8W0V2X4Y6Z8A0BC", 404),
    ]
}

fn queries() -> Vec<Attack> {
    let list = |name, query: &str| Attack::get(name, &format!("{JOBS}?{query}"), 400);
    let many: String = (0..9_000)
        .map(|n| format!("a{n}&"))
        .collect::<Vec<_>>()
        .concat();
    vec![
        list("nine thousand parameters", &many),
        list("a page of a thousand million jobs", "limit=1000000000"),
        list("a cursor that is none", "after=%27;DROP%20TABLE%20jobs"),
        list(
            "the cursor of another list",
            "after=ffffffffffffffffffffffff",
        ),
        list("a state that does not exist", "state=INVENTED"),
        list(
            "a model of thirty kilobytes",
            &format!("model={}", "x".repeat(30_000)),
        ),
        list("a parameter with a broken sign", "model=%zz"),
        Attack::get(
            "an event before the first",
            "/foreman/v1/jobs/01J9Z3N6T5Q8W0V2X4Y6Z8A0BC/stream?starting_after=-1",
            404,
        ),
        Attack::get(
            "a parameter where none is taken",
            "/foreman/v1/events?since=0",
            400,
        ),
    ]
}
