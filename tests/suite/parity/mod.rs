//! What a caller sees through foreman is what it would see at the target.

mod case;
mod differences;
mod malformed;
mod mask;
mod recorded;
mod seen;
mod table;
mod through;
mod wrong;

use foreman_stub::{Clock, ModelSpec, StubBuilder};
use foreman_tests::stub;

/// The target of the recorded exchanges: names and abilities of its models.
fn target() -> StubBuilder {
    let now = || "2026-11-21T01:53:05.936473878Z".parse().unwrap();
    stub()
        .clock(Clock::new(now))
        .model(ModelSpec::chat("fakeA").with_tools().trained_context(8192))
        .model(ModelSpec::chat("fakeB").trained_context(8192))
        .model(ModelSpec::embedding("fakeE").dimensions(4))
        .model(
            ModelSpec::chat("fakeT")
                .with_tools()
                .with_thinking()
                .trained_context(8192),
        )
}
