//! Streams on a real file system: what was appended comes back, and what is damaged costs no more than itself.

use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::model::{RouterId, Timestamp};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rib-ingester-journal-{}-{number}", std::process::id());
        Folder(std::env::temp_dir().join(name).join("journal"))
    }

    fn open(&self) -> (Arc<Journal>, Vec<Unfinished>) {
        Journal::open(&self.0, Some(20 << 30)).unwrap()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let stream = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir());
        let files = fs::read_dir(stream.unwrap()).unwrap().map(|entry| entry.unwrap().path());
        let mut segments: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "segment")).collect();
        segments.sort();
        segments
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = self.0.parent().map(fs::remove_dir_all);
    }
}

fn checkpoint(octet: u64) -> Checkpoint {
    Checkpoint {
        session: "c0ffee00-0000-4000-8000-000000000001".to_owned(),
        source: "192.0.2.1".parse().unwrap(),
        router: Some(RouterId::new("10.0.0.1")),
        began: Timestamp::from_unix_micros(1_700_000_000_000_000),
        octet,
        tables: vec![("global\u{0}4".to_owned(), true), ("UNKNOWN\u{0}6".to_owned(), false)],
        ids: vec![(u64::MAX, 0), (7, u32::MAX)],
        peer_ups: b"as the router sent it".to_vec(),
        misses_input: true,
    }
}

/// Chunk `number`, counted from 1, of chunks that have this size.
fn chunk(number: u64, size: usize) -> Chunk {
    let received_at = Timestamp::from_unix_micros(1_700_000_000_000_000 + i64::try_from(number).unwrap());
    let start = (number - 1) * u64::try_from(size).unwrap();
    Chunk { start, received_at, bytes: vec![number.to_be_bytes()[7]; size].into() }
}

/// The numbers of all chunks that can be read, and the bytes that cannot.
fn read(stream: &mut Stream) -> (Vec<u64>, u64) {
    let (mut numbers, mut lost) = (Vec::new(), 0);
    loop {
        match stream.next_piece().unwrap() {
            Piece::Chunk(chunk) => {
                let number = chunk.start / u64::try_from(chunk.bytes.len()).unwrap() + 1;
                assert!(chunk.bytes.iter().all(|byte| *byte == number.to_be_bytes()[7]));
                numbers.push(number);
            }
            Piece::Damaged(bytes) => lost += bytes,
            Piece::End => return (numbers, lost),
        }
    }
}

/// The stream of a session whose chunks have this size.
fn filled(journal: &Arc<Journal>, numbers: std::ops::RangeInclusive<u64>, size: usize) -> Stream {
    let mut stream = Stream::create(journal, 1, &checkpoint(0)).unwrap();
    numbers.for_each(|number| stream.append(&chunk(number, size)).unwrap());
    stream
}

#[test]
fn chunks_return_in_order_across_processes() {
    let folder = Folder::new();
    let (journal, left) = folder.open();
    assert!(left.is_empty());
    let mut stream = Stream::create(&journal, 1, &checkpoint(20)).unwrap();
    stream.append(&chunk(3, 10)).unwrap();
    stream.append(&chunk(4, 10)).unwrap();
    stream.read_from(&chunk(4, 10));
    stream.append(&chunk(5, 10)).unwrap();
    assert_eq!(stream.next_piece().unwrap(), Piece::Chunk(chunk(4, 10)));
    assert!(stream.unread() > 0);
    assert_eq!(read(&mut stream), (vec![5], 0));
    assert_eq!(stream.unread(), 0);
    stream.append(&chunk(6, 10)).unwrap();
    stream.note_lost("the end of it").unwrap();
    stream.note_router(&RouterId::new("10.0.0.9"));
    journal.sync();
    assert!(Journal::open(&folder.0, None).is_err(), "two processes in one folder");
    drop((stream, journal));
    let (journal, mut left) = folder.open();
    let (mut stream, found) = left.pop().unwrap();
    assert_eq!((found, stream.lost().as_deref()), (checkpoint(20), Some("the end of it")));
    assert_eq!(read(&mut stream), (vec![3, 4, 5, 6], 0));
    stream.remove();
    assert_eq!(journal.counters().bytes.load(Ordering::Relaxed), 0);
    let began = Timestamp::from_unix_micros(0);
    let beginning = Checkpoint::of_beginning("one", checkpoint(0).source, began);
    Stream::create(&journal, 2, &beginning).unwrap().note_router(&RouterId::new("10.0.0.9"));
    drop(journal);
    let (journal, mut left) = folder.open();
    let (stream, found) = left.pop().unwrap();
    assert_eq!(found.router, Some(RouterId::new("10.0.0.9")), "the first checkpoint does not have it");
    // A draft is what a killed process leaves of a file that it was writing, an empty file what a power cut may leave.
    for (name, text) in [("router.new", "10.0"), ("router", ""), ("lost", "")] {
        fs::write(stream.folder().join(name), text).unwrap();
    }
    drop((stream, journal));
    let (_journal, mut left) = folder.open();
    let (stream, found) = left.pop().unwrap();
    assert_eq!((found.router, stream.lost()), (None, None));
    stream.remove();
    assert!(left.is_empty());
}

