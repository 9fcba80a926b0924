//! Each call of the store fails once, before or after it did its work: nothing is lost, and nothing
//! that was finished is done again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use foreman_job::JobState;
use foreman_ollama::{FakeOllama, FakeReply, OllamaClient, Poller, PollerConfig, RecordedRequest};
use foreman_scheduler::{
    First, Metrics, NewRequest, Parts, Scheduler, SchedulerHandle, SeededRandom, Shutdown,
    Submitted, WhenCallerLeaves,
};
use foreman_store::faulty::{Fault, Faulty};
use foreman_store::{
    IdempotencyKey, JobFilter, LogEvent, MemoryStore, QueueStore, StoreHealth, Withdrawal,
};
use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::rig::*;

/// What callers ask for, each under a key of its own.
const PROMPTS: [&str; 6] = ["one", "two", "other", "retried", "followed", "never"];

/// Nothing here takes so long, however often the engine is started anew.
const STUCK: Duration = Duration::from_mins(10);

/// What outlives the engine: the stored jobs, the target, time, and what callers were told.
struct World {
    memory: Arc<MemoryStore>,
    fake: FakeOllama,
    clock: Arc<PausedClock>,
    random: Arc<SeededRandom>,
    /// The answer of each caller that was told one, and how often the target was asked until then.
    told: Mutex<BTreeMap<&'static str, (String, usize)>>,
}

impl World {
    fn new() -> Arc<Self> {
        let fake = FakeOllama::new();
        let failed = AtomicBool::new(false);
        fake.on("/api/chat", move |request| {
            if prompt(request) == "retried" && !failed.swap(true, Ordering::SeqCst) {
                return FakeReply::json(StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"boom"}"#);
            }
            slow_echo(request)
        });
        Arc::new(Self {
            memory: Arc::new(MemoryStore::new()),
            fake,
            clock: Arc::new(PausedClock::new()),
            random: Arc::new(SeededRandom::new(7)),
            told: Mutex::default(),
        })
    }

    /// Runs an engine over a store that fails, until every caller is told or the engine has ended.
    async fn live(self: &Arc<Self>, store: &Arc<Faulty>) {
        let client: Arc<dyn OllamaClient> = Arc::new(self.fake.clone());
        let wall = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
        let poller = Poller::new(Arc::clone(&client), PollerConfig::default(), wall, None);
        let parts = Parts {
            store: Arc::<Faulty>::clone(store),
            client,
            inventory: poller.inventory(),
            clock: Arc::<PausedClock>::clone(&self.clock),
            random: Arc::<SeededRandom>::clone(&self.random),
            metrics: Metrics::default(),
        };
        let scheduler = Scheduler::new(parts, config(), Shutdown::default());
        let handle = scheduler.handle();
        if scheduler.recover().await.is_err() {
            return;
        }
        let mut engine = JoinSet::new();
        engine.spawn(async move {
            poller.run(CancellationToken::new()).await;
            Ok(())
        });
        engine.spawn(scheduler.run());
        let mut callers = JoinSet::new();
        for name in PROMPTS {
            if !self.told.lock().unwrap().contains_key(name) {
                let caller = Arc::clone(self).ask(handle.clone(), name);
                callers.spawn(caller);
            }
        }
        let mut health = store.health();
        let failed = health.wait_for(|health| matches!(health, StoreHealth::Failed { .. }));
        tokio::select! {
            _ended = engine.join_next() => {}
            _failed = failed => {}
            () = async { while callers.join_next().await.is_some() {} } => {}
        }
    }

