//! First inputs for every target, cut out of recordings.

use rib_ingester::wire::bmp::{self, Frame, Message};

use super::MESSAGE_MAX;

/// How many octets of a recording a stream target begins with.
const STREAM_OCTETS: usize = 4096;

/// How many messages of one recording become seeds of their own.
const MESSAGES_MAX: usize = 200;

/// Inputs made from one recording: the target, and the input.
pub fn of(recording: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut stream = Vec::new();
    let mut rest = recording;
    let mut messages = 0;
    while let Ok(Some(frame)) = bmp::next_frame(rest, MESSAGE_MAX) {
        rest = &rest[frame.bytes.len()..];
        if stream.len() + frame.bytes.len() <= STREAM_OCTETS {
            stream.extend(frame.bytes);
        }
        if messages < MESSAGES_MAX {
            messages += 1;
            of_message(&frame, &mut seeds);
        }
    }
    // What a stream that is no BMP from its first octet on begins with.
    stream.extend(&rest[..rest.len().min(64)]);
    for control in [0x18, 0x47, 0xff] {
        seeds.push(("frames", [&[control][..], &stream].concat()));
        seeds.push(("session", [&[control][..], &stream].concat()));
    }
    seeds.push(("lines", stream));
    seeds.extend(super::capture::seeds(recording).into_iter().map(|seed| ("capture", seed)));
    seeds
}

fn of_message(frame: &Frame<'_>, seeds: &mut Vec<(&'static str, Vec<u8>)>) {
    let body = &frame.bytes[bmp::COMMON_HEADER_SIZE..];
    let control = (frame.version - 3) << 7 | frame.type_code & 7;
    seeds.push(("message", [&[control][..], body].concat()));
    match bmp::decode(frame) {
        Ok(Message::RouteMonitoring(monitoring)) => {
            if let Some(body) = monitoring.update.get(19..) {
                for families in [0, 0xff] {
                    seeds.push(("update", [&[0, families][..], body].concat()));
                }
            }
        }
        // Behind per-peer header, address and ports the first OPEN stands.
        Ok(Message::PeerUp(_)) => seeds.push(("open", [&[0][..], &body[62 + 19..]].concat())),
        Ok(
            Message::StatisticsReport(_)
            | Message::PeerDown(_)
            | Message::Initiation(_)
            | Message::Termination(_)
            | Message::RouteMirroring(_)
            | Message::Unknown { .. },
        )
        | Err(_) => {}
    }
}
