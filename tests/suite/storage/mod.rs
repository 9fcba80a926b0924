//! What the disk may do to foreman, and what callers see of it.

mod power;
