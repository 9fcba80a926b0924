//! A deadline that is met nearly always.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// Tells when a deadline has passed.
///
/// The timer of one deadline serves for the next ones: it is set anew when it has run out, and not
/// for each of them.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready once the deadline has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() > until {
            timer.as_mut().reset(until);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= until {
                return Poll::Ready(());
            }
            timer.as_mut().reset(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_deadline_is_kept_whether_it_is_later_than_the_last_one_or_earlier() {
        let mut alarm = Alarm::default();
        let begin = Instant::now();

        for seconds in [10, 12, 30, 40] {
            let (much_later, later) = (seconds + 100, seconds + 50);
            for seconds in [much_later, later] {
                let until = begin + Duration::from_secs(seconds);
                let polled = poll_fn(|cx| Poll::Ready(alarm.poll(cx, until))).await;
                assert!(polled.is_pending());
            }
            let until = begin + Duration::from_secs(seconds);
            poll_fn(|cx| alarm.poll(cx, until)).await;

            assert_eq!(begin.elapsed(), Duration::from_secs(seconds));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_ran_out_between_two_deadlines_does_not_end_the_second() {
        let mut alarm = Alarm::default();
        let begin = Instant::now();
        let first = begin + Duration::from_secs(1);
        let polled = poll_fn(|cx| Poll::Ready(alarm.poll(cx, first))).await;
        assert!(polled.is_pending());

        tokio::time::advance(Duration::from_secs(5)).await;
        poll_fn(|cx| alarm.poll(cx, begin + Duration::from_secs(9))).await;

        assert_eq!(begin.elapsed(), Duration::from_secs(9));
    }
}
