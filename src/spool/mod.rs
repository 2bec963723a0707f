//! The spool: what routers said while the database could not take it, on disk.
//!
//! Each session that needs it has a *stream*: a folder with the session's *context* and append-only *segments* of
//! `Chunk`s, the raw BMP messages as they were read. A stream can be decoded alone: the context says who the router is,
//! repeats its Initiation and live Peer Ups, names its tables and the ids of its recent events, all as they were before
//! the first chunk that is still there. Segments that the database has are removed, after the context was moved
//! forward.
//!
//! ```text
//! <state dir>/spool/lock
//! <state dir>/spool/<number>/context           replaced as a whole, by rename
//! <state dir>/spool/<number>/taken             the last chunk that the session was given
//! <state dir>/spool/<number>/<number>.segment  chunks, each with its checksum
//! ```
//!
//! Appended input survives the death of the process at once, and that of the machine after `SYNC_EVERY`: one thread
//! calls [`Spool::sync`] that often.

mod context;
mod record;
mod stream;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use context::Context;
pub(crate) use record::Chunk;
pub use stream::Stream;
pub(crate) use stream::{Piece, Taken};

use crate::model::Timestamp;
use crate::quarantine::RejectedFile as BoundedFile;

/// Appended input is safe from a crash of the machine after this time and the time that the disk takes.
pub(crate) const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The default limit of the spool in bytes.
const DEFAULT_BYTES_MAX: u64 = 20 << 30;

/// The bytes written to test whether a disk accepts writes again.
const PROBE_BYTES: usize = 64 << 10;

/// The folder of all streams, and how much they may take.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    bytes_max: u64,
    first_number: u64,
    counters: Counters,
    /// A chunk was turned away, and nothing has been read back since.
    is_full: AtomicBool,
    inner: Mutex<Inner>,
    /// Held while the process lives: two of them in one folder would replay each other's streams.
    _lock: Option<File>,
}

#[derive(Debug, Default)]
struct Inner {
    /// When the oldest chunk of each stream was received.
    oldest: BTreeMap<u64, Timestamp>,
    /// Files with bytes that may not be on the disk yet.
    unsynced: Vec<Arc<File>>,
    /// Why the disk did not take what was written last.
    trouble: Option<String>,
    /// Streams that could not be read at the start.
    unreadable: Vec<String>,
}

/// The contents of the spool and counters of its events, for metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes on the disk.
    pub bytes: AtomicU64,
    /// Segment files on the disk.
    pub segments: AtomicU64,
    /// Streams on the disk.
    pub streams: AtomicU64,
    /// Chunks appended since the start.
    pub(crate) appended: AtomicU64,
    /// Bytes appended since the start.
    pub(crate) appended_bytes: AtomicU64,
    /// Chunks read back since the start.
    pub replayed: AtomicU64,
    /// Bytes that could not be read back since the start.
    pub(crate) damaged_bytes: AtomicU64,
    /// The number of times that input of a session was lost.
    pub gaps: AtomicU64,
    /// The number of times that the disk refused a write.
    pub(crate) write_errors: AtomicU64,
}

/// Why the spool does not take a chunk.
#[derive(Debug)]
pub enum SpoolError {
    /// It is as large as it may get, bytes.
    Full(u64),
    /// The file system says no.
    Io(io::Error),
    /// The session's Peer Ups are too many to be repeated in front of it, so it could not be read alone.
    Preamble,
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpoolError::Full(max) => write!(f, "the spool is full ({max} bytes, RIB_INGESTER_SPOOL_MAX_BYTES)"),
            SpoolError::Io(error) => write!(f, "the spool cannot be written: {error}"),
            SpoolError::Preamble => f.write_str("the session's Peer Ups are too large for the spool"),
        }
    }
}

impl std::error::Error for SpoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SpoolError::Full(_) | SpoolError::Preamble => None,
            SpoolError::Io(error) => Some(error),
        }
    }
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> SpoolError {
        SpoolError::Io(error)
    }
}

impl Spool {
    /// Returns a spool that accepts nothing.
    pub fn off() -> Arc<Spool> {
        let (counters, inner) = (Counters::default(), Mutex::default());
        Arc::new(Spool {
            folder: PathBuf::new(),
            bytes_max: 0,
            first_number: 1,
            counters,
            is_full: AtomicBool::new(false),
            inner,
            _lock: None,
        })
    }

    /// The spool in `folder`, which is made if it is missing, and the streams that an earlier process left there,
    /// oldest first. It may take `bytes_max`; by default the smaller of 20 GiB and a fifth of what is free. 0: it takes
    /// nothing new.
    ///
    /// # Errors
    /// When the file system fails; `WouldBlock`: another process uses it.
    pub fn open(folder: &Path, bytes_max: Option<u64>) -> io::Result<(Arc<Spool>, Vec<Stream>)> {
        fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.try_lock().map_err(io::Error::from)?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        let bytes_max = match bytes_max {
            Some(max) => max,
            None => DEFAULT_BYTES_MAX.min(free_bytes(folder)? / 5),
        };
        let spool = Arc::new(Spool {
            folder: folder.to_owned(),
            bytes_max,
            first_number: numbers.last().map_or(1, |last| last + 1),
            counters: Counters::default(),
            is_full: AtomicBool::new(false),
            inner: Mutex::default(),
            _lock: Some(lock),
        });
        let mut left = Vec::new();
        for number in numbers {
            let folder = spool.folder_of(number);
            match Stream::recover(&spool, number) {
                Ok(Some(stream)) => left.push(stream),
                // A process ended between making the folder and writing its context: nothing was in it.
                Ok(None) => fs::remove_dir_all(&folder)?,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => spool.set_aside(number, &folder, &error)?,
                Err(error) => log::error!("spool: {} cannot be read and is left alone: {error}", folder.display()),
            }
        }
        Ok((spool, left))
    }

