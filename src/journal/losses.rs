//! Losses that no other file of the journal can tell, because the disk is full: their room was taken at the start.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// The octets of a loss, padded with spaces.
const SLOT: usize = 512;

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

/// The file of losses: its octets are overwritten in place, which needs no room.
#[derive(Debug, Default)]
pub(super) struct Losses {
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    file: Option<File>,
    /// The sessions whose losses are in it, by their numbers.
    taken: Vec<Option<u64>>,
}

impl Losses {
    /// Opens the file, which is made if it is missing; returns what an earlier process noted and did not tell.
    ///
    /// # Errors
    /// When the file system fails; a disk that is full is no error: later losses have no room then.
    pub(super) fn open(path: &Path) -> io::Result<(Losses, Vec<Loss>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut found = Vec::new();
        let mut slot = [0; SLOT];
        for number in 0..SLOTS {
            if file.read_exact_at(&mut slot, offset(number)).is_err() {
                break;
            }
            found.extend(read(&slot));
        }
        let blank = vec![b' '; SLOT * SLOTS];
        let written = file.write_all_at(&blank, 0).and_then(|()| file.sync_all());
        let file = match written {
            Ok(()) => Some(file),
            Err(error) => {
                log::error!("journal: {}: {error}", path.display());
                None
            }
        };
        Ok((Losses { slots: Mutex::new(Slots { file, taken: vec![None; SLOTS] }) }, found))
    }

    /// Notes the loss of a session.
    ///
    /// # Errors
    /// When there is no room or the file system fails.
    pub(super) fn note(&self, session: u64, loss: &Loss) -> io::Result<()> {
        let mut slots = self.lock();
        let full = || io::Error::other("no room for more losses");
        let free = slots.taken.iter().position(Option::is_none).ok_or_else(full)?;
        let file = slots.file.as_ref().ok_or_else(full)?;
        file.write_all_at(&write(loss), offset(free))?;
        file.sync_data()?;
        slots.taken[free] = Some(session);
        Ok(())
    }

    /// Removes the note of a session: it is told.
    pub(super) fn forget(&self, session: u64) {
        let mut slots = self.lock();
        let Slots { file: Some(file), taken } = &mut *slots else { return };
        for (number, place) in taken.iter_mut().enumerate().filter(|(_, place)| **place == Some(session)) {
            match file.write_all_at(&[b' '; SLOT], offset(number)) {
                Ok(()) => *place = None,
                Err(error) => log::error!("journal: a loss may be told twice: {error}"),
            }
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

fn write(loss: &Loss) -> [u8; SLOT] {
    let mut slot = [b' '; SLOT];
    let mut length = TEXT_MAX;
    loop {
        let what: String = loss.what.chars().take(length).collect();
        let text = json!({ "router": loss.router, "source": loss.source, "what": what }).to_string();
        if let Some(room) = slot.get_mut(..text.len()) {
            room.copy_from_slice(text.as_bytes());
            return slot;
        }
        if length == 0 {
            // An identifier that is this long has no room.
            return slot;
        }
        length /= 2;
    }
}

fn read(slot: &[u8]) -> Option<Loss> {
    let value: Value = serde_json::from_slice(slot.trim_ascii()).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Loss { router: text("router"), source: text("source"), what: text("what")? })
}
