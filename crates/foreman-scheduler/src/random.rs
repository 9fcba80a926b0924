//! Random numbers from a seed.

use std::sync::{Mutex, PoisonError};

use foreman_job::Random;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Random numbers from a seed: the same seed gives the same numbers.
#[derive(Debug)]
pub struct SeededRandom(Mutex<SmallRng>);

impl SeededRandom {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(SmallRng::seed_from_u64(seed)))
    }

    /// Starts from a seed that nobody knows.
    pub fn from_entropy() -> Self {
        Self::new(rand::random())
    }
}

impl Random for SeededRandom {
    fn next_u64(&self) -> u64 {
        let mut generator = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generator.next_u64()
    }
}
