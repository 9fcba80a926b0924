//! Wrong input is refused in the target's words, and costs no model's time.

use foreman_tests::Pair;

use super::differences::{MALFORMED, check};
use super::{malformed, target};
use crate::foreman;

#[tokio::test]
async fn wrong_input_is_refused_in_the_targets_words_and_takes_no_slot() {
    let alone = target().start().await.unwrap();
    let Pair { stub, foreman } = Pair::start(target(), foreman()).await;
    let cases = malformed::all();
    assert!(cases.len() >= 60, "{} requests", cases.len());
    let (mut found, mut accepted, mut ran) = (Vec::new(), Vec::new(), Vec::new());
    let mut before = 0;

    for case in cases {
        let direct = case.ask(&alone.url()).await;
        let through = case.ask(foreman.url()).await;
        let what = direct.differences(&through);
        if direct.status < 400 {
            accepted.push(case.id());
        } else if !what.is_empty() {
            let detail = format!(
                "  direct\n{}\n  through\n{}",
                direct.shown(),
                through.shown()
            );
            found.push((case.id(), what, detail));
        }
        let counts = stub.counts();
        let used = counts.generations + counts.embeds + counts.loads;
        if used > before {
            ran.push(case.id());
        }
        before = used;
    }
    assert!(accepted.is_empty(), "not refused: {accepted:#?}");
    assert!(ran.is_empty(), "took a slot: {ran:#?}");

    check(MALFORMED, found);
}
