//! The youngest ready jobs of a line.

use std::collections::VecDeque;

/// How many are remembered of a line: as many as come in one request, so that a look at their
/// places needs no other.
const MOST: usize = 1024;

/// The places of the youngest ready jobs of a line; all from some place on.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    /// In their order.
    seqs: VecDeque<i64>,
    /// None from here on is missing.
    from: i64,
}

impl Recent {
    /// Knows of none before a place.
    pub(super) fn since(from: i64) -> Self {
        Self {
            seqs: VecDeque::new(),
            from,
        }
    }

    pub(super) fn add(&mut self, seq: i64) {
        if seq < self.from {
            return;
        }
        if self.seqs.back().is_none_or(|last| *last < seq) {
            self.seqs.push_back(seq);
        } else if let Err(place) = self.seqs.binary_search(&seq) {
            self.seqs.insert(place, seq);
        }
        if self.seqs.len() > MOST
            && let Some(forgotten) = self.seqs.pop_front()
        {
            self.from = forgotten.saturating_add(1);
        }
    }

    pub(super) fn remove(&mut self, seq: i64) {
        if self.seqs.front() == Some(&seq) {
            self.seqs.pop_front();
        } else if let Ok(place) = self.seqs.binary_search(&seq) {
            self.seqs.remove(place);
        }
    }

    /// Counts those from a place on; none where some of them may be missing.
    pub(super) fn count_from(&self, seq: i64) -> Option<u64> {
        if seq < self.from {
            return None;
        }
        let older = self.seqs.partition_point(|it| *it < seq);
        u64::try_from(self.seqs.len().saturating_sub(older)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_from_a_place_on_are_counted_in_whatever_order_they_came() {
        let mut recent = Recent::since(5);
        for seq in [3, 8, 6, 9, 6] {
            recent.add(seq);
        }
        let full = [5, 6, 7, 9, 10].map(|seq| recent.count_from(seq));
        recent.remove(8);
        recent.remove(3);

        assert_eq!(full, [Some(3), Some(3), Some(2), Some(1), Some(0)]);
        assert_eq!([4, 5].map(|seq| recent.count_from(seq)), [None, Some(2)]);
    }

    #[test]
    fn of_many_only_the_youngest_are_known() {
        let mut recent = Recent::default();
        let most = i64::try_from(MOST).unwrap();
        for seq in 1..=most + 2 {
            recent.add(seq);
        }

        assert_eq!(recent.count_from(2), None);
        assert_eq!(recent.count_from(3), u64::try_from(MOST).ok());
        assert_eq!(recent.count_from(most + 2), Some(1));
    }
}
