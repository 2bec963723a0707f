//! One session's part of the journal: appended at its end, read from its front, removed segment by segment.

mod skipping;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use byteorder::{BE, ByteOrder};

use super::checkpoint::Checkpoint;
use super::record::{self, Chunk, Magic};
use super::segment::{self, behind_damage, is_unfinished, read_record};
use super::{Counters, Journal, JournalError, WrittenFile};
use crate::model::RouterId;

/// The file that says that nothing in the stream is needed after a restart.
const OVER: &str = "over";

/// The folder of one session's input.
#[derive(Debug)]
pub struct Stream {
    journal: Arc<Journal>,
    number: u64,
    folder: PathBuf,
    /// In order; the last one is appended to.
    segments: VecDeque<Segment>,
    next_segment: u64,
    /// The file of the last segment.
    last: Option<Arc<WrittenFile>>,
    /// Where reading goes on.
    reading: Place,
    /// The file that is read, and its number.
    opened: Option<(u64, File)>,
    /// The octet of the input at which reading goes on; `None`: the next record tells.
    expected: Option<u64>,
    /// Where the last damage was met, and how long it is.
    damage: Option<(Place, u64)>,
    /// The first octets of its segments.
    magic: Magic,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    /// The octets of the input before it and up to its end, as far as is known.
    start: u64,
    end: u64,
    /// Bytes of whole records.
    size: u64,
    /// Once its checkpoint is written: the bytes that this takes, and the round of synchronization that brings it to
    /// the disk.
    checkpoint: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    offset: u64,
}

/// The next item to read.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A chunk.
    Chunk(Chunk),
    /// The number of bytes that cannot be read; the next piece is the one after them.
    Damaged(u64),
    /// All there is was read.
    End,
}

impl Stream {
    /// Creates a stream that begins now, without chunks. Of those that a later process finds, the one with the lowest
    /// number comes first.
    ///
    /// # Errors
    /// The journal is full, or the file system refuses.
    pub fn create(journal: &Arc<Journal>, number: u64, checkpoint: &Checkpoint) -> Result<Stream, JournalError> {
        Stream::begin(journal, number, &checkpoint.session, checkpoint.octet, Some(checkpoint))
    }

    /// Creates a stream of a session that has applied input up to `octet`, or will have, without chunks. The session
    /// writes its checkpoint.
    ///
    /// # Errors
    /// As [`Stream::create`].
    pub(crate) fn create_at(
        journal: &Arc<Journal>,
        number: u64,
        session: &str,
        octet: u64,
    ) -> Result<Stream, JournalError> {
        Stream::begin(journal, number, session, octet, None)
    }

