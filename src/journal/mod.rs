//! The journal: what routers sent, on disk before anything is done with it.
//!
//! Each session has a *stream*: a folder of append-only *segments* of `Chunk`s, the raw BMP messages as they were read.
//! A segment has a *checkpoint*: the state of the session before its first octet, which is written when the session
//! gets there. So the input from any checkpoint on can be applied alone. A segment is removed a minute after the database
//! has all of it, once the checkpoint of the next one is on the disk.
//!
//! ```text
//! <state dir>/journal/lock
//! <state dir>/journal/losses                        lost input that is in no stream, until it is reported
//! <state dir>/journal/<session>/<number>.checkpoint  before the segment: the router, its live Peer Ups, tables, ids
//! <state dir>/journal/<session>/<number>.segment     chunks, each with its checksum
//! <state dir>/journal/<session>/router, lost, acknowledged   the router, input that was lost, what was stored
//! <state dir>/journal/<session>/over                 all of it is stored, and only a relay still reads it
//! ```
//!
//! Appended input survives the death of the process at once, and that of the machine after `SYNC_EVERY`: one thread
//! calls [`Journal::sync`] that often.

mod checkpoint;
mod feed;
mod feed_reader;
mod losses;
mod record;
mod segment;
mod stream;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use checkpoint::Checkpoint;
pub use feed::{Feed, Feeds, ReaderState};
pub use feed_reader::{FeedReader, Part};
pub use losses::{Loss, LossNote};
pub use record::Chunk;
pub use stream::{Piece, Stream};

use self::losses::{Losses, Unreported};
use crate::model::RouterId;
use crate::quarantine::RejectedFile as BoundedFile;

/// Appended input is safe from a crash of the machine after this time and the time that the disk takes.
pub(crate) const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The default limit of the journal in bytes.
const DEFAULT_BYTES_MAX: u64 = 20 << 30;

/// The smallest and the largest size of a segment, bytes.
const SEGMENT_SIZES: (u64, u64) = (256 << 10, 8 << 20);

/// The bytes written to test whether a disk accepts writes again.
const PROBE_BYTES: usize = 64 << 10;

/// The stream of a session that an earlier process did not finish, and the checkpoint from which it goes on.
pub type Unfinished = (Stream, Checkpoint);

/// The folder of all streams, and how much they may take.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    bytes_max: u64,
    first_number: u64,
    counters: Counters,
    /// A chunk was turned away, and nothing has been read back since.
    is_full: AtomicBool,
    /// The number of times that everything was brought to the disk.
    synced: AtomicU64,
    inner: Mutex<Inner>,
    losses: Arc<Losses>,
    /// Held while the process lives: two of them in one folder would replay each other's streams.
    _lock: Option<File>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Files with bytes that may not be on the disk yet.
    unsynced: Vec<Arc<WrittenFile>>,
    /// New files, which are not open any more, and the folders that they are in.
    unsynced_paths: BTreeSet<PathBuf>,
    /// Why the disk did not take what was written last.
    trouble: Option<String>,
    /// Streams that could not be read at the start, and losses that an earlier process noted, with their slots.
    unreported: Vec<Unreported>,
}

/// A file with changes that may not be on the disk yet.
#[derive(Debug)]
struct WrittenFile {
    file: File,
    /// True while it is in the list of those.
    is_noted: AtomicBool,
}

impl WrittenFile {
    fn new(file: File) -> Arc<WrittenFile> {
        Arc::new(WrittenFile { file, is_noted: AtomicBool::new(false) })
    }
}

/// The contents of the journal and counters of its events, for metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes on the disk.
    pub bytes: AtomicU64,
    /// Segment files on the disk.
    pub segments: AtomicU64,
    /// Streams on the disk.
    pub streams: AtomicU64,
    /// Bytes appended since the start.
    pub(crate) appended_bytes: AtomicU64,
    /// Bytes that could not be read back since the start.
    pub(crate) damaged_bytes: AtomicU64,
    /// The number of times that input of a session was lost.
    pub gaps: AtomicU64,
    /// The number of times that the disk refused a write.
    pub(crate) write_errors: AtomicU64,
}

/// Why the journal does not take a chunk.
#[derive(Debug)]
pub enum JournalError {
    /// It is as large as it may get, bytes.
    Full(u64),
    /// The file system refuses.
    Io(io::Error),
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::Full(max) => write!(f, "the journal is full ({max} bytes, RIB_INGESTER_JOURNAL_MAX_BYTES)"),
            JournalError::Io(error) => write!(f, "the journal cannot be written: {error}"),
        }
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            JournalError::Full(_) => None,
            JournalError::Io(error) => Some(error),
        }
    }
}

impl From<io::Error> for JournalError {
    fn from(error: io::Error) -> JournalError {
        JournalError::Io(error)
    }
}

