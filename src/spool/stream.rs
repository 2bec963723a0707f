//! One session's part of the spool: appended at its end, read from its front, removed segment by segment.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use byteorder::{BE, ReadBytesExt};

use super::context::Context;
use super::record::{self, Chunk};
use super::{Counters, Spool, SpoolError};
use crate::model::Timestamp;

/// A segment that is this large is closed and the next one begun, bytes.
const SEGMENT_SIZE: u64 = 16 << 20;

/// The folder of one session's spooled input.
#[derive(Debug)]
pub struct Stream {
    spool: Arc<Spool>,
    number: u64,
    folder: PathBuf,
    context: Context,
    context_size: u64,
    /// In order; the last one is appended to.
    segments: VecDeque<Segment>,
    next_segment: u64,
    /// Where reading goes on.
    reading: Place,
    /// Where the last damage was met, and how long it is.
    damage: Option<(Place, u64)>,
    /// The last chunk that the session was given, here and in the file `taken`.
    taken: u64,
    taken_file: Option<File>,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    file: Arc<File>,
    /// Bytes of whole records.
    size: u64,
    /// The last chunk in it, as far as is known.
    last_chunk: u64,
    began: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    offset: u64,
}

/// True if the session has a chunk already when it is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It has: the chunk is there for a later process only.
    Yes,
    /// It will read it from here.
    No,
}

/// The next item to read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A chunk.
    Chunk(Chunk),
    /// The number of bytes that cannot be read; the next piece is the one after them.
    Damaged(u64),
    /// All there is was read.
    End,
}

impl Stream {
    /// A stream that begins now, without chunks. Of those that a later process finds, the one with the lowest number
    /// comes first.
    ///
    /// # Errors
    /// The spool is full, or the file system says no.
    pub fn create(spool: &Arc<Spool>, number: u64, context: Context) -> Result<Stream, SpoolError> {
        if spool.is_off() {
            return Err(SpoolError::Full(0));
        }
        let folder = spool.folder_of(number);
        fs::create_dir(&folder)?;
        let mut stream = Stream::new(spool, number, context);
        let stored = stream.store_context(stream.context.clone());
        if stored.is_err() {
            // It would be found empty at the next start and removed then.
            let _ = fs::remove_dir_all(&folder);
        }
        stored?;
        File::open(&spool.folder)?.sync_all()?;
        spool.counters.streams.fetch_add(1, Ordering::Relaxed);
        Ok(stream)
    }

    fn new(spool: &Arc<Spool>, number: u64, context: Context) -> Stream {
        Stream {
            number,
            folder: spool.folder_of(number),
            spool: Arc::clone(spool),
            context_size: 0,
            segments: VecDeque::new(),
            next_segment: 1,
            reading: Place { segment: 0, offset: 0 },
            damage: None,
            taken: context.behind,
            taken_file: None,
            context,
        }
    }