    fn begin(
        journal: &Arc<Journal>,
        number: u64,
        session: &str,
        octet: u64,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Stream, JournalError> {
        if journal.is_off() {
            return Err(JournalError::Full(0));
        }
        let folder = journal.folder_of(number);
        fs::create_dir(&folder)?;
        let mut stream = Stream::new(journal, number);
        (stream.magic, stream.expected) = (record::magic_of(session), Some(octet));
        let begun = stream.begin_segment(octet).and_then(|()| match checkpoint {
            Some(checkpoint) => stream.store_checkpoint(1, checkpoint),
            None => Ok(()),
        });
        if begun.is_err() {
            // It would be found empty at the next start and removed then.
            let _ = fs::remove_dir_all(&folder);
        }
        begun?;
        journal.note_new(stream.folder.clone());
        Counters::add(&journal.counters.streams, 1);
        Ok(stream)
    }

    fn new(journal: &Arc<Journal>, number: u64) -> Stream {
        Stream {
            number,
            folder: journal.folder_of(number),
            journal: Arc::clone(journal),
            segments: VecDeque::new(),
            next_segment: 1,
            last: None,
            reading: Place { segment: 0, offset: 0 },
            opened: None,
            expected: None,
            damage: None,
            magic: *record::MAGIC,
        }
    }

    /// Opens what an earlier process left, at its first checkpoint; `None` if it left nothing.
    ///
    /// # Errors
    /// When the file system fails, or no checkpoint can be read.
    pub(super) fn recover(journal: &Arc<Journal>, number: u64) -> io::Result<Option<(Stream, Checkpoint)>> {
        let mut stream = Stream::new(journal, number);
        if stream.folder.join(OVER).exists() {
            return Ok(None);
        }
        let mut first = None;
        let mut skipped = 0;
        for number in segment::numbers(&stream.folder)? {
            let checkpoint = match Checkpoint::load(&stream.checkpoint_path(number)) {
                Ok(checkpoint) => checkpoint,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
                Err(error) => return Err(error),
            };
            let size = fs::metadata(stream.segment_path(number))?.len();
            if first.is_none() && checkpoint.is_none() {
                // Its checkpoint is damaged or gone.
                skipped += size.saturating_sub(head_size());
                continue;
            }
            let start = checkpoint.as_ref().map_or(u64::MAX, |(checkpoint, _)| checkpoint.octet);
            let stored = checkpoint.as_ref().map(|(_, size)| (*size, 0));
            journal.take(size + stored.map_or(0, |(size, _)| size));
            stream.segments.push_back(Segment { number, start, end: u64::MAX, size, checkpoint: stored });
            stream.next_segment = number + 1;
            first = first.or(checkpoint.map(|(checkpoint, _)| checkpoint));
        }
        let Some(mut checkpoint) = first else {
            let damaged = || io::Error::new(io::ErrorKind::InvalidData, "its checkpoints are damaged");
            return if skipped > 0 { Err(damaged()) } else { Ok(None) };
        };
        stream.magic = record::magic_of(&checkpoint.session);
        stream.expected = Some(checkpoint.octet.saturating_sub(skipped));
        if checkpoint.router.is_none() {
            checkpoint.router = stream.text_in("router").map(|router| RouterId::new(&router));
        }
        Counters::add(&journal.counters.segments, u64::try_from(stream.segments.len()).unwrap_or(u64::MAX));
        Counters::add(&journal.counters.streams, 1);
        Ok(Some((stream, checkpoint)))
    }

    /// Returns its place among the streams.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the number of its last segment, 0 if it has none, and the first octets of all.
    pub(crate) fn last_segment(&self) -> (u64, Magic) {
        (self.ends().1, self.magic)
    }

    /// Returns the numbers of its first and its last segment; 0 if it has none.
    pub(crate) fn ends(&self) -> (u64, u64) {
        let number = |segment: Option<&Segment>| segment.map_or(0, |segment| segment.number);
        (number(self.segments.front()), number(self.segments.back()))
    }

    /// Returns the bytes of segments that were not read yet.
    pub fn unread(&self) -> u64 {
        let all: u64 = self.ahead().map(|segment| segment.size).sum();
        let read = self.ahead().next().filter(|next| next.number == self.reading.segment);
        all - read.map_or(0, |_| self.reading.offset)
    }

    /// Appends a chunk.
    ///
    /// # Errors
    /// The journal is full, or the file system refuses; the stream is then as it was before.
    pub fn append(&mut self, chunk: &Chunk) -> Result<(), JournalError> {
        if self.last.is_none() || self.segments.back().is_none_or(|segment| segment.size >= self.journal.segment_size())
        {
            self.begin_segment(chunk.start)?;
        }
        let (Some(file), Some(segment)) = (&self.last, self.segments.back_mut()) else {
            return Err(JournalError::Full(0));
        };
        let size = chunk.record_size();
        self.journal.reserve(size)?;
        if let Err(error) = segment::write_record(&file.file, chunk, segment.size) {
            self.journal.give_back(size);
            // Half a record at the end would be taken for damage; if this fails too, that is what it is.
            let _ = file.file.set_len(segment.size);
            return Err(error.into());
        }
        segment.size += size;
        segment.end = chunk.end();
        self.journal.note_unsynced(file);
        Counters::add(&self.journal.counters.appended_bytes, size);
        Ok(())
    }

    /// Marks everything that was appended as read: what follows is read from here.
    fn read_to_end(&mut self, octet: u64) {
        if let Some(last) = self.segments.back() {
            (self.reading, self.expected) = (Place { segment: last.number, offset: last.size }, Some(octet));
        }
    }

    /// Has reading go on at the chunk that was appended last.
    pub(crate) fn read_from(&mut self, chunk: &Chunk) {
        if let Some(last) = self.segments.back() {
            let offset = last.size.saturating_sub(chunk.record_size());
            (self.reading, self.expected) = (Place { segment: last.number, offset }, Some(chunk.start));
        }
    }

    /// Notes the router, which the first checkpoint does not have.
    pub(crate) fn note_router(&self, router: &RouterId) {
        let path = self.folder.join("router");
        match segment::write_whole(&path, router.as_str().as_bytes()) {
            Ok(()) => self.journal.note_new(path),
            Err(error) => log::error!("journal: {}: {error}", self.folder.display()),
        }
    }

    /// Notes the loss of input, which is not reported yet.
    ///
    /// # Errors
    /// When the file system fails.
    pub(crate) fn note_lost(&self, what: &str) -> io::Result<()> {
        segment::write_whole(&self.folder.join("lost"), what.as_bytes())
    }

    /// Removes the note of the loss.
    pub(crate) fn forget_lost(&self) {
        if let Err(error) = remove_if_there(&self.folder.join("lost")) {
            log::error!("journal: {}: {error}", self.folder.display());
        }
    }

    /// Notes that nothing in it is needed after a restart, though it is still read.
    pub(crate) fn note_over(&self) {
        let path = self.folder.join(OVER);
        if !path.exists()
            && let Err(error) = fs::write(&path, "")
        {
            log::error!("journal: {}: {error}", self.folder.display());
        }
    }

    /// Returns the loss that an earlier process noted and may not have reported.
    pub(crate) fn lost(&self) -> Option<String> {
        self.text_in("lost")
    }

    /// Returns the text of a file; `None` if there is none, or an empty one, which the death of the machine may leave.
    fn text_in(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok().filter(|text| !text.is_empty())
    }

    /// Notes what the writers have acknowledged of what comes before the first segment.
    ///
    /// # Errors
    /// When the file system fails.
    pub(crate) fn note_acknowledged(&self, octets: [u64; 2]) -> io::Result<()> {
        segment::write_whole(&self.folder.join("acknowledged"), &octets.map(u64::to_be_bytes).concat())
    }

    /// Returns what the writers had acknowledged when a segment was removed last.
    pub(crate) fn acknowledged(&self) -> [u64; 2] {
        let bytes = fs::read(self.folder.join("acknowledged")).unwrap_or_default();
        let mut octets = bytes.chunks_exact(8).map(BE::read_u64);
        [(); 2].map(|()| octets.next().unwrap_or(0))
    }

    /// Reads on.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn next_piece(&mut self) -> io::Result<Piece> {
        loop {
            let Some(segment) = self.ahead().next() else { return Ok(Piece::End) };
            let (number, size) = (segment.number, segment.size);
            if number != self.reading.segment {
                self.reading = Place { segment: number, offset: 0 };
            }
            if self.reading.offset >= size {
                if self.segments.back().is_some_and(|last| last.number == number) {
                    self.opened = None;
                    return Ok(Piece::End);
                }
                self.reading = Place { segment: number + 1, offset: 0 };
                continue;
            }
            let (offset, magic) = (self.reading.offset, self.magic);
            let file = self.open(number)?;
            if offset == 0 {
                if !segment::is_of(file, magic)? {
                    return Ok(self.skip_damage(size));
                }
                self.reading.offset = head_size();
                continue;
            }
            let Some(chunk) = read_record(file, offset, size)? else {
                if is_unfinished(file, offset, size)? && self.ahead().nth(1).is_none() {
                    self.end_before_unfinished(size);
                    continue;
                }
                let file = self.open(number)?;
                let end = behind_damage(file, offset, size)?;
                return Ok(self.skip_damage(end));
            };
            let expected = self.expected.replace(chunk.start).unwrap_or(chunk.start);
            if expected < chunk.start {
                let missing = chunk.start - expected;
                Counters::add(&self.journal.counters.damaged_bytes, missing);
                return Ok(Piece::Damaged(missing));
            }
            if offset == 8 {
                self.note_start(number, chunk.start);
            }
            self.reading.offset += chunk.record_size();
            if self.reading.offset >= size {
                self.note_end(number, chunk.end());
            }
            // The record of an input that was repeated.
            if chunk.end() <= expected {
                self.expected = Some(expected);
                continue;
            }
            self.expected = Some(chunk.end());
            return Ok(Piece::Chunk(chunk));
        }
    }

