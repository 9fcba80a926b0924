//! Where randomness comes in.

/// A source of random numbers, for ids and jitter.
///
/// It is a parameter everywhere, so that a test can repeat a run. It need not be
/// cryptographically strong: ids are names, not passwords.
pub trait Random: Send + Sync {
    /// Returns 64 random bits.
    fn next_u64(&self) -> u64;

    /// Returns a number from 0 (included) to 1 (excluded).
    fn unit(&self) -> f64 {
        // 32 bits are exact in an f64, and enough for jitter.
        let bits = u32::try_from(self.next_u64() >> 32).unwrap_or(u32::MAX);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}
