//! Every request of the tables, sent to the target and through foreman.

use std::collections::BTreeSet;

use foreman_tests::Pair;

use super::case::Case;
use super::differences::{EXPECTED_DIFFERENCES, check};
use super::{recorded, table, target};
use crate::foreman;

fn requests() -> Vec<Case> {
    let recorded = recorded::all().into_iter().map(|recorded| recorded.case);
    recorded.chain(table::all()).collect()
}

#[tokio::test]
async fn every_answer_through_foreman_is_the_targets_own() {
    let alone = target().start().await.unwrap();
    let Pair { stub, foreman } = Pair::start(target(), foreman()).await;
    let mut found = Vec::new();

    for case in requests() {
        let direct = case.ask(&alone.url()).await;
        let through = case.ask(foreman.url()).await;
        let what = direct.differences(&through);
        if !what.is_empty() {
            let detail = format!(
                "  direct\n{}\n  through\n{}",
                direct.shown(),
                through.shown()
            );
            found.push((case.id(), what, detail));
        }
    }

    check(EXPECTED_DIFFERENCES, found);
    drop(stub);
}

#[test]
fn the_tables_have_two_hundred_requests_on_every_route() {
    let requests = requests();
    let different: BTreeSet<String> = requests.iter().map(Case::id).collect();
    assert!(different.len() >= 200, "{} requests", different.len());
    for route in table::ROUTES {
        assert!(
            requests.iter().any(|case| {
                let path = case.path.split('?').next().unwrap();
                format!("{} {path}", case.method) == *route
            }),
            "nothing asks for {route}"
        );
    }
}
