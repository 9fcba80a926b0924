//! The program dies at each of its points, and is started again.
//!
//! Each point is met by a request with and without a key, answered in a stream, in one piece, and
//! not waited for.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot be set up has failed"
)]

mod aftermath;
mod case;
mod death;

use foreman_cli::Point;
use rstest::rstest;

use case::Case;

#[rstest]
#[case::after_read_body("after_read_body")]
#[case::before_accept("before_accept")]
#[case::after_accept("after_accept")]
#[case::before_claim("before_claim")]
#[case::after_claim("after_claim")]
#[case::before_connect("before_connect")]
#[case::before_start("before_start")]
#[case::after_start("after_start")]
#[case::after_first_chunk("after_first_chunk")]
#[case::before_chunk("before_chunk")]
#[case::after_chunk("after_chunk")]
#[case::before_last_chunk("before_last_chunk")]
#[case::before_settle("before_settle")]
#[case::after_settle("after_settle")]
#[case::before_requeue("before_requeue")]
#[case::after_requeue("after_requeue")]
#[case::before_cancel("before_cancel")]
#[case::after_cancel("after_cancel")]
#[case::before_prune("before_prune")]
#[case::after_prune("after_prune")]
#[case::before_promote("before_promote")]
#[case::after_promote("after_promote")]
#[case::in_recovery_1("in_recovery_1")]
#[case::in_recovery_2("in_recovery_2")]
#[case::in_recovery_3("in_recovery_3")]
#[case::before_migrate("before_migrate")]
#[case::after_migrate("after_migrate")]
#[tokio::test]
async fn a_death_at_any_point_loses_nothing_and_does_nothing_twice(#[case] point: &str) {
    for case in Case::all_of(point) {
        let corpse = death::of(&case).await;
        aftermath::is_right(&case, corpse).await;
    }
}

#[test]
fn every_point_is_met() {
    let source = include_str!("main.rs");

    for point in Point::all() {
        let line = format!("#[case::{point}(\"{point}\")]");
        assert!(source.contains(&line), "{point}");
    }
}