#[test]
fn segments_go_when_stored_behind_a_checkpoint() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    let mut stream = filled(&journal, 1..=20, 1 << 20);
    assert_eq!(folder.segments().len(), 3);
    stream.release(u64::MAX, [0; 2]).unwrap();
    assert_eq!(folder.segments().len(), 3, "without a checkpoint none can go");
    for (number, segment) in [(9, 2), (17, 3)] {
        let start = chunk(number, 1 << 20).start;
        assert_eq!(stream.lacks_checkpoint(start), Some(segment));
        stream.store_checkpoint(segment, &checkpoint(start)).unwrap();
        assert_eq!(stream.lacks_checkpoint(start), None);
    }
    let stored = chunk(10, 1 << 20).end();
    journal.sync();
    stream.release(stored, [7, 9]).unwrap();
    assert_eq!(folder.segments().len(), 3, "that round may have begun before the checkpoint was written");
    journal.sync();
    stream.release(stored, [7, 9]).unwrap();
    assert_eq!(folder.segments().len(), 2);
    let bytes = journal.counters().bytes.load(Ordering::Relaxed);
    drop((stream, journal));
    let (journal, mut left) = folder.open();
    assert_eq!(journal.counters().bytes.load(Ordering::Relaxed), bytes);
    let (stream, found) = left.last_mut().unwrap();
    assert_eq!((found.octet, stream.acknowledged()), (chunk(9, 1 << 20).start, [7, 9]));
    assert_eq!(read(stream).0, (9..=20).collect::<Vec<_>>());
    stream.release(stored, [7, 9]).unwrap();
    assert_eq!(folder.segments().len(), 2);
    stream.release(chunk(16, 1 << 20).end(), [7, 9]).unwrap();
    assert_eq!(folder.segments().len(), 1);
}

#[test]
fn what_is_stored_is_not_read_again() {
    let folder = Folder::new();
    {
        let (journal, _) = folder.open();
        let mut stream = Stream::create(&journal, 1, &checkpoint(0)).unwrap();
        for number in 1..=40 {
            stream.append(&chunk(number, 1 << 20)).unwrap();
            let begins = chunk(number, 1 << 20).start;
            if let Some(segment) = stream.lacks_checkpoint(begins) {
                stream.store_checkpoint(segment, &checkpoint(begins)).unwrap();
            }
        }
    }
    let octets = |chunks: u64| chunks << 20;
    for (stored, first) in [(0, 1), (octets(8) - 1, 1), (octets(8), 9), (octets(30), 25), (octets(40), 33)] {
        let (_, mut left) = folder.open();
        let (mut stream, _) = left.remove(0);
        let began = stream.skip_stored(stored).map_or(0, |checkpoint| checkpoint.octet);
        assert_eq!(began, octets(first - 1), "{stored}");
        assert_eq!(read(&mut stream), ((first..=40).collect(), 0));
    }
    // What was passed over can go.
    let (_, mut left) = folder.open();
    let (mut stream, _) = left.remove(0);
    stream.skip_stored(octets(30)).unwrap();
    stream.release(octets(30), [0, 0]).unwrap();
    assert_eq!(folder.segments().len(), 2);
    // A damaged checkpoint is none.
    let last = folder.segments().pop().unwrap().with_extension("checkpoint");
    fs::write(last, b"x").unwrap();
    drop((stream, left));
    let (_, mut left) = folder.open();
    assert_eq!(left[0].0.skip_stored(octets(40)), None);
    assert_eq!(read(&mut left[0].0), ((25..=40).collect(), 0));
}