    /// Opens what an earlier process left; `None` if it left nothing.
    ///
    /// # Errors
    /// When the file system fails, or the context is damaged.
    pub(super) fn recover(spool: &Arc<Spool>, number: u64) -> io::Result<Option<Stream>> {
        let folder = spool.folder_of(number);
        let Some((context, context_size)) = Context::load(&folder)? else { return Ok(None) };
        let mut stream = Stream { context_size, ..Stream::new(spool, number, context) };
        stream.taken = read_taken(&folder).unwrap_or(0).max(stream.context.behind);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".segment")?.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        let mut bytes = context_size;
        for number in numbers {
            let file = Arc::new(File::open(stream.segment_path(number))?);
            let size = file.metadata()?.len();
            bytes += size;
            let began = stream.context.began;
            stream.segments.push_back(Segment { number, file, size, last_chunk: u64::MAX, began });
            stream.next_segment = number + 1;
        }
        // What is there is there, even if the spool may be smaller now.
        spool.counters.bytes.fetch_add(bytes, Ordering::AcqRel);
        Counters::add(&spool.counters.segments, u64::try_from(stream.segments.len()).unwrap_or(u64::MAX));
        Counters::add(&spool.counters.streams, 1);
        spool.note_oldest(stream.number, Some(stream.context.began));
        Ok(Some(stream))
    }

    /// Its place among the streams.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the state of the session before the first chunk.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Returns its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the last chunk that a session was given: later chunks cannot be in the database.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Bytes of chunks that were not read yet.
    pub fn unread(&self) -> u64 {
        let all: u64 = self.ahead().map(|segment| segment.size).sum();
        let read = self.ahead().next().filter(|next| next.number == self.reading.segment);
        all - read.map_or(0, |_| self.reading.offset)
    }

    /// Appends a chunk.
    ///
    /// # Errors
    /// The spool is full, or the file system says no; the stream is then as it was before.
    pub fn append(&mut self, chunk: &Chunk, taken: Taken) -> Result<(), SpoolError> {
        if self.segments.back().is_none_or(|segment| segment.size >= SEGMENT_SIZE) {
            self.begin_segment(chunk.received_at)?;
        }
        let size = chunk.record_size();
        self.spool.reserve(size)?;
        let segment = self.segments.back_mut().expect("one was begun above if there was none");
        if let Err(error) = segment.file.write_all_at(&chunk.to_record(), segment.size) {
            self.spool.give_back(size);
            // Half a record at the end would be taken for damage; if this fails too, that is what it is.
            let _ = segment.file.set_len(segment.size);
            return Err(error.into());
        }
        segment.size += size;
        segment.last_chunk = chunk.number;
        self.spool.note_unsynced(&segment.file);
        Counters::add(&self.spool.counters.appended, 1);
        Counters::add(&self.spool.counters.appended_bytes, size);
        if taken == Taken::Yes {
            self.reading = Place { segment: segment.number, offset: segment.size };
            self.taken = self.taken.max(chunk.number);
            self.store_taken();
        }
        Ok(())
    }

    /// Reads on.
    ///
    /// # Errors
    /// When the file system fails.
    pub(crate) fn next_piece(&mut self) -> io::Result<Piece> {
        loop {
            let Some(segment) = self.ahead().next() else { return Ok(Piece::End) };
            let (number, file, size) = (segment.number, Arc::clone(&segment.file), segment.size);
            if number != self.reading.segment {
                self.reading = Place { segment: number, offset: 0 };
            }
            if self.reading.offset >= size {
                if self.segments.back().is_some_and(|last| last.number == self.reading.segment) {
                    return Ok(Piece::End);
                }
                self.reading = Place { segment: self.reading.segment + 1, offset: 0 };
                continue;
            }
            if self.reading.offset == 0 {
                let mut magic = [0; record::MAGIC.len()];
                let is_whole = size >= 8 && file.read_exact_at(&mut magic, 0).is_ok() && &magic == record::MAGIC;
                if !is_whole {
                    return Ok(self.skip_damage(size));
                }
                self.reading.offset = 8;
                continue;
            }
            let Some(chunk) = read_record(&file, self.reading.offset, size)? else {
                let end = behind_damage(&file, self.reading.offset, size)?;
                return Ok(self.skip_damage(end));
            };
            self.reading.offset += chunk.record_size();
            if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == self.reading.segment)
                && self.reading.offset >= segment.size
            {
                segment.last_chunk = chunk.number;
            }
            // A context that was moved forward may leave chunks in front of it in the segment.
            if chunk.number <= self.context.behind {
                continue;
            }
            Counters::add(&self.spool.counters.replayed, 1);
            if chunk.number > self.taken {
                self.taken = chunk.number;
                self.store_taken();
            }
            return Ok(Piece::Chunk(chunk));
        }
    }

    /// Reads the chunks after number `after` up to number `upto` once more, for what is to be remembered of them. What
    /// is damaged is passed over: reading on has met it.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn reread(&self, after: u64, upto: u64, mut each: impl FnMut(&Chunk)) -> io::Result<()> {
        let segments = self.segments.iter().filter(|segment| segment.last_chunk > after);
        for Segment { file, size, .. } in segments {
            let mut offset = u64::try_from(record::MAGIC.len()).expect("a length fits 64 bits");
            while offset < *size {
                match read_record(file, offset, *size)? {
                    Some(chunk) if chunk.number > upto => return Ok(()),
                    Some(chunk) => {
                        offset += chunk.record_size();
                        if chunk.number > after {
                            each(&chunk);
                        }
                    }
                    None => offset = behind_damage(file, offset, *size)?,
                }
            }
        }
        Ok(())
    }

    /// Returns whether [`Stream::release`] would remove anything.
    pub(crate) fn has_done(&self, behind: u64) -> bool {
        self.segments.len() > 1 && self.segments[0].last_chunk <= behind
    }

    /// Removes segments whose chunks are all at or before `behind`; `context` is asked for what the session knew there.
    ///
    /// # Errors
    /// When the file system fails; nothing is lost by that.
    pub fn release(&mut self, behind: u64, context: impl FnOnce() -> Context) -> Result<(), SpoolError> {
        let is_done = |segment: &Segment| segment.last_chunk <= behind;
        // The last one may be appended to; it goes with the stream.
        let count = self.segments.iter().take(self.segments.len().saturating_sub(1)).take_while(|s| is_done(s)).count();
        if count == 0 {
            return Ok(());
        }
        self.store_context(context())?;
        for segment in self.segments.drain(..count) {
            fs::remove_file(self.folder.join(format!("{:020}.segment", segment.number)))?;
            self.spool.give_back(segment.size);
            self.spool.counters.segments.fetch_sub(1, Ordering::Relaxed);
        }
        self.spool.note_oldest(self.number, self.segments.front().map(|segment| segment.began));
        Ok(())
    }

    /// Moves the context forward, so that a later process begins there.
    ///
    /// # Errors
    /// When the file system fails; the old context stays valid.
    pub(crate) fn store_context(&mut self, context: Context) -> Result<(), SpoolError> {
        let size = context.store(&self.folder)?;
        // A context is small and must not fail for want of room.
        self.spool.counters.bytes.fetch_add(size, Ordering::AcqRel);
        self.spool.give_back(self.context_size);
        (self.context, self.context_size) = (context, size);
        Ok(())
    }

    /// Removes the stream: everything in it is in the database, or is no longer needed.
    pub fn remove(self) {
        // The context goes first: without it the folder counts as empty.
        let removed = fs::remove_file(self.folder.join("context")).and_then(|()| fs::remove_dir_all(&self.folder));
        if let Err(error) = removed {
            log::error!("spool: {} cannot be removed: {error}", self.folder.display());
        }
        self.spool.give_back(self.segments.iter().map(|segment| segment.size).sum::<u64>() + self.context_size);
        let segments = u64::try_from(self.segments.len()).unwrap_or(u64::MAX);
        self.spool.counters.segments.fetch_sub(segments, Ordering::Relaxed);
        self.spool.counters.streams.fetch_sub(1, Ordering::Relaxed);
        self.spool.note_oldest(self.number, None);
    }

    /// Returns the bytes of the last `Piece::Damaged` as they are stored, at most `bytes_max` of them.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn damage(&self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let Some((Place { segment, offset }, length)) = self.damage else { return Ok(Vec::new()) };
        let Some(segment) = self.segments.iter().find(|of| of.number == segment) else { return Ok(Vec::new()) };
        let length = usize::try_from(length.min(bytes_max)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        segment.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn ahead(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.number >= self.reading.segment)
    }

    fn skip_damage(&mut self, end: u64) -> Piece {
        let lost = end - self.reading.offset;
        self.damage = Some((self.reading, lost));
        self.reading.offset = end;
        let (number, taken) = (self.reading.segment, self.taken);
        let read = self.segments.iter_mut().filter(|s| s.number == number && s.size <= end);
        read.for_each(|s| s.last_chunk = taken);
        Counters::add(&self.spool.counters.damaged_bytes, lost);
        Piece::Damaged(lost)
    }

    fn begin_segment(&mut self, began: Timestamp) -> Result<(), SpoolError> {
        let size = u64::try_from(record::MAGIC.len()).expect("a length fits 64 bits");
        self.spool.reserve(size)?;
        let number = self.next_segment;
        let path = self.segment_path(number);
        let made = OpenOptions::new().read(true).write(true).create_new(true).open(&path).and_then(|file| {
            file.write_all_at(record::MAGIC, 0)?;
            File::open(&self.folder)?.sync_all()?;
            Ok(file)
        });
        let file = made.inspect_err(|_| self.spool.give_back(size))?;
        self.next_segment += 1;
        if self.segments.is_empty() {
            self.spool.note_oldest(self.number, Some(began));
        }
        let last_chunk = self.segments.back().map_or(self.context.behind, |segment| segment.last_chunk);
        self.segments.push_back(Segment { number, file: Arc::new(file), size, last_chunk, began });
        Counters::add(&self.spool.counters.segments, 1);
        Ok(())
    }

    fn segment_path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}.segment"))
    }

    /// A hint for a later process, so it is not worth an error.
    fn store_taken(&mut self) {
        if self.taken_file.is_none() {
            let path = self.folder.join("taken");
            self.taken_file = OpenOptions::new().write(true).create(true).truncate(false).open(path).ok();
        }
        if let Some(file) = &self.taken_file {
            let _ = file.write_all_at(&self.taken.to_be_bytes(), 0);
        }
    }
}

