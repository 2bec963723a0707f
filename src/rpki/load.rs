//! Asks the sources in their order for a set that is fresh.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use super::fetch::{Fetched, Fetcher, Validators, shown};
use super::formats;
use super::options::Options;
use super::set::VrpSet;
use super::slurm::Slurm;
use crate::model::Timestamp;
use crate::model::time::age;
use crate::store::rpki::SetState;

/// The largest file of local exceptions.
const SLURM_BYTES_MAX: u64 = 16 << 20;

/// The answer of a source.
#[derive(Debug)]
pub(super) enum Loaded {
    /// The set in force.
    Unchanged,
    /// Another set.
    Set(Box<VrpSet>),
}

/// Loads sets.
pub(super) struct Loader<'a> {
    options: &'a Options,
    fetcher: Fetcher,
    /// The set and the exceptions in force, as they were when they were taken.
    known: Option<Known>,
    /// The same of the set that was loaded last.
    loaded: Option<Known>,
}

/// A set as its source had it, and the exceptions at that time.
struct Known {
    source: String,
    validators: Validators,
    slurm: Vec<u8>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(options: &'a Options) -> Loader<'a> {
        Loader { options, fetcher: Fetcher::new(), known: None, loaded: None }
    }

    /// Returns the first source that answers and is fresh, for people, and what it gives.
    ///
    /// # Errors
    /// The fault of each of them, or of the local exceptions.
    pub(super) fn load(&mut self, state: &SetState) -> Result<(String, Loaded), String> {
        let bytes = self.options.slurm.as_deref().map(read_slurm).transpose()?.unwrap_or_default();
        let slurm = match &self.options.slurm {
            Some(path) => Slurm::parse(&bytes).map_err(|why| format!("{}: {why}", path.display()))?,
            None => Slurm::default(),
        };
        let mut wrong = Vec::new();
        for source in &self.options.sources {
            match self.try_source(source, &slurm, &bytes, state) {
                Ok(loaded) => return Ok((shown(source), loaded)),
                Err(why) => wrong.push(format!("{}: {why}", shown(source))),
            }
        }
        Err(wrong.join("; "))
    }

    /// Remembers the set that was loaded last as the one in force: its source is asked whether it has changed.
    pub(super) fn taken(&mut self) {
        self.known = self.loaded.take();
    }

    /// Lets the next set be loaded whatever its source says.
    pub(super) fn forget(&mut self) {
        self.known = None;
        self.loaded = None;
    }

    fn try_source(&mut self, source: &str, slurm: &Slurm, bytes: &[u8], state: &SetState) -> Result<Loaded, String> {
        let known = self.known.as_ref().filter(|known| known.source == source && known.slurm == bytes);
        let validators = known.map(|known| known.validators.clone()).unwrap_or_default();
        let (set, made, validators) = match self.fetcher.fetch(source, &validators)? {
            Fetched::Unchanged => {
                self.check_age(state.generated.unwrap_or(state.now), state.valid_until, state.now)?;
                return Ok(Loaded::Unchanged);
            }
            Fetched::Set { bytes, made, validators } => (formats::parse(&bytes)?, made, validators),
        };
        let set = VrpSet::of(set, &self.options.ignored, slurm, made, state.now)?;
        self.check_age(set.generated, set.valid_until, state.now)?;
        let is_of_another = state.source.as_deref().is_some_and(|in_force| in_force != shown(source));
        let is_older = set.is_generated_known && state.generated.is_some_and(|generated| set.generated < generated);
        if is_of_another && is_older && state.is_usable && state.held.is_none() {
            // The one before it in the list is away for a while: going back would undo ROAs.
            return Ok(Loaded::Unchanged);
        }
        self.loaded = Some(Known { source: source.to_owned(), validators, slurm: bytes.to_vec() });
        Ok(Loaded::Set(Box::new(set)))
    }

    fn check_age(&self, generated: Timestamp, valid_until: Option<Timestamp>, now: Timestamp) -> Result<(), String> {
        let micros = now.unix_micros().saturating_sub(generated.unix_micros());
        let old = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        if old >= self.options.max_age {
            return Err(format!("is too old: made {} ago", age(old)));
        }
        match valid_until.filter(|until| *until <= now) {
            Some(until) => Err(format!("is too old: valid until {}", until.to_utc())),
            None => Ok(()),
        }
    }
}

fn read_slurm(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(SLURM_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > SLURM_BYTES_MAX {
        return Err(format!("{}: is larger than {} MB", path.display(), SLURM_BYTES_MAX >> 20));
    }
    Ok(bytes)
}
