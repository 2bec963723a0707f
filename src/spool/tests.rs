//! Streams on a real file system: what was appended comes back, and what is damaged costs no more than itself.

use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::model::RouterId;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rib-ingester-spool-{}-{number}", std::process::id());
        Folder(std::env::temp_dir().join(name).join("spool"))
    }

    fn open(&self) -> (Arc<Spool>, Vec<Stream>) {
        Spool::open(&self.0, Some(1 << 30)).unwrap()
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

fn context(behind: u64) -> Context {
    Context {
        source: "192.0.2.1".parse().unwrap(),
        router: Some(RouterId::new("10.0.0.1")),
        began: Timestamp::from_unix_micros(1_700_000_000_000_000),
        behind,
        tables: vec![("global\u{0}4".to_owned(), true), ("UNKNOWN\u{0}6".to_owned(), false)],
        ids: vec![(u64::MAX, 0), (7, u32::MAX)],
        preamble: b"as the router sent it".to_vec(),
        lost: Some("the end of it".to_owned()),
    }
}

fn chunk(number: u64, size: usize) -> Chunk {
    let received_at = Timestamp::from_unix_micros(1_700_000_000_000_000 + i64::try_from(number).unwrap());
    Chunk { number, received_at, bytes: vec![number.to_be_bytes()[7]; size].into() }
}

/// The numbers of all chunks that can be read, and the bytes that cannot.
fn read(stream: &mut Stream) -> (Vec<u64>, u64) {
    let (mut numbers, mut lost) = (Vec::new(), 0);
    loop {
        match stream.next_piece().unwrap() {
            Piece::Chunk(chunk) => {
                assert!(chunk.bytes.iter().all(|byte| *byte == chunk.number.to_be_bytes()[7]));
                numbers.push(chunk.number);
            }
            Piece::Damaged(bytes) => lost += bytes,
            Piece::End => return (numbers, lost),
        }
    }
}

#[test]
fn chunks_return_in_order_across_processes() {
    let folder = Folder::new();
    let (spool, left) = folder.open();
    assert!(left.is_empty());
    let mut stream = Stream::create(&spool, 1, context(2)).unwrap();
    stream.append(&chunk(3, 10), Taken::Yes).unwrap();
    stream.append(&chunk(4, 10), Taken::No).unwrap();
    stream.append(&chunk(5, 0), Taken::No).unwrap();
    assert_eq!(stream.next_piece().unwrap(), Piece::Chunk(chunk(4, 10)));
    assert!(stream.unread() > 0);
    assert_eq!(read(&mut stream), (vec![5], 0));
    assert_eq!((stream.unread(), stream.taken()), (0, 5));
    stream.append(&chunk(6, 1), Taken::No).unwrap();
    spool.sync();
    assert!(Spool::open(&folder.0, None).is_err(), "two processes in one folder");
    drop((stream, spool));
    let (spool, mut left) = folder.open();
    let mut stream = left.pop().unwrap();
    assert_eq!((stream.context(), stream.taken()), (&context(2), 5));
    assert_eq!(read(&mut stream), (vec![3, 4, 5, 6], 0));
    stream.remove();
    assert_eq!(spool.counters().bytes.load(Ordering::Relaxed), 0);
    assert_eq!(spool.oldest(), None);
    drop(spool);
    assert!(folder.open().1.is_empty());
}

#[test]
fn segments_go_when_the_database_has_them() {
    let folder = Folder::new();
    let (spool, _) = folder.open();
    let mut stream = Stream::create(&spool, 1, context(0)).unwrap();
    for number in 1..=40 {
        stream.append(&chunk(number, 1 << 20), Taken::No).unwrap();
    }
    assert_eq!(folder.segments().len(), 3);
    assert_eq!(read(&mut stream).0, (1..=40).collect::<Vec<_>>());
    stream.release(15, || panic!("no segment ends before chunk 16")).unwrap();
    stream.release(30, || context(30)).unwrap();
    assert_eq!(folder.segments().len(), 2);
    let bytes = spool.counters().bytes.load(Ordering::Relaxed);
    drop((stream, spool));
    let (spool, mut left) = folder.open();
    assert_eq!(spool.counters().bytes.load(Ordering::Relaxed), bytes);
    assert_eq!(read(left.last_mut().unwrap()).0, (31..=40).collect::<Vec<_>>());
}

#[test]
fn a_cut_loses_the_segments_rest_a_change_one_record() {
    let folder = Folder::new();
    let (spool, _) = folder.open();
    let mut stream = Stream::create(&spool, 1, context(0)).unwrap();
    for number in 1..=3 {
        stream.append(&chunk(number, 30), Taken::No).unwrap();
    }
    drop((stream, spool));
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
            let (_spool, mut left) = folder.open();
            let (numbers, lost) = read(&mut left[0]);
            assert_eq!(numbers, expected, "octet {at}");
            let read = if at < 8 { 0 } else { 8 + record * whole_before };
            assert_eq!(lost, u64::try_from(size - read).unwrap(), "octet {at}");
        }
    }
}

