//! The capture reader: any octets as a capture file, and a stream in a capture made of it.
//!
//! However the file arrives, the same events come of it; what is said of a stream has no gap and no overlap, and holds
//! no more octets than the file. A stream captured as a whole comes back octet by octet, in whatever order its segments
//! stand.

use std::collections::HashMap;

use rib_ingester::capture::{Capture, Cut, Event, Tally};
use rib_ingester::wire::bmp;

use super::trickle::Trickle;

#[path = "../../common/capture.rs"]
#[allow(clippy::duplicate_mod, reason = "the tests of the wire have it among what they share")]
mod made;

const PORT: u16 = 11019;

/// The first octet chooses what the rest is (a file, or a stream), how many octets come at once, and what stands in the
/// file.
pub fn check(input: &[u8]) {
    let Some((control, rest)) = input.split_first() else { return };
    let step = 1 << (control >> 1 & 0x0f);
    if control & 1 == 0 { check_file(rest, step) } else { check_stream(rest, step, control >> 5) }
}

fn check_file(file: &[u8], step: usize) {
    let whole = read(file, usize::MAX);
    assert_eq!(read(file, step), whole, "in parts of {step}");
    let (events, tally, _) = whole;
    check_events(&events, file.len(), &tally);
}

/// The events of a file, what it held besides, and how it ended.
fn read(file: &[u8], step: usize) -> (Vec<Event>, Tally, String) {
    let mut capture = Capture::new(Trickle { rest: file, step }, PORT, super::MESSAGE_MAX);
    let mut events = Vec::new();
    let end = loop {
        match capture.next_event() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => break String::new(),
            Err(error) => break error.to_string(),
        }
    };
    assert!(matches!(capture.next_event(), Ok(None)), "an end is told once");
    (events, capture.tally(), end)
}

fn check_events(events: &[Event], octets: usize, tally: &Tally) {
    // The next octet of each stream; `None` once it has ended.
    let mut next: HashMap<u64, Option<u64>> = HashMap::new();
    let mut given = 0;
    for event in events {
        let (Event::Cut(id, _) | Event::End(id, _)) = event;
        assert_eq!(id.destination.port(), PORT);
        let at = next.entry(id.number).or_insert(Some(0));
        let position = at.expect("nothing comes behind a stream's end");
        *at = match event {
            Event::Cut(_, Cut::Messages { offset, bytes }) => {
                assert!(*offset == position && !bytes.is_empty());
                given += bytes.len();
                Some(position + bytes.len() as u64)
            }
            Event::Cut(_, Cut::Lost { from, to, missing }) => {
                assert!(*from == position && from < to && *missing <= to - from, "{event:?} at {position}");
                Some(*to)
            }
            Event::End(_, length) => {
                assert_eq!(*length, position);
                None
            }
        };
    }
    assert!(given <= octets, "{given} octets out of {octets}");
    assert_eq!(next.len() as u64, tally.streams);
    assert!(next.values().all(Option::is_none), "every stream ends");
    assert!((1..=tally.streams).all(|number| next.contains_key(&number)));
}

/// A session from its SYN to its FIN, whose segments come in order, in pairs the wrong way round, all twice, or both.
fn check_stream(stream: &[u8], size: usize, order: u8) {
    // A file of a hundred thousand packets shows nothing that one of a thousand does not.
    let stream = &stream[..stream.len().min(1_000 * size)];
    if stream.is_empty() {
        return;
    }
    let flow = made::Flow::new("192.0.2.1:40000", "192.0.2.2:11019");
    let mut segments = flow.segments(0, stream, size);
    if order & 1 != 0 {
        segments.chunks_mut(2).for_each(<[Vec<u8>]>::reverse);
    }
    if order & 2 != 0 {
        segments = segments.into_iter().flat_map(|segment| [segment.clone(), segment]).collect();
    }
    let packets = [vec![flow.syn()], segments, vec![flow.fin(stream.len())]].concat();
    let file = if order & 4 == 0 { made::pcap(101, &packets) } else { made::pcapng(1, &packets) };
    let (events, tally, end) = read(&file, usize::MAX);
    assert_eq!((end.as_str(), tally.streams), ("", 1));
    check_events(&events, stream.len(), &tally);
    let mut bytes = Vec::<u8>::new();
    for event in &events {
        match event {
            Event::Cut(_, Cut::Messages { bytes: more, .. }) => bytes.extend(more),
            Event::Cut(_, lost @ Cut::Lost { .. }) => panic!("{lost:?}"),
            Event::End(..) => {}
        }
    }
    assert_eq!(bytes, stream);
}

/// A recording as a session in a file of either format, for [`check`].
pub fn seeds(recording: &[u8]) -> Vec<Vec<u8>> {
    let mut end = 0;
    while let Ok(Some(frame)) = bmp::next_frame(&recording[end..], super::MESSAGE_MAX) {
        if end + frame.bytes.len() > 4_096 {
            break;
        }
        end += frame.bytes.len();
    }
    let stream = &recording[..end];
    let packets = made::Flow::new("192.0.2.1:40000", "192.0.2.2:11019").session(stream);
    let v6 = made::Flow::new("[2001:db8::1]:40000", "[2001:db8::2]:11019").session(stream);
    let files = [
        made::pcap(1, &packets),
        made::pcapng(113, &packets),
        made::pcap_big_endian(101, &v6),
        // From the middle of the session.
        made::pcap(101, &packets[packets.len() / 2..]),
    ];
    let as_files = files.into_iter().map(|file| [&[0x1e][..], &file].concat());
    as_files.chain([0x0d, 0x2d, 0x4d, 0xed].map(|control| [&[control][..], stream].concat())).collect()
}
