//! What is done to the model and to the database.

use foreman_store::faulty::Fault;
use proptest::prelude::*;

use crate::pair::SLOTS;

/// What is done to both; jobs are named by how many were accepted before them.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Accept {
        model: u8,
        priority: usize,
        key: Option<(u8, u8)>,
        expires_in: Option<i64>,
    },
    Claim {
        slot: u32,
        resident: Vec<u8>,
        paused: Option<u8>,
    },
    Start {
        job: usize,
        late: bool,
    },
    Append {
        job: usize,
        late: bool,
        first: u64,
        events: usize,
    },
    Settle {
        job: usize,
        late: bool,
        outcome: usize,
        logged: bool,
    },
    Delete {
        job: usize,
    },
    Cancel {
        job: usize,
    },
    Due,
    Purge {
        bodies_age: i64,
        jobs_age: i64,
        limit: u32,
    },
    Note {
        value: u8,
    },
}

/// A step of a history.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Call(Call),
    Crash,
    Restart,
    /// Somebody sets the clock, forward or back.
    Clock {
        by: i64,
    },
    /// A call fails, and does nothing or all of it.
    Fails {
        call: Call,
        fault: Fault,
    },
    /// The process dies in the middle of something, and nobody hears what came of it.
    Cut {
        call: Call,
        /// How much of what it wrote is there afterwards, in 256ths; all of it: its commit too.
        written: u16,
    },
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => call().prop_map(Op::Call),
        1 => Just(Op::Crash),
        1 => Just(Op::Restart),
        1 => prop::sample::select(vec![-5_000_i64, -50, 50, 5_000]).prop_map(|by| Op::Clock { by }),
        2 => (call(), prop::sample::select(vec![Fault::Before, Fault::After])).prop_map(|(call, fault)| Op::Fails { call, fault }),
        2 => (call(), prop_oneof![Just(256_u16), 0..256_u16]).prop_map(|(call, written)| Op::Cut { call, written }),
    ]
}

/// One call of the store.
fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => (0..3_u8, 0..3_usize, prop::option::weighted(0.3, (0..3_u8, 0..2_u8)), prop::option::weighted(0.3, 0..30_i64))
            .prop_map(|(model, priority, key, expires_in)| Call::Accept { model, priority, key, expires_in }),
        6 => (0..SLOTS, prop::collection::vec(0..3_u8, 0..3), prop::option::weighted(0.2, 0..3_u8))
            .prop_map(|(slot, resident, paused)| Call::Claim { slot, resident, paused }),
        3 => (any::<prop::sample::Index>(), prop::bool::weighted(0.1)).prop_map(|(job, late)| Call::Start { job: job.index(20), late }),
        8 => (0..20_usize, prop::bool::weighted(0.1), 0..7_usize, prop::bool::weighted(0.9)).prop_map(|(job, late, outcome, logged)| Call::Settle { job, late, outcome, logged }),
        4 => (0..20_usize, prop::bool::weighted(0.1), 1..6_u64, 0..4_usize).prop_map(|(job, late, first, events)| Call::Append { job, late, first, events }),
        1 => (0..20_usize).prop_map(|job| Call::Delete { job }),
        3 => (0..20_usize).prop_map(|job| Call::Cancel { job }),
        3 => Just(Call::Due),
        2 => (0..20_i64, 0..40_i64, 1..4_u32).prop_map(|(bodies_age, jobs_age, limit)| Call::Purge { bodies_age, jobs_age, limit }),
        1 => any::<u8>().prop_map(|value| Call::Note { value }),
    ]
}
