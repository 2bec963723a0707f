//! Readers of a stream on a real file system.

use super::*;
use crate::journal::{Checkpoint, Chunk, FeedReader, Journal, Part, Stream};
use crate::model::Timestamp;

const SIZE: usize = 1 << 20;

/// A journal with room for this much, in a folder that is removed with the value.
struct Scene {
    folder: PathBuf,
    journal: Arc<Journal>,
    feeds: Feeds,
    feed: Arc<Feed>,
    stream: Stream,
    octets: u64,
}

impl Scene {
    fn new(readers: usize) -> Scene {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("rib-ingester-feed-{}-{number}", std::process::id()));
        let (journal, _) = Journal::open(&folder, Some(20 << 30)).unwrap();
        let feeds = Feeds::new(readers);
        let feed = journal.open_feed(&feeds, 1, "192.0.2.1".parse().unwrap()).unwrap();
        let stream = Stream::create(&journal, 1, &Scene::checkpoint(0)).unwrap();
        Scene { folder, journal, feeds, feed, stream, octets: 0 }
    }

    fn checkpoint(octet: u64) -> Checkpoint {
        let beginning = Checkpoint::of_beginning("one", "192.0.2.1".parse().unwrap(), Timestamp::from_unix_micros(0));
        Checkpoint { octet, ..beginning }
    }

    /// Appends a chunk of this octet, in which a new segment begins if the last one is full.
    fn append(&mut self, octet: u8) {
        let received_at = Timestamp::from_unix_micros(0);
        let chunk = Chunk { start: self.octets, received_at, bytes: vec![octet; SIZE].into() };
        self.stream.append(&chunk).unwrap();
        self.octets = chunk.end();
        if let Some(segment) = self.stream.lacks_checkpoint(chunk.start) {
            self.stream.store_checkpoint(segment, &Scene::checkpoint(chunk.start)).unwrap();
        }
        self.feed.appended(self.stream.last_segment(), &chunk);
    }

    /// Removes what is stored up to this octet and not wanted.
    fn release(&mut self, stored: u64) {
        (0..2).for_each(|_| self.journal.sync());
        self.stream.release(stored.min(self.feed.unwanted()), [0; 2]).unwrap();
        self.feed.removed_before(self.stream.ends().0);
    }

    fn reader(&self, reader: usize, octet: u64) -> FeedReader {
        FeedReader::new(Arc::clone(&self.feed), reader, octet)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The first octets of the chunks that can be read now, and what comes after them.
fn read(reader: &mut FeedReader) -> (Vec<u8>, Part) {
    let mut octets = Vec::new();
    loop {
        match reader.next_part().unwrap() {
            Part::Bytes(chunk) => octets.push(chunk.bytes[0]),
            part => return (octets, part),
        }
    }
}

#[test]
fn a_segment_stays_while_a_reader_wants_it() {
    let mut scene = Scene::new(2);
    assert_eq!(scene.feed.state_of(0), ReaderState::Early);
    (0..20).for_each(|octet| scene.append(octet));
    assert_eq!(scene.feed.state_of(0), ReaderState::Early, "it may stand by");
    scene.feed.claim();
    assert_eq!(scene.feed.state_of(0), ReaderState::Ready);
    let mut readers = [0, 1].map(|reader| scene.reader(reader, 0));
    assert_eq!(read(&mut readers[0]), ((0..20).collect(), Part::Nothing));
    scene.release(scene.octets);
    assert_eq!(scene.stream.ends().0, 1, "the other reader wants it");
    assert_eq!(read(&mut readers[1]), ((0..20).collect(), Part::Nothing));
    scene.release(scene.octets);
    assert_eq!(scene.stream.ends(), (3, 3));
    (20..30).for_each(|octet| scene.append(octet));
    scene.feed.end();
    assert!(!scene.feed.is_read());
    for reader in &mut readers {
        assert_eq!(read(reader), ((20..30).collect(), Part::End));
    }
    assert!(scene.feed.is_read() && !scene.feed.want_all(0));
    [0, 1].into_iter().for_each(|reader| scene.feed.leave(reader));
    assert_eq!(scene.feeds.all().len(), 1);
    scene.journal.open_feed(&scene.feeds, 2, scene.feed.source).unwrap();
    assert_eq!(scene.feeds.all().len(), 1, "one that nobody wants goes with the next");
}

#[test]
fn a_reader_that_is_late_begins_in_the_middle() {
    let mut scene = Scene::new(2);
    scene.feed.claim();
    (0..12).for_each(|octet| scene.append(octet));
    [0, 1].into_iter().for_each(|reader| scene.feed.miss(reader));
    assert_eq!((scene.feed.state_of(0), scene.feed.want_all(0)), (ReaderState::Missed, true), "all of it is there");
    scene.feed.miss(0);
    scene.release(scene.octets);
    assert!(!scene.feed.want_all(0) && scene.feed.want_rest(0).is_none() && scene.feed.is_middle_wanted());
    let taken = 10 * u64::try_from(SIZE).unwrap();
    scene.feed.begin_middle(taken, b"messages".to_vec());
    // It is not removed before the reader comes.
    assert_eq!(scene.feed.unwanted(), taken);
    let (octet, messages) = scene.feed.want_rest(0).unwrap();
    assert_eq!((octet, &*messages), (taken, &b"messages"[..]));
    assert_eq!(read(&mut scene.reader(0, octet)), (vec![10, 11], Part::Nothing));
    // In the middle of a chunk only its rest is read.
    let Part::Bytes(rest) = scene.reader(0, taken + 5).next_part().unwrap() else { panic!("it has more") };
    assert_eq!((rest.start, rest.bytes.len()), (taken + 5, SIZE - 5));
    assert!(scene.feed.want_rest(1).is_none(), "each asks for itself");
}

#[test]
fn sessions_are_closed_one_a_second() {
    let scene = Scene::new(1);
    assert!(scene.feeds.ask_for_dump(&scene.feed, "a:1") && !scene.feeds.ask_for_dump(&scene.feed, "a:1"));
    assert_eq!((scene.feed.take_wanted_dump().as_deref(), scene.feed.take_wanted_dump()), (Some("a:1"), None));
}

#[test]
fn what_is_cut_or_lost_is_not_read() {
    let mut scene = Scene::new(1);
    scene.feed.claim();
    (0..2).for_each(|octet| scene.append(octet));
    let mut reader = scene.reader(0, 0);
    scene.feed.lose();
    assert!(reader.next_part().is_err() && scene.feed.state_of(0) == ReaderState::Over && scene.feed.is_read());
    scene.feed.cut();
    assert_eq!(read(&mut reader), (Vec::new(), Part::Cut));
}
