//! Room for connections and for the bodies that come over them.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::error::ApiError;
use crate::fault::Fault;
use crate::rests::Rests;
use crate::{Metrics, ServerConfig};

/// A connection in the reserve must send its head within this time: others wait for its place.
const HURRY: Duration = Duration::from_secs(3);
/// Who is asked to leave while nothing is asked of it does so at once.
const LEAVING: Duration = Duration::from_secs(1);
/// Memory is counted in pieces of so many bytes.
const PIECE: u64 = 1024;

/// The places for connections: ordinary ones, and a reserve for foreman's own pages.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    ordinary: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
}

/// The place of one connection; free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) kind: PlaceKind,
    _permit: Option<OwnedSemaphorePermit>,
}

/// A connection that has come, with the place that it has for now.
#[derive(Debug)]
pub(crate) struct Arrival {
    stream: TcpStream,
    place: Place,
    places: Places,
    rests: Rests,
}

/// What a connection may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaceKind {
    /// Anything.
    Ordinary,
    /// Foreman's own pages, once.
    Reserved,
}

impl Places {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self {
            ordinary: places(config.max_connections),
            reserve: places(config.reserved_connections),
        }
    }

    /// Waits for a place.
    pub(crate) async fn take(&self) -> Place {
        if let Some(place) = self.ordinary() {
            return place;
        }
        let (kind, permit) = tokio::select! {
            biased;
            permit = Arc::clone(&self.ordinary).acquire_owned() => (PlaceKind::Ordinary, permit),
            permit = Arc::clone(&self.reserve).acquire_owned() => (PlaceKind::Reserved, permit),
        };
        Place {
            kind,
            // Neither is ever closed.
            _permit: permit.ok(),
        }
    }

    /// Returns an ordinary place for a reserved one, if there is one by now.
    pub(crate) fn better(&self, place: Place) -> Place {
        match place.kind {
            PlaceKind::Ordinary => place,
            PlaceKind::Reserved => self.ordinary().unwrap_or(place),
        }
    }

    fn ordinary(&self) -> Option<Place> {
        let permit = Arc::clone(&self.ordinary).try_acquire_owned().ok()?;
        Some(Place {
            kind: PlaceKind::Ordinary,
            _permit: Some(permit),
        })
    }
}

impl Arrival {
    pub(crate) const fn new(stream: TcpStream, place: Place, places: Places, rests: Rests) -> Self {
        Self {
            stream,
            place,
            places,
            rests,
        }
    }

    /// Finds the place that the connection keeps. Where all ordinary ones are taken, the connection
    /// that rests longest is closed for it; only where none rests it stays in the reserve.
    #[expect(
        clippy::significant_drop_tightening,
        reason = "the place in the reserve is kept until there is a better one"
    )]
    pub(crate) async fn settle(self: Box<Self>, metrics: &Metrics) -> (TcpStream, Place, Rests) {
        let Self {
            stream,
            place,
            places,
            rests,
        } = *self;
        let place = places.better(place);
        if place.kind == PlaceKind::Ordinary {
            return (stream, place, rests);
        }
        let Some(vacated) = rests.make_room() else {
            return (stream, place, rests);
        };
        metrics.made_room();
        let vacated = timeout(LEAVING, vacated).await;
        let place = vacated.ok().and_then(Result::ok).unwrap_or(place);
        (stream, place, rests)
    }
}

impl PlaceKind {
    /// Returns how long a connection may take for the head of a request.
    pub(crate) fn patience(self, ordinary: Duration) -> Duration {
        match self {
            Self::Ordinary => ordinary,
            Self::Reserved => ordinary.min(HURRY),
        }
    }
}

/// The memory that bodies may hold until they are handed on.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<Semaphore>);

/// Memory that a body holds; given back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Held {
    permit: Option<OwnedSemaphorePermit>,
    pieces: u64,
}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Self {
        let pieces = usize::try_from(bytes / PIECE).unwrap_or(usize::MAX);
        Self(Arc::new(Semaphore::new(pieces.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes memory, so that so many bytes are held in all.
    pub(crate) fn hold(&self, held: &mut Held, bytes: u64) -> Result<(), ApiError> {
        let wanted = bytes.div_ceil(PIECE).saturating_sub(held.pieces);
        let more = u32::try_from(wanted).map_err(|_| no_room())?;
        match Arc::clone(&self.0).try_acquire_many_owned(more) {
            Ok(permit) => held.add(permit, wanted),
            Err(_) => return Err(no_room()),
        }
        Ok(())
    }
}

impl Held {
    fn add(&mut self, permit: OwnedSemaphorePermit, pieces: u64) {
        self.pieces = self.pieces.saturating_add(pieces);
        match &mut self.permit {
            Some(all) => all.merge(permit),
            none @ None => *none = Some(permit),
        }
    }
}

fn no_room() -> ApiError {
    let message = "too many large requests are read at once";
    ApiError::new(Fault::TooManyBodies, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(ordinary: usize, reserved: usize) -> Places {
        Places::new(&ServerConfig {
            max_connections: ordinary,
            reserved_connections: reserved,
            ..ServerConfig::default()
        })
    }

    #[tokio::test]
    #[expect(
        clippy::significant_drop_tightening,
        reason = "when a place is given back is what is looked at"
    )]
    async fn the_reserve_is_used_when_all_ordinary_places_are_taken_and_left_when_one_is_free() {
        let places = places(1, 1);

        let first = places.take().await;
        let second = places.take().await;
        let crowded = places.better(second);
        assert_eq!(
            (first.kind, crowded.kind),
            (PlaceKind::Ordinary, PlaceKind::Reserved)
        );
        drop(first);
        let moved = places.better(crowded);

        assert_eq!(moved.kind, PlaceKind::Ordinary);
        assert_eq!(places.take().await.kind, PlaceKind::Reserved);
    }

    #[test]
    fn who_has_a_reserved_place_must_hurry() {
        let patience = Duration::from_secs(10);

        assert_eq!(PlaceKind::Ordinary.patience(patience), patience);
        assert_eq!(PlaceKind::Reserved.patience(patience), HURRY);
        assert_eq!(
            PlaceKind::Reserved.patience(Duration::from_secs(1)),
            Duration::from_secs(1)
        );
    }

    #[test]
    fn memory_is_given_back_when_it_is_held_no_more() {
        let memory = Memory::new(10 * PIECE);
        let mut held = Held::default();
        memory.hold(&mut held, 5 * PIECE).unwrap();
        memory.hold(&mut held, 10 * PIECE).unwrap();

        let refused = memory.hold(&mut Held::default(), 1).unwrap_err();
        drop(held);

        assert_eq!((refused.status(), refused.code()), (503, "too_many_bodies"));
        assert!(memory.hold(&mut Held::default(), 10 * PIECE).is_ok());
    }
}
