//! The files of a journal, changed, cut, lengthened or removed anywhere: what can be read of them is what was written,
//! in order, and the rest is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rib_ingester::journal::{Checkpoint, Chunk, Journal, Piece, Stream};
use rib_ingester::model::Timestamp;

/// The chunks of each segment; the messages in them are as long as their numbers.
const SEGMENTS: [std::ops::Range<u8>; 3] = [1..5, 5..9, 9..12];

/// The room of the journal, bytes.
const BYTES_MAX: u64 = 1 << 20;

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // It is in the folder for temporary files, and found there.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a journal, does to its files what the input says, five octets for each change, and reads it.
pub fn check(input: &[u8]) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = Folder(std::env::temp_dir().join(format!("rib-ingester-fuzz-{}-{number}", std::process::id())));
    let place = folder.0.join("journal");
    let written = write(&place);
    for change in input.as_chunks::<5>().0 {
        apply(&place, *change);
    }
    let (journal, left) = Journal::open(&place, Some(BYTES_MAX)).unwrap();
    for (mut stream, checkpoint) in left {
        read(&mut stream, &checkpoint, &written);
        stream.remove();
    }
    drop(journal);
    // What could not be read is not met again.
    assert!(Journal::open(&place, Some(BYTES_MAX)).unwrap().1.is_empty());
}

fn checkpoint(octet: u64) -> Checkpoint {
    let (source, began) = ([192, 0, 2, 1].into(), Timestamp::from_unix_micros(0));
    let tables = vec![("global".to_owned(), true)];
    Checkpoint { octet, tables, ids: vec![(octet, 1)], ..Checkpoint::of_beginning("one", source, began) }
}

fn write(place: &Path) -> Vec<Chunk> {
    let (journal, _) = Journal::open(place, Some(BYTES_MAX)).unwrap();
    let mut stream = Stream::create(&journal, 1, &checkpoint(0)).unwrap();
    let mut written: Vec<Chunk> = Vec::new();
    for (i, numbers) in SEGMENTS.into_iter().enumerate() {
        let start = written.last().map_or(0, Chunk::end);
        if i > 0 {
            let segment = stream.turn_over(start).unwrap().unwrap();
            stream.store_checkpoint(segment, &checkpoint(start)).unwrap();
        }
        for number in numbers {
            let (start, bytes) = (written.last().map_or(0, Chunk::end), vec![number; number.into()]);
            let chunk = Chunk { start, received_at: Timestamp::from_unix_micros(number.into()), bytes: bytes.into() };
            stream.append(&chunk).unwrap();
            written.push(chunk);
        }
    }
    drop((stream, Arc::clone(&journal)));
    written
}

/// Changes an octet of a file, cuts it, lengthens it, or removes it.
fn apply(place: &Path, [file, kind, high, low, value]: [u8; 5]) {
    let streams = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut files: Vec<PathBuf> = streams
        .flat_map(|stream| fs::read_dir(stream).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    let Some(path) = files.get(usize::from(file) % files.len().max(1)) else { return };
    let mut bytes = fs::read(path).unwrap();
    let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len().max(1);
    match kind % 4 {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|octet| *octet ^= value),
        1 => bytes.truncate(at),
        2 => bytes.resize(bytes.len() + at, value),
        _ => return fs::remove_file(path).unwrap(),
    }
    fs::write(path, bytes).unwrap();
}

fn read(stream: &mut Stream, from: &Checkpoint, written: &[Chunk]) {
    assert_eq!(*from, checkpoint(from.octet));
    let mut before = from.octet;
    loop {
        match stream.next_piece().unwrap() {
            Piece::Chunk(chunk) => {
                assert!(written.contains(&chunk), "{chunk:?}");
                assert!(chunk.start >= before, "{chunk:?} after {before}");
                before = chunk.end();
            }
            Piece::Damaged(octets) => {
                assert!(octets > 0);
                assert!(stream.damage(1 << 20).unwrap().len() <= 1 << 20);
            }
            Piece::End => return,
        }
    }
}

/// Changes of several files at once.
pub fn seeds() -> Vec<Vec<u8>> {
    let changes: [&[[u8; 5]]; 5] = [
        &[[0, 0, 0, 20, 1]],
        &[[1, 1, 0, 30, 0], [3, 0, 0, 9, 0xff]],
        &[[0, 3, 0, 0, 0], [1, 2, 0, 9, 7]],
        &[[0, 3, 0, 0, 0], [1, 3, 0, 0, 0], [0, 3, 0, 0, 0]],
        &[[2, 0, 0, 8, 0x80], [4, 0, 1, 1, 1], [5, 1, 0, 3, 0]],
    ];
    changes.iter().map(|changes| changes.concat()).collect()
}