#[test]
fn a_session_that_rests_keeps_an_empty_segment() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    let mut stream = filled(&journal, 1..=2, 10);
    let end = chunk(2, 10).end();
    let segment = stream.turn_over(end).unwrap().unwrap();
    stream.store_checkpoint(segment, &checkpoint(end)).unwrap();
    assert_eq!(stream.turn_over(end).unwrap(), None);
    (0..2).for_each(|_| journal.sync());
    stream.release(end, [7, 9]).unwrap();
    assert_eq!(folder.segments().len(), 1);
    stream.append(&chunk(3, 10)).unwrap();
    drop((stream, journal));
    let (_journal, mut left) = folder.open();
    assert_eq!((left[0].1.octet, read(&mut left[0].0)), (end, (vec![3], 0)));
}

#[test]
fn a_hole_is_found_and_a_repetition_passed_over() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    let mut stream = filled(&journal, 1..=2, 10);
    for number in [2, 5] {
        stream.append(&chunk(number, 10)).unwrap();
    }
    drop((stream, journal));
    let (_journal, mut left) = folder.open();
    assert_eq!(read(&mut left[0].0), (vec![1, 2, 5], 20));
}

#[test]
fn a_cut_loses_the_segments_rest_a_change_one_record() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    drop((filled(&journal, 1..=3, 30), journal));
    let path = folder.segments().remove(0);
    let whole = fs::read(&path).unwrap();
    let record = 30 + 28;
    for at in 0..whole.len() {
        let whole_before = at.saturating_sub(8) / record;
        let before: Vec<u64> = (1..=3).take(whole_before).collect();
        // Only after a changed length is it unknown where the next record begins.
        let is_length = at < 8 || (at - 8) % record < 4;
        let behind = if is_length { 4..4 } else { u64::try_from(whole_before).unwrap() + 2..4 };
        let behind: Vec<u64> = behind.collect();
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        let places = [(changed, whole.len() - behind.len() * record, behind), (whole[..at].to_vec(), at, Vec::new())];
        for (bytes, size, behind) in places {
            let expected = [before.clone(), behind].concat();
            fs::write(&path, bytes).unwrap();
            let (_journal, mut left) = folder.open();
            let (numbers, lost) = read(&mut left[0].0);
            assert_eq!(numbers, expected, "octet {at}");
            let read = if at < 8 { 0 } else { 8 + record * whole_before };
            assert_eq!(lost, u64::try_from(size - read).unwrap(), "octet {at}");
        }
    }
}

#[test]
fn a_record_that_was_being_written_is_no_damage() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    drop((filled(&journal, 1..=3, 30), journal));
    let path = folder.segments().remove(0);
    let whole = fs::read(&path).unwrap();
    let record = 30 + 28;
    let (second, third) = (8 + record, 8 + 2 * record);
    let check = |bytes: &[u8], expected: (Vec<u64>, u64)| {
        fs::write(&path, bytes).unwrap();
        let (journal, mut left) = folder.open();
        let (stream, _) = &mut left[0];
        assert_eq!(read(stream), expected, "{} octets", bytes.len());
        let last = expected.0.last().filter(|_| expected.1 == 0).map(|last| 30 * last);
        assert_eq!((stream.unread(), stream.last_chunk().unwrap().map(|last| last.end())), (0, last));
        stream.skip_all();
        assert_eq!((stream.unread(), stream.next_piece().unwrap()), (0, Piece::End));
        let damaged = journal.counters().damaged_bytes.load(Ordering::Relaxed);
        assert_eq!(damaged, expected.1);
    };
    let mut begun = whole.clone();
    begun[third] = record::UNFINISHED;
    for size in third + 1..whole.len() {
        check(&begun[..size], (vec![1, 2], 0));
    }
    // Only its first octet is missing.
    check(&begun, (vec![1, 2, 3], 0));
    // A record with others after it was written.
    begun = whole.clone();
    begun[second] = record::UNFINISHED;
    check(&begun, (vec![1, 2, 3], 0));
    begun[second + 30] ^= 1;
    check(&begun, (vec![1], u64::try_from(2 * record).unwrap()));
}

#[test]
fn reading_continues_after_damaged_parts() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    drop((filled(&journal, 1..=20, 1 << 20), journal));
    let path = folder.segments().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[3 << 20] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (journal, mut left) = folder.open();
    let (numbers, lost) = read(&mut left[0].0);
    assert_eq!(numbers, [vec![1, 2], (4..=20).collect()].concat());
    assert_eq!(lost, (1 << 20) + 28);
    assert_eq!(journal.counters().damaged_bytes.load(Ordering::Relaxed), lost);
    drop((left, journal));
    // The length of the fourth record.
    bytes[8 + 3 * ((1 << 20) + 28)] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (_journal, mut left) = folder.open();
    assert_eq!(read(&mut left[0].0).0, [vec![1, 2], (9..=20).collect()].concat());
}