#[test]
fn reading_continues_after_damaged_parts() {
    let folder = Folder::new();
    let (spool, _) = folder.open();
    let mut stream = Stream::create(&spool, 1, context(0)).unwrap();
    for number in 1..=20 {
        stream.append(&chunk(number, 1 << 20), Taken::No).unwrap();
    }
    drop((stream, spool));
    let path = folder.segments().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[3 << 20] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (spool, mut left) = folder.open();
    let (numbers, lost) = read(&mut left[0]);
    assert_eq!(numbers, [vec![1, 2], (4..=20).collect()].concat());
    assert_eq!(lost, (1 << 20) + 28);
    assert_eq!(spool.counters().damaged_bytes.load(Ordering::Relaxed), lost);
    drop((left, spool));
    // The length of the fourth record.
    bytes[8 + 3 * ((1 << 20) + 28)] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (_spool, mut left) = folder.open();
    assert_eq!(read(&mut left[0]).0, [1, 2, 17, 18, 19, 20]);
}

#[test]
fn a_stream_with_a_damaged_context_is_set_aside() {
    let folder = Folder::new();
    let (spool, _) = folder.open();
    let mut stream = Stream::create(&spool, 1, context(0)).unwrap();
    (1..=3).for_each(|number| stream.append(&chunk(number, 5), Taken::No).unwrap());
    fs::create_dir(spool.folder_of(77)).unwrap();
    drop((stream, spool));
    let place = folder.0.join(format!("{:020}", 1)).join("context");
    let mut bytes = fs::read(&place).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&place, bytes).unwrap();
    let (spool, left) = folder.open();
    assert!(left.is_empty() && !spool.folder_of(1).exists() && !spool.folder_of(77).exists());
    assert_eq!(spool.first_number(), 78);
    let kept = spool.set_aside_dir().join("unknown-1.bmp");
    assert_eq!(fs::read(&kept).unwrap(), [[1; 5], [2; 5], [3; 5]].concat());
    let said = spool.take_unreadable();
    assert!(said.len() == 1 && said[0].contains(&*kept.to_string_lossy()), "{said:?}");
    assert_eq!(spool.counters().gaps.load(Ordering::Relaxed), 1);
    drop(spool);
    assert_eq!(folder.open().0.take_unreadable(), [""; 0], "once");
}

#[test]
fn streams_come_back_in_the_order_of_their_sessions() {
    let folder = Folder::new();
    let (spool, _) = folder.open();
    // The older session's was begun later.
    for number in [7, 3] {
        drop(Stream::create(&spool, number, context(0)).unwrap());
    }
    drop(spool);
    let (spool, left) = folder.open();
    assert_eq!(left.iter().map(Stream::number).collect::<Vec<_>>(), [3, 7]);
    assert_eq!(spool.first_number(), 8);
}

#[test]
fn a_full_spool_takes_nothing_and_stays_as_it_was() {
    let folder = Folder::new();
    let (spool, _) = Spool::open(&folder.0, Some(2000)).unwrap();
    let mut stream = Stream::create(&spool, 1, context(0)).unwrap();
    stream.append(&chunk(1, 1000), Taken::No).unwrap();
    assert!(matches!(stream.append(&chunk(2, 1000), Taken::No), Err(SpoolError::Full(2000))));
    stream.append(&chunk(2, 10), Taken::No).unwrap();
    assert_eq!(read(&mut stream), (vec![1, 2], 0));
    assert!(Spool::off().is_off());
}
