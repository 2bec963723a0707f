//! Losses that are to be reported and are in no stream, which may be because the disk is full: their room was taken at
//! the start. Each stays until its row is committed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// The octets of a loss, padded with spaces.
const SLOT: usize = 512;

/// A slot without a loss.
const BLANK: [u8; SLOT] = [b' '; SLOT];

/// The losses that have room.
const SLOTS: usize = 256;

/// The longest text of a loss, characters.
const TEXT_MAX: usize = 256;

/// Input that is lost, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The router identifier, if it is known.
    pub router: Option<String>,
    /// The router's address, if it is known.
    pub source: Option<String>,
    /// The amount and the reason.
    pub what: String,
}

/// A loss that is to be reported, and its slot, if it has one.
pub(super) type Unreported = (Loss, Option<usize>);

/// The file of losses: its octets are overwritten in place, which needs no room.
#[derive(Debug, Default)]
pub(super) struct Losses {
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    file: Option<File>,
    /// True for each slot that has a loss or cannot be used.
    taken: Vec<bool>,
}

/// The note of a loss, which stays until its row is committed.
#[derive(Debug)]
pub struct LossNote {
    losses: Arc<Losses>,
    slot: usize,
}

impl LossNote {
    pub(super) fn new(losses: &Arc<Losses>, slot: usize) -> LossNote {
        LossNote { losses: Arc::clone(losses), slot }
    }

    /// Removes the note: the row is committed, or the input is not lost.
    pub fn forget(self) {
        self.losses.forget(self.slot);
    }
}

impl Losses {
    /// Opens the file, which is made if it is missing; returns what an earlier process noted and did not forget, with the
    /// slots, which stay taken.
    ///
    /// # Errors
    /// When the file cannot be opened; a disk that is full is no error: later losses have no room then.
    pub(super) fn open(path: &Path) -> io::Result<(Losses, Vec<Unreported>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let log = |error: io::Error| log::error!("journal: {}: {error}", path.display());
        let (mut found, mut taken) = (Vec::new(), Vec::new());
        for number in 0..SLOTS {
            let mut slot = [0; SLOT];
            let is_taken = match file.read_exact_at(&mut slot, offset(number)) {
                Ok(()) => read(&slot).map(|loss| found.push((loss, Some(number)))).is_some(),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
                // It may have a loss, which the next start may be able to read.
                Err(error) => {
                    log(error);
                    true
                }
            };
            // Without room for it, it has none for a loss.
            let is_usable = || slot == BLANK || file.write_all_at(&BLANK, offset(number)).map_err(log).is_ok();
            taken.push(is_taken || !is_usable());
        }
        file.sync_all().unwrap_or_else(log);
        Ok((Losses { slots: Mutex::new(Slots { file: Some(file), taken }) }, found))
    }

    /// Notes a loss; returns its slot.
    ///
    /// # Errors
    /// When there is no room or the file system fails.
    pub(super) fn note(&self, loss: &Loss) -> io::Result<usize> {
        let mut slots = self.lock();
        let full = || io::Error::other("no room for more losses");
        let free = slots.taken.iter().position(|is_taken| !is_taken).ok_or_else(full)?;
        let file = slots.file.as_ref().ok_or_else(full)?;
        // A cut identifier would be another router's: the source address says whose the loss is.
        let text = write(loss).or_else(|| write(&Loss { router: None, ..loss.clone() }));
        let text = text.ok_or_else(|| io::Error::other("the loss is too long for its slot"))?;
        file.write_all_at(&text, offset(free))?;
        file.sync_data()?;
        slots.taken[free] = true;
        Ok(free)
    }

    /// Removes the loss in a slot.
    fn forget(&self, slot: usize) {
        let mut slots = self.lock();
        let Some(file) = &slots.file else { return };
        match file.write_all_at(&BLANK, offset(slot)) {
            Ok(()) => slots.taken[slot] = false,
            Err(error) => log::error!("journal: a loss may be reported twice: {error}"),
        }
    }

    /// A panic elsewhere leaves it whole: a slot is set as a whole.
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn offset(slot: usize) -> u64 {
    u64::try_from(slot * SLOT).expect("a small number")
}

/// Returns the slot of a loss, whose text is cut to what fits; `None`: the identifier of its router is too long.
fn write(loss: &Loss) -> Option<[u8; SLOT]> {
    let mut slot = BLANK;
    let mut length = TEXT_MAX;
    loop {
        let what: String = loss.what.chars().take(length).collect();
        let text = json!({ "router": loss.router, "source": loss.source, "what": what }).to_string();
        if let Some(room) = slot.get_mut(..text.len()) {
            room.copy_from_slice(text.as_bytes());
            return Some(slot);
        }
        if length == 0 {
            return None;
        }
        length /= 2;
    }
}

fn read(slot: &[u8]) -> Option<Loss> {
    let value: Value = serde_json::from_slice(slot.trim_ascii()).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Loss { router: text("router"), source: text("source"), what: text("what")? })
}