    /// Asks until there is an answer.
    async fn ask(self: Arc<Self>, handle: SchedulerHandle, name: &'static str) {
        loop {
            let answer = match name {
                "followed" => followed(&handle, name).await,
                "never" => cancelled(&handle, &self.clock, name).await,
                _ => waited(&handle, name).await,
            };
            if let Some(answer) = answer {
                let asked = self.asked(name);
                self.told.lock().unwrap().insert(name, (answer, asked));
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How often the target was asked for something.
    fn asked(&self, name: &str) -> usize {
        let requests = self.fake.requests_to("/api/chat");
        requests.iter().filter(|it| prompt(it) == name).count()
    }

    async fn judge(self: &Arc<Self>, what: &str) {
        // Whatever could still be done by mistake is done now.
        let store = Arc::new(Faulty::new(Arc::<MemoryStore>::clone(&self.memory)));
        self.live(&store).await;
        let told = self.told.lock().unwrap().clone();
        for name in PROMPTS {
            let (answer, asked) = &told[name];
            let right = if name == "never" { "" } else { name };
            assert!(answer.contains(right), "{what}: {name} was told {answer}");
            assert_eq!(self.asked(name), *asked, "{what}: {name} was run again");
        }
        assert_eq!(self.asked("never"), 0, "{what}");
        let all = self.memory.list(JobFilter::default(), None, 100).await;
        let mut states = BTreeMap::<_, usize>::new();
        for job in all.unwrap().jobs {
            *states.entry(job.progress.state.as_str()).or_default() += 1;
        }
        let right = BTreeMap::from([("cancelled", 1), ("done", PROMPTS.len() - 1)]);
        assert_eq!(states, right, "{what}");
    }
}

/// Repeats the prompt, and takes its time for it.
fn slow_echo(request: &RecordedRequest) -> FakeReply {
    let text = json!({"message": {"content": prompt(request)}, "done": false});
    let second = Duration::from_secs(1);
    let reply = FakeReply::ndjson(&[]).pause(second);
    let reply = reply.chunk(format!("{text}\n")).pause(second);
    reply.chunk(format!("{DONE}\n"))
}

fn keyed(name: &str) -> NewRequest {
    let model = if name == "other" { "b" } else { "a" };
    NewRequest {
        when_caller_leaves: WhenCallerLeaves::Finish,
        idempotency: Some(IdempotencyKey {
            scope: "s".to_owned(),
            key: name.to_owned(),
            request_hash: [1; 32],
        }),
        ..chat(model, name)
    }
}

/// Waits for an answer at the job; none where there is no whole one.
async fn waited(handle: &SchedulerHandle, name: &str) -> Option<String> {
    let ticket = match handle.submit(keyed(name)).await.ok()? {
        Submitted::New(ticket) | Submitted::Attached(ticket) => ticket,
        Submitted::Ended(job) => {
            assert_eq!(job.progress.state, JobState::Done);
            let answer = handle.store().answer(job.id).await.ok()??;
            return String::from_utf8(answer.chunks.concat()).ok();
        }
    };
    let First::Answer(_, mut output) = ticket.first().await else {
        return None;
    };
    let mut text = Vec::new();
    while let Some(chunk) = output.chunk().await {
        text.extend_from_slice(&chunk.ok()?);
    }
    String::from_utf8(text).ok()
}

/// Follows the log of the job to its end.
async fn followed(handle: &SchedulerHandle, name: &str) -> Option<String> {
    let made = handle.submit_detached(keyed(name)).await.ok()?;
    let mut follower = handle.follow(made.job.id, 0);
    let mut text = Vec::new();
    loop {
        let page = follower.next().await.ok()??;
        for entry in &page.entries {
            match &entry.event {
                LogEvent::Chunk(bytes) => text.extend_from_slice(bytes),
                LogEvent::Reset => text.clear(),
                LogEvent::End { state, .. } => assert_eq!(*state, JobState::Done),
                LogEvent::State(_) => {}
            }
        }
        if page.is_last() {
            return String::from_utf8(text).ok();
        }
    }
}

/// Cancels a job whose time has not come.
async fn cancelled(handle: &SchedulerHandle, clock: &PausedClock, name: &str) -> Option<String> {
    use foreman_job::Clock as _;
    let request = NewRequest {
        not_before: Some(clock.now().saturating_add(Duration::from_hours(1))),
        ..keyed(name)
    };
    let made = handle.submit_detached(request).await.ok()?;
    match handle.cancel(made.job.id).await.ok()? {
        Withdrawal::Cancelled(job) | Withdrawal::Final(job) => {
            Some(job.progress.state.as_str().to_owned())
        }
        Withdrawal::Requested(_) | Withdrawal::Unknown => None,
    }
}

/// Lets one call of the first life fail; returns how many calls it made, and which one failed.
async fn history(fault: Option<(u64, Fault)>) -> (u64, Option<&'static str>) {
    let world = World::new();
    let mut first = None;
    for _life in 0..4 {
        let store = Arc::new(Faulty::new(Arc::<MemoryStore>::clone(&world.memory)));
        if let (None, Some((after, fault))) = (&first, fault) {
            store.fail(after, fault);
        }
        let lived = timeout(STUCK, world.live(&store)).await;
        lived.unwrap_or_else(|_| panic!("{fault:?} at {:?}: callers wait", store.struck()));
        first.get_or_insert_with(|| (store.calls(), store.struck()));
        if world.told.lock().unwrap().len() == PROMPTS.len() {
            break;
        }
    }
    let (calls, struck) = first.unwrap();
    world.judge(&format!("{fault:?} at {struck:?}")).await;
    (calls, struck)
}

#[tokio::test(start_paused = true)]
async fn whichever_call_of_the_store_fails_nothing_is_lost_and_nothing_is_done_twice() {
    let (calls, none) = history(None).await;
    assert_eq!(none, None);
    for fault in [Fault::Before, Fault::After] {
        let mut struck = BTreeSet::new();
        for after in 0..calls {
            struck.extend(history(Some((after, fault))).await.1);
        }
        let all = [
            "accept",
            "append_events",
            "cancel",
            "claim",
            "due",
            "purge",
            "recover",
            "save_note",
            "settle",
            "start",
        ];
        assert_eq!(struck, BTreeSet::from(all), "{fault:?}");
    }
}
