//! The scheduler's rules, with paused time and without sockets.

use std::{future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

use futures_util::poll;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use super::*;
use crate::{
    clock::Clock,
    gate::{Gate, Gates, Hold},
    model::{Model, ModelSpec, Name},
    record::{EvictionReason, LoadReason, Record, RecordMode, Recorder},
};

const LOAD: Duration = Duration::from_secs(3);

/// A scheduler at work, with what it wrote down.
struct World {
    scheduler: Arc<Scheduler>,
    gates: Arc<Gates>,
    recorder: Arc<Recorder>,
    _tasks: JoinSet<()>,
}

impl World {
    fn new(max_loaded: usize, max_queue: usize) -> Self {
        let limits = Limits {
            max_loaded,
            parallel: 1,
            max_queue,
            load_time: LOAD,
            keep_alive: Keep::For(Duration::from_mins(5)),
            context: 4096,
            memory: None,
        };
        Self::with(limits)
    }

    fn with(limits: Limits) -> Self {
        let (gates, recorder) = (
            Arc::new(Gates::default()),
            Recorder::new(RecordMode::Full, None),
        );
        let (start, origin) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let clock =
            Clock::new(move || crate::clock::later(origin, start.elapsed().try_into().unwrap()));
        let scheduler = Scheduler::new(limits, clock, Arc::clone(&gates), Arc::clone(&recorder));
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&scheduler).run());
        Self {
            scheduler,
            gates,
            recorder,
            _tasks: tasks,
        }
    }

    async fn lease(&self, ask: &Ask) -> Lease {
        self.scheduler.acquire(ask).await.unwrap()
    }

    /// Takes a lease and gives it back.
    async fn touch(&self, ask: &Ask) {
        drop(self.lease(ask).await);
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .scheduler
            .resident()
            .iter()
            .map(|r| r.model.name.short())
            .collect();
        names.sort();
        names
    }

    fn record(&self) -> Record {
        self.recorder.snapshot()
    }

    /// Why the models were loaded.
    fn reasons(&self) -> Vec<LoadReason> {
        self.record().loads.iter().map(|load| load.reason).collect()
    }

    fn hold_load(&self, model: &str) -> Gate {
        self.gates.hold(Hold::load().for_model(model))
    }
}

fn ask(spec: ModelSpec) -> Ask {
    let name = Name::parse(spec.name()).unwrap();
    let model = Arc::new(Model {
        name,
        spec,
        modified: Timestamp::UNIX_EPOCH,
    });
    Ask {
        model,
        options: LoadOptions::default(),
        keep: None,
        fault: None,
    }
}

fn chat(name: &str) -> Ask {
    ask(ModelSpec::chat(name).trained_context(8192))
}

fn kept(ask: &Ask, keep: Keep) -> Ask {
    Ask {
        keep: Some(keep),
        ..ask.clone()
    }
}

fn ctx(ask: &Ask, num_ctx: i64) -> Ask {
    let options = LoadOptions {
        num_ctx: Some(num_ctx),
        ..LoadOptions::default()
    };
    Ask {
        options,
        ..ask.clone()
    }
}

/// Runs everything else until it waits, then polls once.
async fn settled<F: Future>(mut future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    for _ in 0..20 {
        if let Poll::Ready(output) = poll!(future.as_mut()) {
            return Poll::Ready(output);
        }
        tokio::task::yield_now().await;
    }
    Poll::Pending
}

fn seconds(n: u64) -> Keep {
    Keep::For(Duration::from_secs(n))
}

