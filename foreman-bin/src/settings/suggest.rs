//! Finds the known name that a misspelt one was meant to be.

/// Returns the known name nearest to `word`, if one is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong, but never fewer than two.
    let limit = (word.chars().count() / 3).max(2);
    known
        .map(|name| (distance(word, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Counts the letters to insert, remove or change (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut left = line + 1;
        let mut next = vec![left];
        for ((wanted, diagonal), above) in to.chars().zip(&row).zip(row.iter().skip(1)) {
            let changed = diagonal + usize::from(letter != wanted);
            left = changed.min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("kitten", "sitting", 3)]
    #[case("", "abc", 3)]
    #[case("abc", "", 3)]
    #[case("same", "same", 0)]
    fn distance_counts_edits(#[case] from: &str, #[case] to: &str, #[case] edits: usize) {
        assert_eq!(distance(from, to), edits);
    }

    #[rstest]
    #[case("lisen", Some("listen"))]
    #[case("logformat", Some("log_format"))]
    #[case("retry_bsae", Some("retry_base"))]
    #[case("colour", None)]
    fn only_a_near_name_is_suggested(#[case] word: &str, #[case] name: Option<&str>) {
        let known = ["listen", "log_format", "retry_base", "retry_max"];

        assert_eq!(nearest(word, known.into_iter()), name);
    }
}