impl Journal {
    /// Returns a journal that accepts nothing.
    pub fn off() -> Arc<Journal> {
        let (counters, inner) = (Counters::default(), Mutex::default());
        Arc::new(Journal {
            folder: PathBuf::new(),
            bytes_max: 0,
            first_number: 1,
            counters,
            is_full: AtomicBool::new(false),
            synced: AtomicU64::new(0),
            inner,
            losses: Arc::default(),
            _lock: None,
        })
    }

    /// The journal in `folder`, which is made if it is missing, and the streams that an earlier process left there,
    /// oldest first. It may take `bytes_max`; by default the smaller of 20 GiB and a fifth of what is free. 0: it takes
    /// nothing new.
    ///
    /// # Errors
    /// When the file system fails; `WouldBlock`: another process uses it.
    pub fn open(folder: &Path, bytes_max: Option<u64>) -> io::Result<(Arc<Journal>, Vec<Unfinished>)> {
        fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.try_lock().map_err(io::Error::from)?;
        let (losses, unreported) = Losses::open(&folder.join("losses"))?;
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
        let journal = Arc::new(Journal {
            folder: folder.to_owned(),
            bytes_max,
            first_number: numbers.last().map_or(1, |last| last + 1),
            counters: Counters::default(),
            is_full: AtomicBool::new(false),
            synced: AtomicU64::new(0),
            inner: Mutex::new(Inner { unreported, ..Inner::default() }),
            losses: Arc::new(losses),
            _lock: Some(lock),
        });
        let mut left = Vec::new();
        for number in numbers {
            let folder = journal.folder_of(number);
            match Stream::recover(&journal, number) {
                Ok(Some(stream)) => left.push(stream),
                // A process ended between making the folder and writing its checkpoint: nothing was in it. Or it ended
                // before a relay had read all of what is stored.
                Ok(None) => fs::remove_dir_all(&folder)?,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    journal.set_aside(number, &folder, &error)?
                }
                Err(error) => log::error!("journal: {} cannot be read and is left alone: {error}", folder.display()),
            }
        }
        Ok((journal, left))
    }

    /// Returns whether it accepts nothing at all.
    pub(crate) fn is_off(&self) -> bool {
        self.bytes_max == 0
    }

    /// Returns the size at which a segment is closed and the next one begun, bytes.
    fn segment_size(&self) -> u64 {
        // A session whose input is stored keeps one: thousands of them have room.
        (self.bytes_max / 2048).clamp(SEGMENT_SIZES.0, SEGMENT_SIZES.1)
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

    /// Returns whether less than half of its room is left.
    pub(crate) fn is_half_full(&self) -> bool {
        self.counters.bytes.load(Ordering::Acquire) > self.bytes_max / 2
    }

    /// Input of a session is lost.
    pub(crate) fn count_gap(&self) {
        Counters::add(&self.counters.gaps, 1);
    }

    /// Notes that the disk refused to be written. An error of another kind is no trouble of the disk.
    pub(crate) fn note_error(&self, error: &JournalError) {
        if let JournalError::Io(error) = error {
            Counters::add(&self.counters.write_errors, 1);
            let before = self.lock().trouble.replace(error.to_string());
            if before.is_none_or(|before| before != error.to_string()) {
                log::error!("journal: {} cannot be written: {error}", self.folder.display());
            }
        }
    }

    /// Returns why it does not take what was read last.
    pub(crate) fn why_not(&self) -> JournalError {
        match self.trouble() {
            Some(trouble) => JournalError::Io(io::Error::other(trouble)),
            None => JournalError::Full(self.bytes_max),
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
            log::info!("journal: {} can be written again", self.folder.display());
            self.lock().trouble = None;
        }
    }

    /// Where input is that cannot be applied, beside the journal.
    pub(crate) fn set_aside_dir(&self) -> PathBuf {
        // Without a folder nothing can be made: below a file there is none.
        self.folder.parent().unwrap_or(Path::new("/dev/null")).join("set-aside")
    }

    /// Takes out what is to be reported of streams that could not be read at the start, and of input that an earlier
    /// process lost.
    pub(crate) fn take_unreported(&self) -> Vec<(Loss, Option<LossNote>)> {
        let unreported = std::mem::take(&mut self.lock().unreported);
        let note = |slot| LossNote::new(&self.losses, slot);
        unreported.into_iter().map(|(loss, slot)| (loss, slot.map(note))).collect()
    }

    /// Notes the loss of input for the next start, where the session's stream does not; `None` if that cannot be.
    pub(crate) fn note_lost(&self, loss: &Loss) -> Option<LossNote> {
        self.slot_of(loss).map(|slot| LossNote::new(&self.losses, slot))
    }

    fn slot_of(&self, loss: &Loss) -> Option<usize> {
        if self.is_off() {
            return None;
        }
        let noted = self.losses.note(loss);
        let fail = |error: &io::Error| log::error!("journal: {loss:?} is not kept for the next start: {error}");
        noted.inspect_err(fail).ok()
    }

    /// Returns its contents and counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Brings what was appended to the disk.
    pub fn sync(&self) {
        let (files, paths) = {
            let mut inner = self.lock();
            (std::mem::take(&mut inner.unsynced), std::mem::take(&mut inner.unsynced_paths))
        };
        let mut failure = None;
        for file in files {
            file.is_noted.store(false, Ordering::Release);
            if let Err(error) = file.file.sync_data() {
                failure = Some(error);
                self.note_unsynced(&file);
            }
        }
        for path in paths {
            match File::open(&path).and_then(|file| file.sync_all()) {
                // What has been removed meanwhile need not be on the disk.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    failure = Some(error);
                    self.lock().unsynced_paths.insert(path);
                }
                Ok(()) | Err(_) => {}
            }
        }
        let Some(error) = failure else {
            self.synced.fetch_add(1, Ordering::AcqRel);
            return;
        };
        log::error!("journal: cannot be synced, a crash of this machine may lose what is in it: {error}");
        self.note_error(&error.into());
    }

    /// Returns the number of the round of synchronization that certainly brings to the disk what was written by now.
    fn round_of_next_sync(&self) -> u64 {
        // One may be at work that has not met it.
        self.synced.load(Ordering::Acquire) + 2
    }

    fn is_synced(&self, round: u64) -> bool {
        self.synced.load(Ordering::Acquire) >= round
    }

    /// Removes a stream without a readable context; its messages are kept elsewhere.
    fn set_aside(&self, number: u64, folder: &Path, error: &io::Error) -> io::Result<()> {
        let router = fs::read_to_string(folder.join("router")).ok().filter(|router| !router.is_empty());
        let name = router.as_ref().map_or_else(|| "unknown".to_owned(), |router| RouterId::new(router).to_string());
        let name = format!("{name}-{number}");
        let mut file = BoundedFile::new(&self.set_aside_dir(), &name, "bmp");
        let (mut kept, mut all) = (0, 0);
        let (mut is_full, mut session) = (false, None);
        for number in segment::numbers(folder)? {
            let path = segment::path(folder, number);
            // Nothing else is left that says which session it is.
            let Some(magic) = session.or(segment::magic(&File::open(&path)?)?) else { continue };
            session = Some(magic);
            segment::each_chunk(&path, magic, |chunk| {
                all += chunk.bytes.len();
                is_full = is_full || !file.append(&chunk.bytes).unwrap_or(false);
                kept += if is_full { 0 } else { chunk.bytes.len() };
            })?;
        }
        let what = format!(
            "{all} bytes of journaled input are not applied: {error}; {kept} of them are kept in {}",
            file.path().display()
        );
        log::error!("journal: stream {number}: {what}");
        self.count_gap();
        let loss = Loss { router, source: None, what };
        let slot = self.slot_of(&loss);
        self.lock().unreported.push((loss, slot));
        fs::remove_dir_all(folder)
    }

    fn folder_of(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}"))
    }

    /// Opens the feed of a session that begins, whose stream has this number; `None` where nobody reads or there is no
    /// journal.
    pub(crate) fn open_feed(&self, feeds: &Feeds, number: u64, source: IpAddr) -> Option<Arc<Feed>> {
        if self.is_off() { None } else { feeds.open(self.folder_of(number), source) }
    }

    /// Returns the first number after those of the streams that an earlier process left.
    pub(crate) fn first_number(&self) -> u64 {
        self.first_number
    }

    /// Notes that a file has changes that are not on the disk.
    fn note_unsynced(&self, file: &Arc<WrittenFile>) {
        if !file.is_noted.swap(true, Ordering::AcqRel) {
            self.lock().unsynced.push(Arc::clone(file));
        }
    }

    /// Notes that a new file, and its place in its folder, are not on the disk.
    fn note_new(&self, path: PathBuf) {
        let folder = path.parent().map(Path::to_owned);
        let mut inner = self.lock();
        inner.unsynced_paths.extend(folder);
        inner.unsynced_paths.insert(path);
    }

    /// Takes `bytes` of the room that is left.
    fn reserve(&self, bytes: u64) -> Result<(), JournalError> {
        let room = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        match self.counters.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, room) {
            Ok(_) => Ok(()),
            Err(_) => {
                if !self.is_full.swap(true, Ordering::AcqRel) {
                    log::error!("journal: full: {} bytes, RIB_INGESTER_JOURNAL_MAX_BYTES", self.bytes_max);
                }
                Err(JournalError::Full(self.bytes_max))
            }
        }
    }

    /// Counts bytes that are there whether there is room for them or not.
    fn take(&self, bytes: u64) {
        self.counters.bytes.fetch_add(bytes, Ordering::AcqRel);
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