#[tokio::test(start_paused = true)]
async fn an_idle_model_goes_before_a_pinned_one() {
    let world = World::new(2, 512);
    let (embedder, a, b) = (chat("e"), chat("a"), chat("b"));

    world.touch(&kept(&embedder, Keep::Forever)).await;
    world.touch(&a).await;
    world.touch(&b).await;
    world.touch(&embedder).await;

    assert_eq!(world.names(), ["b:latest", "e:latest"]);
    let pinned = world.scheduler.resident().first().unwrap().expires;
    assert!(
        pinned > "2200-01-01T00:00:00Z".parse().unwrap(),
        "still pinned: {pinned}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pinned_idle_model_goes_when_the_other_is_busy_and_comes_back_unpinned() {
    let world = World::new(2, 512);
    let (embedder, a, b) = (chat("e"), chat("a"), chat("b"));
    world.touch(&kept(&embedder, Keep::Forever)).await;
    let busy = world.lease(&b).await;

    world.touch(&a).await;
    assert_eq!(world.names(), ["a:latest", "b:latest"]);
    drop(busy);
    world.touch(&embedder).await;

    let resident = world.scheduler.resident();
    let back = resident
        .iter()
        .find(|r| r.model.name.short() == "e:latest")
        .unwrap();
    assert!(back.expires < "1971-01-01T00:00:00Z".parse().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_only_those_who_need_a_load() {
    let world = World::new(1, 2);
    let (a, b) = (chat("a"), chat("b"));
    let busy = world.lease(&a).await;

    let (mut one, mut two, mut three) = (
        pin!(world.scheduler.acquire(&b)),
        pin!(world.scheduler.acquire(&b)),
        pin!(world.scheduler.acquire(&b)),
    );
    for waiting in [one.as_mut(), two.as_mut(), three.as_mut()] {
        assert!(settled(waiting).await.is_pending());
    }
    assert_eq!(
        world.scheduler.acquire(&b).await.unwrap_err(),
        Refusal::Busy
    );
    let resident = world.scheduler.acquire(&a).await;
    assert!(
        resident.is_ok(),
        "a loaded runner needs no place in the queue"
    );

    drop((busy, resident));
    let (one, two, three) = tokio::join!(one, two, three);
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
}

#[tokio::test(start_paused = true)]
async fn requests_that_left_keep_their_places_in_the_queue() {
    let world = World::new(1, 2);
    let (a, b) = (chat("a"), chat("b"));
    let busy = world.lease(&a).await;
    {
        let mut gone = [0, 1, 2].map(|_| Box::pin(world.scheduler.acquire(&b)));
        for waiting in &mut gone {
            assert!(settled(waiting.as_mut()).await.is_pending());
        }
    }

    assert_eq!(
        world.scheduler.acquire(&b).await.unwrap_err(),
        Refusal::Busy
    );
    drop(busy);
    tokio::task::yield_now().await;
    world.touch(&b).await;

    assert_eq!(world.record().loaded_models(), ["a:latest", "b:latest"]);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_during_a_load_aborts_it() {
    let world = World::new(1, 512);
    let b = chat("b");
    let began = Instant::now();
    let first = time::timeout(LOAD / 2, world.scheduler.acquire(&b));
    let (first, second) = tokio::join!(first, world.scheduler.acquire(&b));

    assert!(first.is_err(), "the first gave up");
    assert!(second.is_ok());
    assert_eq!(
        began.elapsed(),
        LOAD / 2 + LOAD,
        "the second starts from zero"
    );
    assert_eq!(world.record().counts.loads, 2);
    assert_eq!(world.record().counts.aborted_loads, 1);
}

#[tokio::test(start_paused = true)]
async fn a_model_is_resident_only_when_it_is_loaded() {
    let world = World::new(1, 512);
    let a = chat("a");
    let gate = world.hold_load("a");
    let mut loading = pin!(world.scheduler.acquire(&a));
    assert!(settled(loading.as_mut()).await.is_pending());

    let reached = async {
        gate.reached().await;
        assert_eq!(world.names(), [""; 0]);
        gate.release();
    };
    let (lease, ()) = tokio::join!(loading, reached);

    assert!(lease.is_ok());
    assert_eq!(world.names(), ["a:latest"]);
}

#[tokio::test(start_paused = true)]
async fn an_explicit_keep_alive_delays_a_swap_that_waits() {
    for (keep, expected) in [
        (None, LOAD),
        (Some(seconds(6)), Duration::from_secs(6) + LOAD),
    ] {
        let world = World::new(1, 512);
        let (a, b) = (chat("a"), chat("b"));
        let busy = world.lease(&a).await;
        let mut waiting = pin!(world.scheduler.acquire(&b));
        assert!(settled(waiting.as_mut()).await.is_pending());

        let again = world.lease(&Ask { keep, ..a.clone() }).await;
        drop((busy, again));
        let began = Instant::now();

        assert!(waiting.await.is_ok());
        assert_eq!(began.elapsed(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn traffic_for_the_loaded_model_starves_a_swap() {
    let world = World::new(1, 512);
    let (a, b) = (chat("a"), chat("b"));
    let mut held = world.lease(&a).await;
    let mut waiting = pin!(world.scheduler.acquire(&b));

    for _ in 0..40 {
        let next = world.lease(&a).await;
        held = next;
        assert!(settled(waiting.as_mut()).await.is_pending());
    }
    drop(held);

    assert!(waiting.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn load_options_that_differ_force_a_reload() {
    let world = World::new(1, 512);
    let a = chat("a");
    let with = |edit: fn(&mut LoadOptions)| {
        let mut ask = a.clone();
        edit(&mut ask.options);
        ask
    };
    let steps: [(Ask, Option<&str>); 14] = [
        (ctx(&a, 4096), None),
        (ctx(&a, 8192), Some("num_ctx")),
        (a.clone(), Some("num_ctx")),
        (with(|o| o.num_thread = Some(3)), Some("num_thread")),
        (a.clone(), Some("num_thread")),
        (with(|o| o.shift = Some(false)), Some("shift")),
        (a.clone(), Some("shift")),
        (with(|o| o.num_gpu = Some(0)), Some("num_gpu")),
        (with(|o| o.num_gpu = Some(-1)), None),
        (ctx(&a, 999_999), Some("num_ctx")),
        (ctx(&a, 8192), None),
        (a.clone(), Some("num_ctx")),
        (with(|o| o.use_mmap = Some(true)), Some("use_mmap")),
        (with(|o| o.num_batch = Some(1)), Some("num_batch")),
    ];
    world.touch(&a).await;
    let mut expected = vec![LoadReason::Cold];

    for (ask, reload) in steps {
        world.touch(&ask).await;
        expected.extend(reload.map(LoadReason::Reload));
        assert_eq!(world.reasons(), expected, "{:?}", ask.options);
    }
}

#[tokio::test(start_paused = true)]
async fn names_of_one_blob_share_a_runner() {
    let world = World::new(2, 512);
    let spec = ModelSpec::chat("a").trained_context(8192);
    let alias = ask(ModelSpec::alias_of(&spec, "copy"));
    let derived = ask(ModelSpec::derived_from(&spec, "persona"));
    let narrow = ask(ModelSpec::derived_from(&spec, "narrow").num_ctx(2048));

    for request in [&ask(spec), &alias, &derived] {
        world.touch(request).await;
    }
    assert_eq!(world.names(), ["a:latest"], "the name that loaded it");
    assert_eq!(world.record().counts.loads, 1);
    world.touch(&narrow).await;
    assert_eq!(
        world.reasons(),
        [LoadReason::Cold, LoadReason::Reload("num_ctx")]
    );

    world.scheduler.unload(&alias.model);
    assert_eq!(world.names(), [""; 0], "any name unloads it");
}

#[tokio::test(start_paused = true)]
async fn unloading_waits_for_those_who_hold_the_runner() {
    let world = World::new(1, 512);
    let a = chat("a");
    let (mut running, mut waiting) = (world.lease(&a).await, world.lease(&a).await);
    running.take_slot().await;

    world.scheduler.unload(&a.model);
    assert_eq!(
        world
            .scheduler
            .resident()
            .first()
            .unwrap()
            .expires
            .as_second(),
        3
    );
    drop(running);
    waiting.take_slot().await;
    assert_eq!(world.names(), ["a:latest"]);
    drop(waiting);

    assert_eq!(world.names(), [""; 0]);
    assert_eq!(
        world.record().evictions.first().unwrap().reason,
        EvictionReason::Unloaded
    );
}

#[tokio::test(start_paused = true)]
async fn idle_models_leave_when_their_keep_alive_ends() {
    let world = World::new(3, 512);
    world.touch(&kept(&chat("short"), seconds(10))).await;
    world.touch(&kept(&chat("long"), seconds(100))).await;
    world.touch(&kept(&chat("none"), Keep::NOTHING)).await;

    assert_eq!(world.names(), ["long:latest", "short:latest"]);
    time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.names(), ["long:latest"]);
    time::sleep(Duration::from_secs(100)).await;
    assert_eq!(world.names(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_runner_has_one_slot_after_the_other() {
    let world = World::new(1, 512);
    let a = chat("a");
    let (mut one, mut two) = (world.lease(&a).await, world.lease(&a).await);
    one.take_slot().await;

    {
        let mut waiting = pin!(two.take_slot());
        assert!(settled(waiting.as_mut()).await.is_pending());
        drop(one);
        assert!(settled(waiting.as_mut()).await.is_ready());
    }
}

#[tokio::test(start_paused = true)]
async fn little_memory_makes_room_until_the_model_is_alone() {
    let limits = Limits {
        memory: Some(100),
        ..World::new(3, 512).scheduler.limits.clone()
    };
    let world = World::with(limits);
    let sized = |name: &str, bytes| ask(ModelSpec::chat(name).size(bytes));

    world.touch(&sized("a", 30)).await;
    world.touch(&sized("b", 30)).await;
    assert_eq!(world.names().len(), 2);
    world.touch(&sized("c", 90)).await;

    assert_eq!(world.names(), ["c:latest"]);
    let reasons: Vec<_> = world.record().evictions.iter().map(|e| e.reason).collect();
    assert_eq!(reasons, [EvictionReason::MadeRoom; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_died_is_listed_until_it_is_asked_for_again() {
    let world = World::new(1, 512);
    let a = chat("a");

    world.lease(&a).await.crash();
    assert_eq!(world.names(), ["a:latest"]);
    assert_eq!(world.record().counts.evictions, 1);
    world.touch(&a).await;

    assert_eq!(world.names(), ["a:latest"]);
    let counts = world.record().counts;
    assert_eq!((counts.loads, counts.evictions), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_died_makes_room_like_any_other() {
    let world = World::new(1, 512);

    world.lease(&chat("a")).await.crash();
    world.touch(&chat("b")).await;

    assert_eq!(world.names(), ["b:latest"]);
    let reasons: Vec<_> = world.record().evictions.iter().map(|e| e.reason).collect();
    assert_eq!(reasons, [EvictionReason::Crashed]);
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_died_is_loaded_again_once_its_other_users_are_gone() {
    let world = World::new(1, 512);
    let a = chat("a");
    let other = world.lease(&a).await;
    world.lease(&a).await.crash();

    let again = world.scheduler.acquire(&a);
    tokio::pin!(again);
    assert!(futures_util::poll!(again.as_mut()).is_pending());
    drop(other);
    drop(again.await.unwrap());

    assert_eq!(world.record().counts.loads, 2);
}

#[tokio::test(start_paused = true)]
async fn a_load_may_fail_or_take_longer() {
    let world = World::new(1, 512);
    let a = chat("a");
    let failing = Ask {
        fault: Some(LoadFault::Fails("no".to_owned())),
        ..a.clone()
    };
    let slow = Ask {
        fault: Some(LoadFault::Slow(LOAD)),
        ..a.clone()
    };

    let refusal = world.scheduler.acquire(&failing).await.unwrap_err();
    assert_eq!(refusal, Refusal::LoadFailed("no".to_owned()));
    let began = Instant::now();
    world.touch(&slow).await;

    assert_eq!(began.elapsed(), LOAD * 2);
}

#[tokio::test(start_paused = true)]
async fn swaps_count_generating_models_only() {
    let world = World::new(2, 512);
    let embedder = ask(ModelSpec::embedding("e"));
    for request in [
        &chat("a"),
        &embedder,
        &chat("a"),
        &chat("b"),
        &embedder,
        &chat("a"),
    ] {
        world.touch(request).await;
    }

    assert_eq!(world.record().counts.swaps, 2);
}