/// Gives every chunk in a stream's folder to `each`, in order, whatever its context says. What is damaged is passed
/// over.
pub(super) fn each_chunk(folder: &Path, mut each: impl FnMut(&Chunk)) -> io::Result<()> {
    let mut segments: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        segments.extend((path.extension().is_some_and(|extension| extension == "segment")).then_some(path));
    }
    segments.sort();
    for path in segments {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut offset = u64::try_from(record::MAGIC.len()).expect("a length fits 64 bits");
        while offset < size {
            match read_record(&file, offset, size)? {
                Some(chunk) => {
                    offset += chunk.record_size();
                    each(&chunk);
                }
                None => offset = behind_damage(&file, offset, size)?,
            }
        }
    }
    Ok(())
}

fn read_taken(folder: &Path) -> Option<u64> {
    File::open(folder.join("taken")).ok()?.read_u64::<BE>().ok()
}

/// Where reading goes on after the damaged record at `offset`: at the next one, if it is whole where the damaged one
/// says that it ends, else at the segment's end.
fn behind_damage(file: &File, offset: u64, size: u64) -> io::Result<u64> {
    let mut head = [0; record::HEAD_SIZE];
    if size - offset < u64::try_from(head.len()).expect("a length fits 64 bits") {
        return Ok(size);
    }
    file.read_exact_at(&mut head, offset)?;
    let length = record::rest_size(&head).and_then(|rest| u64::try_from(head.len() + rest).ok());
    let Some(end) = length.and_then(|length| offset.checked_add(length)).filter(|end| *end < size) else {
        return Ok(size);
    };
    Ok(if read_record(file, end, size)?.is_some() { end } else { size })
}

/// The record at `offset` of a segment with `size` bytes; `None` if it is not whole.
fn read_record(file: &File, offset: u64, size: u64) -> io::Result<Option<Chunk>> {
    let mut head = [0; record::HEAD_SIZE];
    let left = usize::try_from(size - offset).unwrap_or(usize::MAX);
    if left < head.len() {
        return Ok(None);
    }
    file.read_exact_at(&mut head, offset)?;
    let Some(rest) = record::rest_size(&head).filter(|rest| *rest <= left - head.len()) else { return Ok(None) };
    let mut bytes = head.to_vec();
    bytes.resize(head.len() + rest, 0);
    file.read_exact_at(&mut bytes, offset)?;
    Ok(Chunk::from_record(&bytes))
}