    /// Reads the chunks with any of these octets once more. What is damaged is passed over: reading on has met it.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn reread(&self, octets: &Range<u64>, mut each: impl FnMut(&Chunk)) -> io::Result<()> {
        let is_meant = |segment: &&Segment| segment.end > octets.start && segment.start <= octets.end;
        for Segment { number, .. } in self.segments.iter().filter(is_meant) {
            segment::each_chunk(&self.segment_path(*number), self.magic, |chunk| {
                if chunk.end() > octets.start && chunk.start < octets.end {
                    each(chunk);
                }
            })?;
        }
        Ok(())
    }

    /// Returns the segment that begins at this octet, or whose first record was just read, if it has no checkpoint.
    pub(crate) fn lacks_checkpoint(&self, octet: u64) -> Option<u64> {
        let begins = |segment: &&Segment| segment.start == octet && segment.checkpoint.is_none();
        self.segments.iter().find(begins).map(|segment| segment.number)
    }

    /// Begins a segment at this octet of the input although the last one is not full, and returns its number. `None`:
    /// there is nothing in the last one.
    ///
    /// # Errors
    /// As [`Stream::append`].
    pub fn turn_over(&mut self, octet: u64) -> Result<Option<u64>, JournalError> {
        let is_empty = |segment: &Segment| segment.size <= head_size();
        if self.segments.back().is_none_or(is_empty) {
            return Ok(None);
        }
        self.begin_segment(octet)?;
        self.read_to_end(octet);
        Ok(self.segments.back().map(|segment| segment.number))
    }

    /// Writes the checkpoint of a segment.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn store_checkpoint(&mut self, segment: u64, checkpoint: &Checkpoint) -> Result<(), JournalError> {
        let size = checkpoint.store(&self.checkpoint_path(segment))?;
        // It is small and must not fail for want of room.
        self.journal.take(size);
        self.journal.note_new(self.checkpoint_path(segment));
        let round = self.journal.round_of_next_sync();
        if let Some(segment) = self.segments.iter_mut().find(|one| one.number == segment) {
            let before = segment.checkpoint.replace((size, round));
            self.journal.give_back(before.map_or(0, |(size, _)| size));
        }
        Ok(())
    }

    /// Removes segments that end at or before `stored` and whose successor's checkpoint is on the disk. Before, it notes
    /// what the writers have `acknowledged`: a database that has less at the next start has lost it.
    ///
    /// # Errors
    /// When the file system fails; nothing is lost by that.
    pub fn release(&mut self, stored: u64, acknowledged: [u64; 2]) -> Result<(), JournalError> {
        while self.segments.len() > 1
            && self.segments[0].end <= stored
            && self.segments[1].checkpoint.is_some_and(|(_, round)| self.journal.is_synced(round))
        {
            self.note_acknowledged(acknowledged)?;
            let Some(segment) = self.segments.pop_front() else { return Ok(()) };
            self.journal.give_back(segment.size + segment.checkpoint.map_or(0, |(size, _)| size));
            self.journal.counters.segments.fetch_sub(1, Ordering::Relaxed);
            // A segment without its checkpoint counts as damaged, a checkpoint without its segment as removed.
            fs::remove_file(self.segment_path(segment.number))?;
            remove_if_there(&self.checkpoint_path(segment.number))?;
        }
        Ok(())
    }

    /// Removes the stream: everything in it is in the database, or is no longer needed.
    pub fn remove(self) {
        // A process that is killed meanwhile leaves something that counts as empty.
        self.note_over();
        // A full disk may refuse that. What is left then begins with a checkpoint, up to the last segment: no part of it
        // counts as damaged.
        for segment in self.segments.iter().rev() {
            // What stays is removed, and reported, with the folder.
            let _ = fs::remove_file(self.segment_path(segment.number));
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            log::error!("journal: {} cannot be removed: {error}", self.folder.display());
        }
        let size = |segment: &Segment| segment.size + segment.checkpoint.map_or(0, |(size, _)| size);
        self.journal.give_back(self.segments.iter().map(size).sum::<u64>());
        let segments = u64::try_from(self.segments.len()).unwrap_or(u64::MAX);
        self.journal.counters.segments.fetch_sub(segments, Ordering::Relaxed);
        self.journal.counters.streams.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the bytes of the last `Piece::Damaged` as they are stored, at most `bytes_max` of them; none where they
    /// are missing.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn damage(&mut self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let Some((Place { segment, offset }, length)) = self.damage.take() else { return Ok(Vec::new()) };
        let length = usize::try_from(length.min(bytes_max)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        self.open(segment)?.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn ahead(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.number >= self.reading.segment)
    }

    fn open(&mut self, number: u64) -> io::Result<&File> {
        if self.opened.as_ref().is_none_or(|(opened, _)| *opened != number) {
            self.opened = Some((number, File::open(self.segment_path(number))?));
        }
        Ok(&self.opened.as_ref().expect("opened above if it was not").1)
    }

    fn note_start(&mut self, number: u64, start: u64) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == number) {
            segment.start = start;
        }
    }

    fn note_end(&mut self, number: u64, end: u64) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == number) {
            segment.end = end;
        }
    }

    /// The last record was never appended: its process ended while it was written.
    fn end_before_unfinished(&mut self, size: u64) {
        self.reading.offset = size;
        if let Some(octet) = self.expected {
            self.note_end(self.reading.segment, octet);
        }
    }

    fn skip_damage(&mut self, end: u64) -> Piece {
        let lost = end - self.reading.offset;
        self.damage = Some((self.reading, lost));
        self.reading.offset = end;
        if self.segments.iter().any(|segment| segment.number == self.reading.segment && segment.size <= end) {
            self.note_end(self.reading.segment, self.expected.unwrap_or(0));
        }
        self.expected = None;
        Counters::add(&self.journal.counters.damaged_bytes, lost);
        Piece::Damaged(lost)
    }

    fn begin_segment(&mut self, start: u64) -> Result<(), JournalError> {
        let size = head_size();
        self.journal.reserve(size)?;
        let number = self.next_segment;
        let made = OpenOptions::new().write(true).create_new(true).open(self.segment_path(number)).and_then(|file| {
            file.write_all_at(&self.magic, 0)?;
            self.journal.note_new(self.segment_path(number));
            Ok(file)
        });
        let file = made.inspect_err(|_| self.journal.give_back(size))?;
        self.next_segment += 1;
        self.segments.push_back(Segment { number, start, end: start, size, checkpoint: None });
        self.last = Some(WrittenFile::new(file));
        Counters::add(&self.journal.counters.segments, 1);
        Ok(())
    }

    fn segment_path(&self, number: u64) -> PathBuf {
        segment::path(&self.folder, number)
    }

    fn checkpoint_path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}.checkpoint"))
    }
}

/// Octets of a segment before its first record.
fn head_size() -> u64 {
    u64::try_from(record::MAGIC.len()).expect("a length fits 64 bits")
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
