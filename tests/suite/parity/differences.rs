//! Where answers differ on purpose, with the reasons.

use super::seen::What;

/// A difference that is meant.
#[derive(Debug)]
pub(super) struct Difference {
    /// The request, by its id; a star at its end stands for any rest.
    pub(super) request: &'static str,
    /// `status`, `body`, `ending` or the name of a header.
    pub(super) what: &'static [&'static str],
    /// Why.
    pub(super) reason: &'static str,
}

const fn differs(
    request: &'static str,
    what: &'static [&'static str],
    reason: &'static str,
) -> Difference {
    Difference {
        request,
        what,
        reason,
    }
}

const INCOMPLETE: &str =
    "an answer without its last marker is no answer: foreman says so in a last line";
const MORE_HEADERS: &str = "foreman reads headers of its own, which pages must be allowed to send";

/// Where foreman's answers differ from the target's.
pub(super) const EXPECTED_DIFFERENCES: &[Difference] = &[
    differs(
        r#"POST /api/chat {"model":"fakeA","messages":[{"role":"user","content":"stub:nodone stub:tokens=2"}]}"#,
        &["body"],
        INCOMPLETE,
    ),
    differs(
        r#"POST /api/generate {"model":"fakeA","prompt":"stub:nodone stub:tokens=2"}"#,
        &["body"],
        INCOMPLETE,
    ),
    differs(
        r#"POST /v1/chat/completions {"model":"fakeA","stream":true,"messages":[{"role":"user","content":"stub:error-mid stub:tokens=5"}]}"#,
        &["body"],
        INCOMPLETE,
    ),
    differs(
        r#"POST /v1/chat/completions {"model":"fakeA","stream":true,"messages":[{"role":"user","content":"stub:nodone stub:tokens=2"}]}"#,
        &["body"],
        INCOMPLETE,
    ),
    differs(
        r#"POST /v1/completions {"model":"fakeA","prompt":"stub:error-mid stub:tokens=5","stream":true}"#,
        &["body"],
        INCOMPLETE,
    ),
    differs(
        r#"POST /v1/messages {"model":"fakeA","max_tokens":10,"stream":true,"messages":[{"role":"user","content":"stub:error-mid stub:tokens=5"}]}"#,
        &["body"],
        INCOMPLETE,
    ),
    differs(
        r#"POST /v1/responses {"model":"fakeA","stream":true,"input":"stub:error-mid stub:tokens=5"}"#,
        &["body"],
        INCOMPLETE,
    ),
    differs(
        "OPTIONS /api/chat [Origin: http://localhost:3000]*",
        &["access-control-allow-headers"],
        MORE_HEADERS,
    ),
    differs(
        "OPTIONS /api/tags [Origin: http://localhost:3000]*",
        &["access-control-allow-headers"],
        MORE_HEADERS,
    ),
    differs(
        "OPTIONS /v1/chat/completions [Origin: http://localhost:3000]*",
        &["access-control-allow-headers"],
        MORE_HEADERS,
    ),
    differs(
        "OPTIONS /api/show [Origin: http://localhost:3000]*",
        &["access-control-allow-headers"],
        MORE_HEADERS,
    ),
    differs(
        "OPTIONS /nope [Origin: http://localhost:3000]*",
        &["access-control-allow-headers"],
        MORE_HEADERS,
    ),
];

/// Where foreman refuses wrong input in other words than the target.
pub(super) const MALFORMED: &[Difference] = &[];

/// Where the stub's answers differ from the recorded ones.
pub(super) const RECORDED: &[Difference] = &[];

impl Difference {
    fn is_about(&self, request: &str) -> bool {
        match self.request.strip_suffix('*') {
            Some(start) => request.starts_with(start),
            None => self.request == request,
        }
    }
}

/// Compares what was found with what is expected: each found difference, and no other.
pub(super) fn check(expected: &[Difference], found: Vec<(String, Vec<What>, String)>) {
    let mut met = vec![0; expected.len()];
    let mut unexpected = Vec::new();
    for (request, what, detail) in found {
        let names: Vec<&str> = what.iter().map(What::name).collect();
        let known = expected
            .iter()
            .position(|difference| difference.is_about(&request) && difference.what == names);
        match known {
            Some(at) => met[at] += 1,
            None => unexpected.push(format!("{request}\n  {names:?}\n{detail}")),
        }
    }
    assert!(
        unexpected.is_empty(),
        "{} differences that nobody wants:\n{}",
        unexpected.len(),
        unexpected.join("\n\n")
    );
    let unmet = expected.iter().zip(met).filter(|(_, met)| *met == 0);
    let unmet: Vec<_> = unmet.map(|(difference, _)| difference).collect();
    assert!(unmet.is_empty(), "differences that are not met: {unmet:#?}");
    assert!(expected.iter().all(|it| !it.reason.is_empty()));
}
