//! The inventory over good and bad times.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::advance;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::error::{ErrorKind, TargetError};
use crate::fake::{FakeOllama, FakeReply};
use crate::name::ModelName;

const TAGS: &str = r#"{"models":[
    {"name":"Llama3:latest","model":"Llama3:latest","digest":"d1","capabilities":["completion"]},
    {"name":"alias:latest","digest":"d1"},
    {"name":"big:120b-cloud","digest":"d2"},
    {"name":"stub:latest","digest":"d3","remote_host":"https://ollama.com","remote_model":"big"}]}"#;
const PS: &str = r#"{"models":[{"name":"Llama3:latest","digest":"d1",
    "expires_at":"2319-03-03T01:40:23.443958988Z"}]}"#;
const INTERVAL: Duration = Duration::from_secs(30);

struct Setup {
    fake: FakeOllama,
    inventory: Inventory,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Setup {
    fn new(seed: Option<InventorySnapshot>) -> Self {
        let fake = FakeOllama::new();
        fake.on("/api/tags", |_| FakeReply::json(StatusCode::OK, TAGS));
        fake.on("/api/ps", |_| FakeReply::json(StatusCode::OK, PS));
        let seconds = AtomicI64::new(0);
        let clock: WallClock = Arc::new(move || {
            Timestamp::from_second(seconds.fetch_add(1, Ordering::Relaxed)).unwrap()
        });
        let config = PollerConfig {
            interval: INTERVAL,
            deadline: Duration::from_secs(5),
        };
        let poller = Poller::new(Arc::new(fake.clone()), config, clock, seed);
        let inventory = poller.inventory();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(poller.run(stop.clone()));
        Self {
            fake,
            inventory,
            stop,
            tasks,
        }
    }

    fn refuse(&self) {
        self.fake
            .on("/api/version", |_| FakeReply::error(ErrorKind::Refused));
    }

    fn accept(&self) {
        self.fake
            .on("/api/version", |_| FakeReply::json(StatusCode::OK, "{}"));
    }

    fn polls(&self) -> usize {
        self.fake.requests_to("/api/version").len()
    }
}

fn name(text: &str) -> ModelName {
    ModelName::parse(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_first_poll_fills_the_inventory() {
    let setup = Setup::new(None);
    let mut changes = setup.inventory.subscribe();

    changes.changed().await.unwrap();

    let snapshot = setup.inventory.snapshot();
    assert_eq!(snapshot.tags.as_ref().unwrap().body, TAGS);
    assert_eq!(snapshot.lookup(&name("LLAMA3")).unwrap().digest, "d1");
    assert_eq!(snapshot.lookup(&name("nope")), None);
    assert!(snapshot.lookup(&name("stub")).unwrap().remote);
    assert!(snapshot.lookup(&name("big:120b-cloud")).unwrap().remote);
    assert!(!snapshot.lookup(&name("llama3")).unwrap().remote);
    assert!(snapshot.last_poll.is_some() && !snapshot.degraded);
    assert_eq!(snapshot.recoveries, 0);
}

#[tokio::test(start_paused = true)]
async fn an_alias_is_resident_through_what_is_behind_it() {
    let setup = Setup::new(None);

    let snapshot = setup.inventory.refresh().await.unwrap();

    assert!(snapshot.resident_as(&name("llama3")).unwrap().is_pinned());
    assert_eq!(snapshot.resident_as(&name("alias")).unwrap().digest, "d1");
    assert_eq!(snapshot.resident_as(&name("stub")), None);
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_target_keeps_what_is_known_and_says_so() {
    let setup = Setup::new(None);
    let known = setup.inventory.refresh().await.unwrap();
    setup.refuse();

    let error = setup.inventory.refresh().await.unwrap_err();

    let snapshot = setup.inventory.snapshot();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(snapshot.degraded && snapshot.since > known.since);
    assert_eq!(
        snapshot.last_error.as_deref(),
        Some("GET /api/version: connection refused")
    );
    assert_eq!(snapshot.models, known.models);
    assert_eq!(snapshot.tags, known.tags);
    assert_eq!(snapshot.last_poll, known.last_poll);
}

#[tokio::test(start_paused = true)]
async fn coming_back_is_counted_once() {
    let setup = Setup::new(None);
    setup.refuse();
    setup.inventory.refresh().await.unwrap_err();
    let lost = setup.inventory.snapshot();
    setup.inventory.refresh().await.unwrap_err();
    assert_eq!(setup.inventory.snapshot().since, lost.since);
    setup.accept();

    let back = setup.inventory.refresh().await.unwrap();
    let later = setup.inventory.refresh().await.unwrap();

    assert_eq!((back.recoveries, later.recoveries), (1, 1));
    assert!(!back.degraded && back.last_error.is_none());
    assert_eq!(back.since, later.since);
}

#[tokio::test(start_paused = true)]
async fn a_connection_failure_elsewhere_degrades_at_once() {
    let setup = Setup::new(None);
    setup.inventory.refresh().await.unwrap();
    let failure = |kind| TargetError::new(kind, "POST /api/chat");

    setup
        .inventory
        .note_unreachable(&failure(ErrorKind::IdleTimeout));
    assert!(!setup.inventory.snapshot().degraded);
    setup
        .inventory
        .note_unreachable(&failure(ErrorKind::ClosedBeforeHead));

    assert!(setup.inventory.snapshot().degraded);
    assert!(!setup.inventory.snapshot().models.is_empty());
}

#[tokio::test(start_paused = true)]
async fn polls_come_at_every_interval() {
    let setup = Setup::new(None);
    let mut changes = setup.inventory.subscribe();

    for polls in 1..4 {
        changes.changed().await.unwrap();
        assert_eq!(setup.polls(), polls);
        advance(INTERVAL).await;
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_together_share_one_poll_that_started_after_they_asked() {
    let setup = Setup::new(None);
    setup.inventory.refresh().await.unwrap();
    let before = setup.polls();
    let gate = Arc::new(Notify::new());
    let held = FakeReply::json(StatusCode::OK, "{}").when(Arc::clone(&gate));
    setup.fake.queue("/api/version", held);
    let mut asking = JoinSet::new();
    let ask = |asking: &mut JoinSet<_>| {
        let inventory = setup.inventory.clone();
        asking.spawn(async move { inventory.refresh().await.is_ok() });
    };

    ask(&mut asking);
    while setup.polls() == before {
        tokio::task::yield_now().await;
    }
    // The poll has started: these three are too late for it.
    for _ in 0..3 {
        ask(&mut asking);
    }
    tokio::task::yield_now().await;
    gate.notify_one();

    assert_eq!(asking.join_all().await, [true; 4]);
    assert_eq!(setup.polls(), before + 2);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_answers_nothing_is_out_of_reach_after_the_deadline() {
    let setup = Setup::new(None);
    setup.inventory.refresh().await.unwrap();
    let silence = FakeReply::json(StatusCode::OK, "{}").after(Duration::from_hours(1));
    setup.fake.queue("/api/version", silence);

    let error = setup.inventory.refresh().await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::FirstByteTimeout);
    assert!(setup.inventory.snapshot().degraded);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_list_of_models_does_not_replace_one() {
    let setup = Setup::new(None);
    let known = setup.inventory.refresh().await.unwrap();
    let broken = [
        FakeReply::json(StatusCode::OK, "<html>"),
        FakeReply::json(StatusCode::BAD_GATEWAY, TAGS),
    ];

    for reply in broken {
        setup.fake.queue("/api/tags", reply);
        let error = setup.inventory.refresh().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    }

    assert_eq!(setup.inventory.snapshot().models, known.models);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_the_openai_list_is_well() {
    let setup = Setup::new(None);
    let known = setup.inventory.refresh().await.unwrap();
    let missing = FakeReply::json(StatusCode::NOT_FOUND, "404 page not found");
    setup.fake.queue("/v1/models", missing);

    let snapshot = setup.inventory.refresh().await.unwrap();

    assert_eq!(snapshot.v1_models, known.v1_models);
}

#[tokio::test(start_paused = true)]
async fn the_inventory_survives_a_restart() {
    let first = Setup::new(None);
    let known = first.inventory.refresh().await.unwrap();
    let saved = known.to_bytes();

    let seed = InventorySnapshot::from_bytes(&saved).unwrap();
    let second = Setup::new(Some(seed));

    let restored = second.inventory.snapshot();
    assert_eq!(restored.tags, known.tags);
    assert_eq!(restored.version, known.version);
    assert_eq!(restored.v1_models, known.v1_models);
    assert_eq!(restored.models, known.models);
    assert_eq!(restored.last_poll, known.last_poll);
    assert!(restored.resident.is_empty(), "what is loaded is not known");
}

#[test]
fn bytes_from_elsewhere_are_no_inventory() {
    let format = InventorySnapshot::from_bytes(b"{}");
    let newer = InventorySnapshot::from_bytes(br#"{"version":2,"else":1}"#);

    assert!(matches!(format, Err(SnapshotError::Format(_))));
    assert!(matches!(newer, Err(SnapshotError::Version(2))));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_poller_ends_and_refuses_to_refresh() {
    let mut setup = Setup::new(None);
    setup.inventory.refresh().await.unwrap();

    setup.stop.cancel();

    assert!(setup.tasks.join_next().await.unwrap().is_ok());
    assert!(setup.inventory.refresh().await.is_err());
}