/// Changes the last octet of a checkpoint of stream 1.
fn damage(folder: &Folder, segment: u64) {
    let place = folder.0.join(format!("{:020}", 1)).join(format!("{segment:020}.checkpoint"));
    let mut bytes = fs::read(&place).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&place, bytes).unwrap();
}

#[test]
fn a_damaged_checkpoint_costs_its_segment() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    let mut stream = filled(&journal, 1..=9, 1 << 20);
    let start = chunk(9, 1 << 20).start;
    stream.store_checkpoint(2, &checkpoint(start)).unwrap();
    drop((stream, journal));
    damage(&folder, 1);
    let (_journal, mut left) = folder.open();
    let (numbers, lost) = read(&mut left[0].0);
    assert_eq!((left[0].1.octet, numbers), (start, vec![9]));
    assert!(lost >= start, "{lost}");
}

/// The losses that are to be reported at the start.
fn reported(journal: &Arc<Journal>) -> Vec<Loss> {
    journal.take_unreported().into_iter().map(|(loss, _)| loss).collect()
}

#[test]
fn a_stream_without_a_checkpoint_is_set_aside() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    let stream = filled(&journal, 1..=3, 5);
    fs::create_dir(journal.folder_of(77)).unwrap();
    drop((stream, journal));
    damage(&folder, 1);
    let (journal, left) = folder.open();
    assert!(left.is_empty() && !journal.folder_of(1).exists() && !journal.folder_of(77).exists());
    assert_eq!(journal.first_number(), 78);
    let kept = journal.set_aside_dir().join("unknown-1.bmp");
    assert_eq!(fs::read(&kept).unwrap(), [[1; 5], [2; 5], [3; 5]].concat());
    let said = reported(&journal);
    assert!(said.len() == 1 && said[0].what.contains(&*kept.to_string_lossy()), "{said:?}");
    assert_eq!(said[0].router, None);
    assert_eq!(journal.counters().gaps.load(Ordering::Relaxed), 1);
    drop(journal);
    let (journal, _) = folder.open();
    assert_eq!(reported(&journal), said, "its row is not committed");
    drop(journal);
    let (journal, _) = folder.open();
    journal.take_unreported().into_iter().for_each(|(_, note)| note.unwrap().forget());
    drop(journal);
    assert_eq!(reported(&folder.open().0), []);
}

#[test]
fn a_checkpoint_that_is_gone_is_a_gap_of_its_router() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    let stream = filled(&journal, 1..=3, 5);
    stream.note_router(&RouterId::new("10.0.0.9"));
    fs::remove_file(stream.folder().join(format!("{:020}.checkpoint", 1))).unwrap();
    drop((stream, journal));
    let (journal, left) = folder.open();
    assert!(left.is_empty());
    let kept = journal.set_aside_dir().join("10.0.0.9-1.bmp");
    assert_eq!(fs::read(&kept).unwrap(), [[1; 5], [2; 5], [3; 5]].concat());
    let said = reported(&journal);
    assert_eq!(said.iter().map(|loss| loss.router.as_deref()).collect::<Vec<_>>(), [Some("10.0.0.9")]);
}

#[test]
fn a_segment_of_another_session_is_not_applied() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    let ours = filled(&journal, 1..=3, 5);
    let other = Checkpoint { session: "c0ffee00-0000-4000-8000-000000000002".to_owned(), ..checkpoint(0) };
    let mut theirs = Stream::create(&journal, 2, &other).unwrap();
    theirs.append(&chunk(1, 5)).unwrap();
    let name = format!("{:020}.segment", 1);
    let feeds = Feeds::new(1);
    let feed = journal.open_feed(&feeds, 1, other.source).unwrap();
    feed.appended(ours.last_segment(), &chunk(3, 5));
    fs::copy(theirs.folder().join(&name), ours.folder().join(&name)).unwrap();
    let mut octets = 0;
    ours.reread(&(0..u64::MAX), |_| octets += 1).unwrap();
    assert_eq!(octets, 0);
    assert!(FeedReader::new(feed, 0, 0).next_part().is_err());
    drop((ours, theirs, journal));
    let (_journal, mut left) = folder.open();
    assert_eq!(left[0].0.last_chunk().unwrap(), None);
    let (numbers, lost) = read(&mut left[0].0);
    assert_eq!(numbers, [0; 0]);
    assert!(lost > 0);
    assert_eq!(read(&mut left[1].0), (vec![1], 0));
    // One that an earlier version wrote has no trace of its session.
    let path = left[1].0.folder().join(&name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[..8].copy_from_slice(record::MAGIC);
    fs::write(&path, bytes).unwrap();
    drop((left, _journal));
    assert_eq!(read(&mut folder.open().1[1].0), (vec![1], 0));
}

