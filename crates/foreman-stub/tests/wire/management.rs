//! Routes that never touch the scheduler.

use pretty_assertions::assert_eq;

use crate::client::{open, parse, post, rest, said, send, send_with, stub};

const JSON: &str = "Content-Type: application/json; charset=utf-8";

#[tokio::test]
async fn simple_routes_answer_like_ollama() {
    let stub = stub().await;
    for (method, path, expected) in [
        (
            "GET",
            "/",
            "200\nContent-Length: 17\nContent-Type: text/plain; charset=utf-8\n\nOllama is running",
        ),
        (
            "HEAD",
            "/",
            "200\nContent-Length: 17\nContent-Type: text/plain; charset=utf-8\n\n",
        ),
        (
            "GET",
            "/api/version",
            &format!("200\nContent-Length: 20\n{JSON}\n\n{{\"version\":\"0.33.0\"}}"),
        ),
        (
            "HEAD",
            "/api/version",
            &format!("200\nContent-Length: 20\n{JSON}\n\n"),
        ),
        (
            "GET",
            "/api/status",
            &format!(
                "200\nContent-Length: 42\n{JSON}\n\n{{\"cloud\":{{\"disabled\":true,\"source\":\"env\"}}}}"
            ),
        ),
        (
            "GET",
            "/api/ps",
            &format!("200\nContent-Length: 13\n{JSON}\n\n{{\"models\":[]}}"),
        ),
        (
            "POST",
            "/api/me",
            &format!("503\nContent-Length: 31\n{JSON}\n\n{{\"error\":\"account unavailable\"}}"),
        ),
    ] {
        assert_eq!(
            send(&stub, method, path, "").await.shown(),
            expected,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_refused_or_redirected() {
    let stub = stub().await;
    for (method, path, expected) in [
        (
            "GET",
            "/nope",
            "404\nContent-Length: 18\nContent-Type: text/plain\n\n404 page not found",
        ),
        (
            "POST",
            "/",
            "405\nAllow: HEAD, GET\nContent-Length: 22\nContent-Type: text/plain\n\n405 method not allowed",
        ),
        (
            "GET",
            "/api/chat",
            "405\nAllow: POST\nContent-Length: 22\nContent-Type: text/plain\n\n405 method not allowed",
        ),
        (
            "GET",
            "/api/tags/",
            "301\nContent-Length: 44\nContent-Type: text/html; charset=utf-8\nLocation: /api/tags\n\n\
             <a href=\"/api/tags\">Moved Permanently</a>.\n\n",
        ),
        (
            "POST",
            "/api/chat/",
            "307\nContent-Length: 0\nLocation: /api/chat\n\n",
        ),
        (
            "GET",
            "//api/tags",
            "307\nContent-Length: 45\nContent-Type: text/html; charset=utf-8\nLocation: /api/tags\n\n\
             <a href=\"/api/tags\">Temporary Redirect</a>.\n\n",
        ),
    ] {
        assert_eq!(
            send(&stub, method, path, "").await.shown(),
            expected,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn browsers_are_let_in_by_their_origin() {
    let stub = stub().await;
    let asks = "Access-Control-Request-Method: POST\r\n";
    let local = format!("Origin: http://localhost:3000\r\n{asks}");
    let evil = format!("Origin: http://evil.example\r\n{asks}");

    let preflight = send_with(&stub, "OPTIONS", "/api/chat", &local, "")
        .await
        .shown();
    assert!(
        preflight.starts_with("204\nAccess-Control-Allow-Headers: Authorization,Content-Type,")
    );
    assert!(preflight.ends_with(
        "\nAccess-Control-Allow-Methods: GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS\n\
         Access-Control-Allow-Origin: http://localhost:3000\nAccess-Control-Max-Age: 43200\n\
         Allow: POST\nVary: Access-Control-Request-Headers\nVary: Access-Control-Request-Method\n\
         Vary: Origin\n\n"
    ));
    let refused = send_with(&stub, "OPTIONS", "/api/chat", &evil, "").await;
    assert_eq!(refused.shown(), "403\nAllow: POST\nContent-Length: 0\n\n");
    let get = send_with(
        &stub,
        "GET",
        "/api/version",
        "Origin: http://localhost:3000\r\n",
        "",
    )
    .await;
    assert_eq!(
        get.header("Access-Control-Allow-Origin"),
        Some("http://localhost:3000")
    );
    assert_eq!(get.header("Vary"), Some("Origin"));
    let foreign = send_with(&stub, "GET", "/api/version", "Host: evil.example\r\n", "").await;
    assert_eq!(foreign.shown(), "403\nContent-Length: 0\n\n");
}

#[tokio::test]
async fn models_are_listed_shown_copied_and_deleted() {
    let stub = stub().await;

    let copied = post(
        &stub,
        "/api/copy",
        r#"{"source":"fakeA","destination":"x/fakeA2"}"#,
    )
    .await;
    assert_eq!(copied.shown(), "200\nContent-Length: 0\n\n");
    let tags = send(&stub, "GET", "/api/tags", "").await.body();
    assert!(tags.starts_with(r#"{"models":[{"name":"x/fakeA2:latest","model":"x/fakeA2:latest""#));
    assert!(
        tags.contains(r#""context_length":512,"embedding_length":2},"capabilities":["embedding"]"#)
    );
    let shown = post(&stub, "/api/show", r#"{"name":"fakeT"}"#).await;
    assert_eq!(shown.status, 200);
    assert!(
        shown
            .body()
            .contains(r#""capabilities":["tools","completion","thinking"]"#)
    );
    let agent = "User-Agent: GitHubCopilotChat/1.0\r\n";
    let shown = send_with(&stub, "POST", "/api/show", agent, r#"{"model":"fakeA"}"#).await;
    assert!(shown.body().contains(r#""general.basename":"fakeA""#));

    let delete = |name: &'static str| send(&stub, "DELETE", "/api/delete", name);
    let gone = delete(r#"{"model":"x/fakeA2"}"#).await;
    assert_eq!(gone.shown(), "200\nContent-Length: 0\n\n");
    let missing = delete(r#"{"model":"x/fakeA2"}"#).await;
    assert_eq!(missing.body(), r#"{"error":"model 'x/fakeA2' not found"}"#);
    assert_eq!(
        delete(r#"{"name":""}"#).await.body(),
        r#"{"error":"model is required"}"#
    );
    for (body, status, text) in [
        (
            r#"{"source":"nope","destination":"y"}"#,
            404,
            r#"{"error":"model \"nope\" not found"}"#,
        ),
        (
            r#"{"source":"","destination":"y"}"#,
            400,
            r#"{"error":"source \"\" is invalid"}"#,
        ),
    ] {
        assert_eq!(
            said(&stub, "/api/copy", body).await,
            (status, text.to_owned())
        );
    }
}

#[tokio::test]
async fn long_operations_report_their_progress() {
    let stub = stub().await;

    let pull = post(&stub, "/api/pull", r#"{"model":"fakeA"}"#).await;
    assert_eq!(pull.header("Content-Type"), Some("application/x-ndjson"));
    assert_eq!(
        pull.chunks.first().unwrap(),
        "{\"status\":\"pulling manifest\"}\n"
    );
    assert_eq!(pull.chunks.last().unwrap(), "{\"status\":\"success\"}\n");
    let missing = post(&stub, "/api/pull", r#"{"model":"nope"}"#).await;
    assert_eq!(missing.status, 200, "the failure came after the first line");
    assert!(
        missing
            .chunks
            .last()
            .unwrap()
            .starts_with("{\"error\":\"pull model manifest")
    );
    let whole = post(&stub, "/api/pull", r#"{"model":"nope","stream":false}"#).await;
    assert_eq!(
        (whole.status, whole.header("Content-Type")),
        (500, Some("application/json"))
    );
    let nameless = (400, r#"{"error":"invalid model name"}"#.to_owned());
    assert_eq!(said(&stub, "/api/pull", "{}").await, nameless);
    let push = post(&stub, "/api/push", r#"{"model":"nope"}"#).await;
    assert_eq!(push.chunks.len(), 3);
    assert!(
        push.chunks[2].contains("manifests/registry.ollama.ai/library/nope/latest: no such file")
    );
    let create = r#"{"model":"mine","from":"fakeA","system":"be kind"}"#;
    let create = post(&stub, "/api/create", create).await;
    assert_eq!(create.chunks.last().unwrap(), "{\"status\":\"success\"}\n");
    let shown = post(&stub, "/api/show", r#"{"model":"mine"}"#).await;
    assert!(shown.body().contains(r#""system":"be kind""#));
}

#[tokio::test]
async fn blobs_are_hashed_and_remembered() {
    let stub = stub().await;
    let digest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let path = format!("/api/blobs/{digest}");
    let zeros = "0".repeat(64);

    assert_eq!(send(&stub, "HEAD", &path, "").await.status, 404);
    let wrong = post(&stub, &format!("/api/blobs/sha256:{zeros}"), "x").await;
    assert_eq!(wrong.status, 400);
    let mismatch =
        format!(r#"{{"error":"digest mismatch, expected \"sha256:{zeros}\", got \"{digest}\""}}"#);
    assert_eq!(wrong.body(), mismatch);
    assert_eq!(post(&stub, &path, "x").await.status, 201);
    assert_eq!(post(&stub, &path, "x").await.status, 200);
    assert_eq!(send(&stub, "HEAD", &path, "").await.status, 200);
    let bad = send(&stub, "HEAD", "/api/blobs/sha256:zz", "").await;
    assert_eq!(bad.shown(), format!("400\nContent-Length: 33\n{JSON}\n\n"));
}

#[tokio::test]
async fn expect_continue_is_answered_and_old_clients_get_plain_bodies() {
    let stub = stub().await;

    let expecting = "Expect: 100-continue\r\n";
    let body = r#"{"model":"fakeA","messages":[]}"#;
    let mut stream = open(
        &stub,
        &crate::client::request("POST", "/api/chat", expecting, body),
    )
    .await;
    let (bytes, _) = rest(&mut stream).await;
    assert!(String::from_utf8_lossy(&bytes).starts_with("HTTP/1.1 100 Continue\r\n"));

    let body = r#"{"model":"fakeA","prompt":"hi"}"#;
    let old = format!(
        "POST /api/generate HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = open(&stub, &old).await;
    let (bytes, _) = rest(&mut stream).await;
    let answer = parse(&bytes, None);
    assert_eq!(answer.header("Transfer-Encoding"), None);
    assert_eq!(answer.body().lines().count(), 3);
}
