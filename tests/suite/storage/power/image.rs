//! A disk as a loss of power leaves it.
//!
//! What was flushed is there. Of what was written since, any part may be: none, all, the first
//! part, or any writes in any order, and the last of them torn between two sectors. A name is there
//! once its directory was flushed; before, the directory may be as it was at any moment since.

use std::collections::BTreeMap;
use std::ops::Range;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::trace::{Call, DIRECTORY, Trace};

/// The unit in which a disk writes.
const SECTOR: usize = 512;

/// Whether the disk does what a flush asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushes {
    Obeyed,
    /// As with `synchronous=OFF`, or a disk that lies.
    Ignored,
}

/// The disk while calls come in.
pub(super) struct Disk<'t> {
    trace: &'t Trace,
    flushes: Flushes,
    files: Vec<File>,
    /// The files by their names, as the program sees them.
    names: BTreeMap<u8, usize>,
    /// The same as it is on the disk for sure.
    flushed: BTreeMap<u8, usize>,
    /// What was done to names since.
    renamed: Vec<(u8, Option<usize>)>,
}

#[derive(Default)]
struct File {
    flushed: Vec<u8>,
    since: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(u64, Range<usize>),
    Truncate(u64),
}

/// Random numbers that a seed repeats.
pub(super) struct Dice(SmallRng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// Returns a number below a bound, which is not zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.0.next_u64() % bound).unwrap()
    }
}

impl<'t> Disk<'t> {
    pub(super) fn new(trace: &'t Trace, flushes: Flushes) -> Self {
        Self {
            trace,
            flushes,
            files: Vec::new(),
            names: BTreeMap::new(),
            flushed: BTreeMap::new(),
            renamed: Vec::new(),
        }
    }

    pub(super) fn call(&mut self, call: &Call) {
        match call {
            Call::Create(name) => {
                self.files.push(File::default());
                let file = self.files.len() - 1;
                self.names.insert(*name, file);
                self.renamed.push((*name, Some(file)));
            }
            Call::Unlink(name) => {
                self.names.remove(name);
                self.renamed.push((*name, None));
            }
            Call::Write { file, offset, data } => {
                self.change(*file, Change::Write(*offset, data.clone()));
            }
            Call::Truncate { file, length } => self.change(*file, Change::Truncate(*length)),
            Call::Sync(_) if self.flushes == Flushes::Ignored => {}
            Call::Sync(DIRECTORY) => {
                for (name, file) in self.renamed.drain(..) {
                    apply(&mut self.flushed, name, file);
                }
            }
            Call::Sync(name) => {
                let file = &mut self.files[self.names[name]];
                for change in std::mem::take(&mut file.since) {
                    change.apply(&mut file.flushed, self.trace);
                }
            }
            Call::Mark(_) => {}
        }
    }

    fn change(&mut self, name: u8, change: Change) {
        self.files[self.names[&name]].since.push(change);
    }

    /// Returns the files that are there when power comes back.
    pub(super) fn cut(&self, dice: &mut Dice) -> BTreeMap<u8, Vec<u8>> {
        let mut names = self.flushed.clone();
        for (name, file) in &self.renamed[..dice.below(self.renamed.len() + 1)] {
            apply(&mut names, *name, *file);
        }
        let files = names.into_iter();
        files
            .map(|(name, file)| (name, self.files[file].cut(self.trace, dice)))
            .collect()
    }
}

impl File {
    fn cut(&self, trace: &Trace, dice: &mut Dice) -> Vec<u8> {
        let mut kept: Vec<Change> = match dice.below(4) {
            0 => Vec::new(),
            1 => self.since.clone(),
            2 => self.since[..dice.below(self.since.len() + 1)].to_vec(),
            _ => {
                let changes = self.since.iter();
                changes.filter(|_| dice.below(2) == 0).cloned().collect()
            }
        };
        if let Some(Change::Write(_, data)) = kept.last_mut() {
            let sectors = data.len() / SECTOR;
            data.end = data.start + dice.below(sectors + 1) * SECTOR;
        }
        let mut bytes = self.flushed.clone();
        for change in kept {
            change.apply(&mut bytes, trace);
        }
        bytes
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, trace: &Trace) {
        match self {
            Self::Truncate(length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
            Self::Write(offset, data) => {
                let data = trace.data(data);
                let start = usize::try_from(*offset).unwrap();
                let end = start + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[start..end].copy_from_slice(data);
            }
        }
    }
}

fn apply(names: &mut BTreeMap<u8, usize>, name: u8, file: Option<usize>) {
    match file {
        Some(file) => names.insert(name, file),
        None => names.remove(&name),
    };
}
