//! The youngest ready jobs of a line.

use std::collections::vec_deque::{self, VecDeque};

use super::Spot;

/// How many are remembered of a line: as many as come in one request, so that a look at their
/// places needs no other.
const MOST: usize = 1024;

/// The youngest ready jobs of a line; all from some place on.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    /// In their order.
    spots: VecDeque<Spot>,
    /// None from here on is missing.
    from: i64,
}

impl Recent {
    /// Knows of none before a place.
    pub(super) fn since(from: i64) -> Self {
        Self {
            spots: VecDeque::new(),
            from,
        }
    }

    pub(super) fn add(&mut self, spot: Spot) {
        if spot.seq < self.from {
            return;
        }
        if self.spots.back().is_none_or(|last| last.seq < spot.seq) {
            self.spots.push_back(spot);
        } else if let Err(place) = self.find(spot.seq) {
            self.spots.insert(place, spot);
        }
        if self.spots.len() > MOST
            && let Some(forgotten) = self.spots.pop_front()
        {
            self.from = forgotten.seq.saturating_add(1);
        }
    }

    pub(super) fn remove(&mut self, seq: i64) {
        if self.spots.front().is_some_and(|first| first.seq == seq) {
            self.spots.pop_front();
        } else if let Ok(place) = self.find(seq) {
            self.spots.remove(place);
        }
    }

    /// Counts those from a place on; none where some of them may be missing.
    pub(super) fn count_from(&self, seq: i64) -> Option<u64> {
        u64::try_from(self.from(seq)?.len()).ok()
    }

    /// Returns those from a place on; none where some of them may be missing.
    pub(super) fn from(&self, seq: i64) -> Option<vec_deque::Iter<'_, Spot>> {
        if seq < self.from {
            return None;
        }
        let older = self.spots.partition_point(|it| it.seq < seq);
        Some(self.spots.range(older..))
    }

    fn find(&self, seq: i64) -> Result<usize, usize> {
        self.spots.binary_search_by_key(&seq, |spot| spot.seq)
    }
}

#[cfg(test)]
mod tests {
    use foreman_job::Timestamp;

    use super::*;

    fn spot(seq: i64) -> Spot {
        Spot {
            seq,
            created_at: Timestamp::from_millis(seq),
            expires_at: None,
        }
    }

    #[test]
    fn those_from_a_place_on_are_counted_in_whatever_order_they_came() {
        let mut recent = Recent::since(5);
        for seq in [3, 8, 6, 9, 6] {
            recent.add(spot(seq));
        }
        let full = [5, 6, 7, 9, 10].map(|seq| recent.count_from(seq));
        recent.remove(8);
        recent.remove(3);

        assert_eq!(full, [Some(3), Some(3), Some(2), Some(1), Some(0)]);
        let known = recent.from(5).unwrap().map(|it| it.seq);

        assert_eq!(known.collect::<Vec<_>>(), [6, 9]);
        assert_eq!([4, 5].map(|seq| recent.count_from(seq)), [None, Some(2)]);
    }

    #[test]
    fn of_many_only_the_youngest_are_known() {
        let mut recent = Recent::default();
        let most = i64::try_from(MOST).unwrap();
        for seq in 1..=most + 2 {
            recent.add(spot(seq));
        }

        assert_eq!(recent.count_from(2), None);
        assert_eq!(recent.count_from(3), u64::try_from(MOST).ok());
        assert_eq!(recent.count_from(most + 2), Some(1));
    }
}
