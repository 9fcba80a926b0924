//! The worker that loads models one after the other, and the reaper of idle ones.

use std::{future::pending, sync::Arc, time::Duration};

use tokio::{sync::watch, time};

use super::{
    LoadFault, Refusal, Scheduler,
    state::{Pending, Step},
};
use crate::{model::Model, record::EvictionReason};

impl Scheduler {
    /// Works until it is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let (for_worker, for_reaper) = (self.changes.subscribe(), self.changes.subscribe());
        tokio::join!(self.work(for_worker), self.reap(for_reaper));
    }

    async fn work(self: &Arc<Self>, mut changes: watch::Receiver<u64>) {
        loop {
            let step = self.lock().step(&self.limits, self.clock.now());
            match step {
                Step::Wait => {
                    if changes.changed().await.is_err() {
                        return;
                    }
                }
                Step::Use(id, pending) => {
                    let lease = self.lease(&mut self.lock(), id, pending.ask.keep);
                    // A caller that left drops the lease here.
                    drop(pending.reply.send(Ok(lease)));
                }
                Step::Load(pending) => self.load(pending).await,
                Step::Left(runner, reason) => {
                    self.left(&runner, reason);
                    self.changed();
                }
            }
        }
    }

    /// Loads for one request; its caller's leaving aborts the load.
    async fn load(self: &Arc<Self>, mut pending: Pending) {
        if pending.reply.is_closed() {
            return;
        }
        let model = Arc::clone(&pending.ask.model);
        let options = pending.ask.options.effective(&model, self.limits.context);
        let id = self.lock().start_load(&pending, options, &self.limits);
        self.recorder.load(&model, pending.reason);
        let fault = pending.ask.fault.take();
        let outcome = tokio::select! {
            biased;
            () = pending.reply.closed() => None,
            outcome = self.loading(&model, fault) => Some(outcome),
        };
        let ready = matches!(outcome, Some(Ok(()))) && self.lock().loaded(id);
        if ready {
            let lease = self.lease(&mut self.lock(), id, None);
            drop(pending.reply.send(Ok(lease)));
        } else {
            let gone = self.lock().remove(id);
            if gone.is_some() {
                self.recorder.evicted(&model, EvictionReason::LoadAborted);
            }
            let lost = "llama-server process has terminated: signal: killed".to_owned();
            let error = outcome
                .and_then(Result::err)
                .unwrap_or(Refusal::LoadFailed(lost));
            drop(pending.reply.send(Err(error)));
        }
        self.changed();
    }

    async fn loading(&self, model: &Model, fault: Option<LoadFault>) -> Result<(), Refusal> {
        let spec = &model.spec;
        let mut length = spec.load_time.unwrap_or(self.limits.load_time);
        let mut result = Ok(());
        match fault {
            Some(LoadFault::Slow(more)) => length += more,
            Some(LoadFault::Fails(text)) => result = Err(Refusal::LoadFailed(text)),
            None => {}
        }
        if length > Duration::ZERO {
            time::sleep(length).await;
        }
        self.gates.pass_load(&spec.name, &model.name.short()).await;
        result
    }

    async fn reap(&self, mut changes: watch::Receiver<u64>) {
        loop {
            let (gone, next) = {
                let mut state = self.lock();
                (state.reap(time::Instant::now()), state.reaper)
            };
            for runner in &gone {
                let reason = runner.leaving.unwrap_or(EvictionReason::Expired);
                self.left(runner, reason);
            }
            if !gone.is_empty() {
                self.changed();
            }
            let due = async {
                match next {
                    Some(at) => time::sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                seen = changes.changed() => if seen.is_err() { return },
            }
        }
    }
}