#[test]
fn a_stream_that_begins_later_has_no_damage() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    let session = checkpoint(0).session;
    let mut stream = Stream::create_at(&journal, 1, &session, 10).unwrap();
    stream.append(&chunk(3, 5)).unwrap();
    assert_eq!(stream.lacks_checkpoint(10), Some(1));
    stream.store_checkpoint(1, &checkpoint(10)).unwrap();
    drop((stream, journal));
    let (_journal, mut left) = folder.open();
    assert_eq!((left[0].1.octet, read(&mut left[0].0)), (10, (vec![3], 0)));
}

#[test]
fn losses_stay_noted_until_they_are_reported() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    let source = Some("192.0.2.1".to_owned());
    let loss = Loss { router: Some("10.0.0.9".to_owned()), source, what: "all of it".to_owned() };
    let long = Loss { router: None, what: "\"\u{1}é".repeat(400), ..loss.clone() };
    journal.note_lost(&loss).unwrap();
    journal.note_lost(&Loss { what: "reported".to_owned(), ..loss.clone() }).unwrap().forget();
    journal.note_lost(&long).unwrap();
    drop(journal);
    for _ in 0..2 {
        // The process is killed before a row is committed.
        let said = reported(&folder.open().0);
        assert_eq!(said[0], loss);
        assert!(said.len() == 2 && !said[1].what.is_empty() && long.what.starts_with(&said[1].what), "{said:?}");
    }
    let (journal, _) = folder.open();
    let (_, note) = journal.take_unreported().remove(0);
    note.unwrap().forget();
    // An identifier that has no room.
    let later = Loss { router: Some("\u{1}".repeat(100)), what: "later".to_owned(), ..loss };
    journal.note_lost(&later).unwrap();
    drop(journal);
    let said = reported(&folder.open().0);
    assert_eq!(said[0], Loss { router: None, ..later });
    assert!(said.len() == 2 && long.what.starts_with(&said[1].what), "{said:?}");
    let (journal, _) = folder.open();
    let notes = (2..256).map(|_| journal.note_lost(&said[0])).collect::<Vec<_>>();
    assert!(notes.iter().all(Option::is_some) && journal.note_lost(&said[0]).is_none());
}

#[test]
fn streams_come_back_in_the_order_of_their_sessions() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    // The older session's was begun later.
    for number in [7, 3] {
        drop(Stream::create(&journal, number, &checkpoint(0)).unwrap());
    }
    drop(journal);
    let (journal, left) = folder.open();
    assert_eq!(left.iter().map(|(stream, _)| stream.number()).collect::<Vec<_>>(), [3, 7]);
    assert_eq!(journal.first_number(), 8);
}

#[test]
fn a_full_journal_takes_nothing_and_stays_as_it_was() {
    let folder = Folder::new();
    let (journal, _) = Journal::open(&folder.0, Some(2000)).unwrap();
    let mut stream = Stream::create(&journal, 1, &checkpoint(0)).unwrap();
    stream.append(&chunk(1, 1000)).unwrap();
    assert!(matches!(stream.append(&chunk(2, 1000)), Err(JournalError::Full(2000))));
    assert!(journal.is_full());
    let small = Chunk { start: 1000, bytes: [2; 10].into(), ..chunk(2, 1000) };
    stream.append(&small).unwrap();
    stream.read_from(&small);
    assert_eq!(stream.next_piece().unwrap(), Piece::Chunk(small));
    assert!(Journal::off().is_off());
}

#[test]
fn a_stream_that_is_only_relayed_is_not_replayed() {
    let folder = Folder::new();
    let (journal, _) = folder.open();
    let stream = filled(&journal, 1..=20, 1 << 20);
    stream.note_over();
    drop((stream, journal));
    let (journal, left) = folder.open();
    assert!(left.is_empty() && !journal.folder_of(1).exists());
    assert_eq!(journal.counters().bytes.load(Ordering::Relaxed), 0);
}