    /// Returns whether it accepts nothing at all.
    pub(crate) fn is_off(&self) -> bool {
        self.bytes_max == 0
    }

    /// Returns its maximum size, bytes.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Returns whether it has no room: it refused something and has given nothing back since, or a twentieth is left.
    pub(crate) fn is_full(&self) -> bool {
        let used = self.counters.bytes.load(Ordering::Acquire);
        !self.is_off() && (self.is_full.load(Ordering::Acquire) || used >= self.bytes_max - self.bytes_max / 20)
    }

    /// Input of a session is lost.
    pub(crate) fn count_gap(&self) {
        Counters::add(&self.counters.gaps, 1);
    }

    /// Notes that the disk refused to be written. An error of another kind is no trouble of the disk.
    pub(crate) fn note_error(&self, error: &SpoolError) {
        if let SpoolError::Io(error) = error {
            Counters::add(&self.counters.write_errors, 1);
            log::error!("spool: {} cannot be written: {error}", self.folder.display());
            self.lock().trouble = Some(error.to_string());
        }
    }

    /// Why the disk did not take what was written last; `None`: it did, or nothing was written.
    pub fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// Looks whether a disk in trouble can be written again.
    pub fn probe(&self) {
        if self.trouble().is_none() {
            return;
        }
        let path = self.folder.join("probe");
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&[0; PROBE_BYTES])?;
            file.sync_all()
        });
        // It may never have been made.
        let _ = fs::remove_file(&path);
        if written.is_ok() {
            log::info!("spool: {} can be written again", self.folder.display());
            self.lock().trouble = None;
        }
    }

    /// Where input is that cannot be applied, beside the spool.
    pub(crate) fn set_aside_dir(&self) -> PathBuf {
        // Without a folder nothing can be made: below a file there is none.
        self.folder.parent().unwrap_or(Path::new("/dev/null")).join("set-aside")
    }

    /// Takes out what is to be said of streams that could not be read at the start.
    pub(crate) fn take_unreadable(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().unreadable)
    }

    /// Returns its contents and counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// When the oldest message that waits was received.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.lock().oldest.values().min().copied()
    }

    /// Brings what was appended to the disk.
    pub fn sync(&self) {
        let files = std::mem::take(&mut self.lock().unsynced);
        for file in files {
            if let Err(error) = file.sync_data() {
                log::error!("spool: cannot be synced, a crash of this machine may lose what is in it: {error}");
                self.note_error(&error.into());
            }
        }
    }

    /// Removes a stream without a readable context, since its router is unknown; its messages are kept elsewhere.
    fn set_aside(&self, number: u64, folder: &Path, error: &io::Error) -> io::Result<()> {
        let name = format!("unknown-{number}");
        let mut file = BoundedFile::new(&self.set_aside_dir(), &name, "bmp");
        let (mut kept, mut all) = (0, 0);
        let mut is_full = false;
        stream::each_chunk(folder, |chunk| {
            all += chunk.bytes.len();
            is_full = is_full || !file.append(&chunk.bytes).unwrap_or(false);
            kept += if is_full { 0 } else { chunk.bytes.len() };
        })?;
        let what = format!(
            "{all} bytes of spooled input are not applied: {error}; {kept} of them are kept in {}",
            file.path().display()
        );
        log::error!("spool: stream {number}: {what}");
        self.count_gap();
        self.lock().unreadable.push(what);
        fs::remove_dir_all(folder)
    }

    fn folder_of(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}"))
    }

    /// Returns the first number after those of the streams that an earlier process left.
    pub(crate) fn first_number(&self) -> u64 {
        self.first_number
    }

    fn note_oldest(&self, stream: u64, received_at: Option<Timestamp>) {
        let mut inner = self.lock();
        match received_at {
            Some(at) => drop(inner.oldest.insert(stream, at)),
            None => drop(inner.oldest.remove(&stream)),
        }
    }

    fn note_unsynced(&self, file: &Arc<File>) {
        let mut inner = self.lock();
        if !inner.unsynced.iter().any(|known| Arc::ptr_eq(known, file)) {
            inner.unsynced.push(Arc::clone(file));
        }
    }

    /// Takes `bytes` of the room that is left.
    fn reserve(&self, bytes: u64) -> Result<(), SpoolError> {
        let room = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        match self.counters.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, room) {
            Ok(_) => Ok(()),
            Err(_) => {
                self.is_full.store(true, Ordering::Release);
                Err(SpoolError::Full(self.bytes_max))
            }
        }
    }

    fn give_back(&self, bytes: u64) {
        self.counters.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.is_full.store(false, Ordering::Release);
    }

    /// A panic elsewhere leaves these lists whole: every change is a single insert or remove.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

fn free_bytes(folder: &Path) -> io::Result<u64> {
    let file_system = nix::sys::statvfs::statvfs(folder)?;
    Ok(file_system.blocks_available().saturating_mul(file_system.fragment_size()))
}

#[cfg(test)]
mod tests;
