//! Bodies that are too deep, too many, too large once unpacked, or full of made-up names.

use super::attack::Attack;

const JOBS: &str = "/foreman/v1/jobs";

fn chat(name: &'static str, body: &[u8], expected: u16) -> Attack {
    Attack::post(name, "/api/chat", &[], body, expected)
}

fn job(name: &'static str, body: &str, expected: u16) -> Attack {
    Attack::post(name, JOBS, &[], body.as_bytes(), expected)
}

fn model(name: &'static str, model: &str, expected: u16) -> Attack {
    let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"x"}}]}}"#);
    chat(name, body.as_bytes(), expected)
}

pub(super) fn attacks() -> Vec<Attack> {
    [deep(), many(), names(), compressed(), forms(), terms()].concat()
}

fn deep() -> Vec<Attack> {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let keys = r#"{"a":"#.repeat(100_000);
    let inner = |levels| {
        let deep = nested(levels);
        format!(r#"{{"model":"llama3.2:1b","messages":[{{"role":"user","content":{deep}}}]}}"#)
    };
    let job_of = |field: &str, levels| {
        let deep = nested(levels);
        format!(r#"{{"endpoint":"/api/chat","request":{{"model":"x"}},"{field}":{{"a":{deep}}}}}"#)
    };
    vec![
        chat("arrays 10,001 deep", nested(10_001).as_bytes(), 400),
        chat(
            "arrays a million deep, never closed",
            "[".repeat(1_000_000).as_bytes(),
            400,
        ),
        chat("objects 100,000 deep, never closed", keys.as_bytes(), 400),
        chat("a message 9,000 deep", inner(9_000).as_bytes(), 400),
        chat("a message 100,000 deep", inner(100_000).as_bytes(), 400),
        Attack::post(
            "the same for another API",
            "/v1/chat/completions",
            &[],
            inner(100_000).as_bytes(),
            400,
        ),
        job("a submission a million deep", &"[".repeat(1_000_000), 400),
        job(
            "a request 100,000 deep in a submission",
            &job_of("request", 100_000),
            400,
        ),
        job("metadata 100,000 deep", &job_of("metadata", 100_000), 400),
        job("priority 100,000 deep", &job_of("priority", 100_000), 400),
        Attack::post(
            "a pause 100,000 deep",
            "/foreman/v1/queue/pause",
            &[],
            &[b"{\"model\":", "[".repeat(50_000).as_bytes()].concat(),
            400,
        ),
    ]
}

fn many() -> Vec<Attack> {
    let fields: String = "\"INVENTED\":1,".repeat(500_000);
    let digits = "9".repeat(1_000_000);
    let options = format!(
        r#"{{"model":"llama3.2:1b","messages":[{{"role":"user","content":"x"}}],"options":{{"num_ctx":{digits}}}}}"#
    );
    let lines = [("Content-Type", "application/x-ndjson")];
    vec![
        job(
            "two million jobs in an array",
            &format!("[{}{{}}]", "{},".repeat(2_000_000)),
            413,
        ),
        Attack::post(
            "two million jobs in lines",
            JOBS,
            &lines,
            &b"{}\n".repeat(2_000_000),
            413,
        ),
        job(
            "half a million fields of a submission",
            &format!("{{{fields}\"x\":1}}"),
            400,
        ),
        job(
            "metadata of a megabyte",
            &format!(
                r#"{{"endpoint":"/api/chat","request":{{}},"metadata":{{"a":"{}"}}}}"#,
                "x".repeat(1_000_000)
            ),
            400,
        ),
        chat(
            "half a million fields of a chat",
            format!("{{{fields}\"x\":1}}").as_bytes(),
            400,
        ),
        chat("an option of a million digits", options.as_bytes(), 400),
        chat(
            "a string that never ends",
            &[b"{\"model\":\"", "x".repeat(5_000_000).as_bytes()].concat(),
            400,
        ),
    ]
}

fn names() -> Vec<Attack> {
    vec![
        model("a model that is made up", "made-up", 404),
        model(
            "a model with a line of the log in its name",
            r"x\nINVENTED \u001b[31mERROR",
            400,
        ),
        model("a model with NUL in its name", r"x\u0000y", 400),
        model("a model that is a path", "../../../../etc/passwd", 400),
        model("a model of a megabyte", &"x".repeat(1_000_000), 400),
        model(
            "a model that says where to look",
            "http://169.254.169.254/latest/meta-data",
            404,
        ),
        chat(
            "a model that is no UTF-8",
            b"{\"model\":\"\xff\xfe\",\"messages\":[]}",
            400,
        ),
    ]
}

fn compressed() -> Vec<Attack> {
    let zstd = |name, body: &[u8]| {
        let headers = [
            ("Content-Encoding", "zstd"),
            ("Content-Type", "application/json"),
        ];
        Attack::post(name, "/v1/chat/completions", &headers, body, 400)
    };
    let gzip = [("Content-Encoding", "gzip")];
    vec![
        zstd(
            "ten gigabytes of spaces, packed",
            &frame(&[0x00, 0x58], 80_000),
        ),
        zstd("a window of a terabyte", &frame(&[0x00, 0xff], 4)),
        zstd(
            "a content size of an exabyte",
            &frame(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x10], 4),
        ),
        zstd(
            "a packed body that breaks off",
            &frame(&[0x00, 0x58], 80_000)[..1_000],
        ),
        zstd(
            "a packed body that is none",
            b"\x28\xb5\x2f\xfd\xff\xff\xff\xff",
        ),
        Attack::post(
            "another packing",
            "/v1/chat/completions",
            &gzip,
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
            400,
        ),
    ]
}

/// Makes a packed body: blocks that each stand for 128 KiB of spaces.
fn frame(head: &[u8], blocks: usize) -> Vec<u8> {
    let size = 128 * 1024_u32;
    let [low, middle, high, _] = ((size << 3) | (1 << 1)).to_le_bytes();
    let block = [low, middle, high, b' '];
    [b"\x28\xb5\x2f\xfd", head, block.repeat(blocks).as_slice()].concat()
}

fn forms() -> Vec<Attack> {
    let form = |name, kind: &str, body: &[u8]| {
        let headers = [("Content-Type", kind)];
        Attack::post(name, "/v1/audio/transcriptions", &headers, body, 400)
    };
    let long = format!("multipart/form-data; boundary={}", "b".repeat(30_000));
    let part = b"--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n";
    let head = format!(
        "--b\r\nContent-Disposition: form-data{}",
        "; a=b".repeat(200_000)
    );
    vec![
        form(
            "a form without a boundary",
            "multipart/form-data",
            b"--b--\r\n",
        ),
        form(
            "a form with an empty boundary",
            "multipart/form-data; boundary=\"\"",
            b"----\r\n",
        ),
        form("a form with a boundary of 30 KB", &long, b"--b--\r\n"),
        form(
            "a form of a hundred thousand parts",
            "multipart/form-data; boundary=b",
            &part.repeat(100_000),
        ),
        form(
            "a part with a head of a megabyte",
            "multipart/form-data; boundary=b",
            head.as_bytes(),
        ),
        form(
            "a form that never ends",
            "multipart/form-data; boundary=b",
            &part[..20],
        ),
    ]
}

fn terms() -> Vec<Attack> {
    let with = |name, header: &str, value: &str| {
        Attack::post(name, "/api/chat", &[(header, value)], b"{}", 400)
    };
    vec![
        with(
            "a key of 300 characters",
            "Idempotency-Key",
            &"k".repeat(300),
        ),
        with("a key with a tab", "Idempotency-Key", "a\tb"),
        with("a key that is no ASCII", "Idempotency-Key", "ключ"),
        with(
            "an expiry beyond the end of time",
            "X-Foreman-Expires-In",
            "999999999999y",
        ),
        with("an expiry in the past", "X-Foreman-Expires-In", "-5m"),
        with(
            "a priority that does not exist",
            "X-Foreman-Priority",
            "INVENTED",
        ),
        with(
            "a sign of life every nanosecond",
            "X-Foreman-Heartbeat",
            "1ns",
        ),
    ]
}
