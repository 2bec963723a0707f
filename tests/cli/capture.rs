//! `decode` and `replay` of packet captures, which the tests make around the recordings in `tests/data`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use crate::common::capture::{ACK, Flow, LINKS, RST, ip, pcap, pcap_big_endian, pcapng};
use proptest::prelude::*;
use rib_ingester::capture::{Capture, Cut, Event};
use rib_ingester::cli::decode;
use serde_json::Value;

const MESSAGE_MAX: usize = 1 << 20;

const RECORDING: &[u8] = include_bytes!("../data/gobgp-locrib.bmp");
const OTHER_RECORDING: &[u8] = include_bytes!("../data/frr10-locrib.bmp");

fn flow() -> Flow {
    Flow::new("192.0.2.1:43210", "192.0.2.9:11019")
}

/// Runs a command with `input` on its standard input.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.env_clear().args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // A command that gives up early closes the pipe.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn json(text: &[u8]) -> Vec<Value> {
    text.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
}

/// The lines that raw BMP is decoded to.
fn raw(bytes: &[u8]) -> Vec<Value> {
    let mut out = Vec::new();
    assert!(decode::run(bytes, &mut out, MESSAGE_MAX).unwrap());
    json(&out)
}

/// The lines of a capture that decodes without errors, as (stream, line without the stream).
fn decoded(file: &[u8]) -> Vec<(String, Value)> {
    let output = run(&["decode", "-"], file);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    split(&output)
}

fn split(output: &Output) -> Vec<(String, Value)> {
    let take = |mut line: Value| {
        let stream = line.as_object_mut().unwrap().remove("stream").unwrap();
        (stream.as_str().unwrap().to_string(), line)
    };
    json(&output.stdout).into_iter().map(take).collect()
}

/// Asserts that the capture holds one stream, which decodes as the raw bytes do.
fn check_is_like_raw(file: &[u8], bytes: &[u8], stream: &str, what: &str) {
    let (streams, lines): (Vec<_>, Vec<_>) = decoded(file).into_iter().unzip();
    assert!(streams.iter().all(|name| name == stream), "{what}: {streams:?}");
    assert!(lines == raw(bytes), "{what}: other lines than those of the raw bytes");
}

#[test]
fn every_format_and_link_layer_holds_the_same_stream() {
    for kind in LINKS {
        for (source, destination) in
            [("192.0.2.1:43210", "192.0.2.9:11019"), ("[2001:db8::1]:43210", "[2001:db8::9]:11019")]
        {
            let stream = format!("{source} -> {destination}");
            let packets = Flow::new(source, destination).session(OTHER_RECORDING);
            for (format, file) in [
                ("pcap", pcap(*kind, &packets)),
                ("pcap, big-endian", pcap_big_endian(*kind, &packets)),
                ("pcapng", pcapng(*kind, &packets)),
            ] {
                check_is_like_raw(&file, OTHER_RECORDING, &stream, &format!("{format} link {kind} {stream}"));
            }
        }
    }
}

#[test]
fn order_repetition_and_overlap_do_not_matter() {
    let flow = flow();
    let mut packets = vec![flow.syn(), flow.syn()];
    for (i, segment) in flow.segments(0, RECORDING, 700).chunks(3).enumerate() {
        // Backwards, the last one twice, and an overlap with other octets.
        packets.extend(segment.iter().rev().cloned());
        packets.push(segment[0].clone());
        packets.push(flow.packet(ACK, i * 2100, &[0xee; 300]));
    }
    packets.push(flow.fin(RECORDING.len()));
    packets.push(flow.packet(ACK, RECORDING.len() - 10, &RECORDING[RECORDING.len() - 10..]));
    let stream = "192.0.2.1:43210 -> 192.0.2.9:11019";
    check_is_like_raw(&pcap(1, &packets), RECORDING, stream, "reordered");
}

#[test]
fn a_new_syn_begins_another_stream() {
    let (first, second) = (flow(), Flow::new("192.0.2.2:43210", "192.0.2.9:11019"));
    let again = Flow { first: 77, ..first };
    let mut packets = vec![first.syn(), second.syn()];
    let (a, b) = (first.segments(0, RECORDING, 1000), second.segments(0, OTHER_RECORDING, 500));
    for i in 0..a.len().max(b.len()) {
        packets.extend(a.get(i).cloned());
        packets.extend(b.get(i).cloned());
    }
    // The collector's answers do not go to the port, so they are no part of the stream.
    packets.push(Flow::new("192.0.2.9:11019", "192.0.2.1:43210").packet(ACK, 0, &[3, 0, 0, 0, 6, 200]));
    packets.push(second.packet(RST, OTHER_RECORDING.len(), b""));
    packets.extend(again.session(OTHER_RECORDING));

    let lines = decoded(&pcap(1, &packets));
    let of = |stream: &str| -> Vec<Value> {
        lines.iter().filter(|(name, _)| name == stream).map(|(_, line)| line.clone()).collect()
    };
    assert!(of("192.0.2.2:43210 -> 192.0.2.9:11019") == raw(OTHER_RECORDING));
    assert!(of("192.0.2.1:43210 -> 192.0.2.9:11019") == [raw(RECORDING), raw(OTHER_RECORDING)].concat());
    assert_eq!(lines.len(), raw(RECORDING).len() + 2 * raw(OTHER_RECORDING).len());
}

/// `(offset, type)` of lines: these stay the same where earlier messages are missing.
fn places(lines: impl IntoIterator<Item = Value>) -> Vec<(u64, Value)> {
    lines.into_iter().map(|line| (line["offset"].as_u64().unwrap(), line["type"].clone())).collect()
}

#[test]
fn a_partial_capture_begins_at_the_first_full_message() {
    let messages = places(raw(RECORDING));
    let skipped = usize::try_from(messages[20].0).unwrap();
    // At a boundary; one a few octets after it; one before the next.
    for start in [skipped, skipped + 1, skipped + 30, usize::try_from(messages[21].0).unwrap() - 1] {
        let packets = flow().segments(start, &RECORDING[start..], 1000);
        let output = run(&["decode", "-"], &pcap(101, &packets));
        assert!(output.status.success(), "{}", stderr(&output));
        let start = u64::try_from(start).unwrap();
        let want: Vec<_> =
            messages.iter().filter(|(at, _)| *at >= start).map(|(at, kind)| (at - start, kind.clone())).collect();
        assert_eq!(places(split(&output).into_iter().map(|(_, line)| line)), want, "from {start}");
        assert_eq!(stderr(&output).contains("begins in the middle of a message"), want[0].0 > 0, "{}", stderr(&output));
    }
}

/// The place of the first message in a stream that begins anywhere.
fn first_found(octets: &[u8]) -> Option<u64> {
    let file = pcap(101, &flow().segments(0, octets, 1400));
    let mut capture = Capture::new(&file[..], 11019, MESSAGE_MAX);
    while let Ok(Some(event)) = capture.next_event() {
        if let Event::Cut(_, Cut::Messages { offset, .. }) = event {
            return Some(offset);
        }
    }
    None
}

#[test]
fn no_place_inside_a_message_is_taken_for_its_start() {
    let mut recordings = vec![("gobgp".to_string(), RECORDING.to_vec()), ("frr".to_string(), OTHER_RECORDING.to_vec())];
    if let Some(folder) = crate::common::corpus::folder() {
        // Recordings that were made malformed by hand show nothing about real streams.
        let names = crate::common::corpus::names(&folder).into_iter().filter(|name| !name.starts_with("craft-"));
        recordings.extend(names.map(|name| {
            let bytes = std::fs::read(folder.join(format!("{name}.bmp"))).unwrap();
            (name, bytes)
        }));
    }
    for (name, bytes) in recordings {
        let bytes = &bytes[..bytes.len().min(100_000)];
        let mut out = Vec::new();
        decode::run(bytes, &mut out, MESSAGE_MAX).unwrap();
        let boundaries: Vec<u64> = json(&out).iter().map(|line| line["offset"].as_u64().unwrap()).collect();
        // The last messages may be too few for a chain.
        let last = boundaries[boundaries.len().saturating_sub(4)];
        for start in (1..last).step_by(usize::try_from(last / 40 + 1).unwrap()) {
            let next = boundaries.iter().find(|at| **at >= start).unwrap() - start;
            let found = first_found(&bytes[usize::try_from(start).unwrap()..]);
            assert_eq!(found, Some(next), "{name}: from octet {start}");
        }
    }
}

#[test]
fn lost_segments_cost_the_messages_they_touch() {
    let flow = flow();
    let (mut packets, lost) = (flow.session(RECORDING), [3_u64, 4, 9]);
    lost.iter().rev().for_each(|i| drop(packets.remove(usize::try_from(i + 1).unwrap())));
    let output = run(&["decode", "-"], &pcap(1, &packets));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("2896 bytes not in the capture"), "{}", stderr(&output));
    assert!(stderr(&output).contains("1448 bytes not in the capture"), "{}", stderr(&output));
    let is_touched = |line: &Value| {
        let from = line["offset"].as_u64().unwrap();
        let to = from + line["length"].as_u64().unwrap();
        lost.iter().any(|i| from < (i + 1) * 1448 && to > i * 1448)
    };
    let want = places(raw(RECORDING).into_iter().filter(|line| !is_touched(line)));
    assert!(want.len() < raw(RECORDING).len());
    assert_eq!(places(split(&output).into_iter().map(|(_, line)| line)), want);
}

#[test]
fn packets_captured_in_part_are_gaps() {
    let flow = flow();
    let mut packets = flow.session(RECORDING);
    packets[5].truncate(400);
    let output = run(&["decode", "-"], &pcap(101, &packets));
    assert!(output.status.success(), "{}", stderr(&output));
    let missing = 20 + 24 + 1448 - 400;
    assert!(stderr(&output).contains(&format!("{missing} bytes not in the capture")), "{}", stderr(&output));
}

#[test]
fn bmp_to_another_port_is_guessed() {
    let elsewhere = Flow::new("192.0.2.1:43210", "192.0.2.9:5000");
    let file = pcap(1, &elsewhere.session(RECORDING));
    let output = run(&["decode", "-"], &file);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no data to TCP port 11019"), "{}", stderr(&output));
    assert!(stderr(&output).contains("try --port 5000"), "{}", stderr(&output));
    let output = run(&["decode", "-", "--port", "5000"], &file);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(json(&output.stdout).len(), raw(RECORDING).len());

    let output = run(&["decode", "-"], &pcap(1, &[]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no data to TCP port 11019 in 0 packets"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("try"), "{}", stderr(&output));
}

#[test]
fn what_is_left_out_is_counted() {
    let flow = flow();
    let mut packets = flow.session(RECORDING);
    let mut fragment = ip(flow.source.ip(), flow.destination.ip(), 6, &[0; 64]);
    fragment[6] = 0x20;
    packets.extend([fragment.clone(), fragment, ip(flow.source.ip(), flow.destination.ip(), 17, &[0; 64])]);
    let output = run(&["decode", "-"], &pcap(1, &packets));
    assert!(output.status.success());
    assert_eq!(stderr(&output), "rib-ingester: 2 IP fragments skipped: fragments are not reassembled\n");
}

#[test]
fn a_cut_capture_is_read_and_a_damaged_one_fails() {
    let file = pcap(1, &flow().session(RECORDING));
    let whole = raw(RECORDING).len();
    // In the last packet, which is the FIN.
    let output = run(&["decode", "-"], &file[..file.len() - 1]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(json(&output.stdout).len(), whole);
    assert!(stderr(&output).contains("the capture is cut short after packet"), "{}", stderr(&output));

    let mut file = pcapng(1, &flow().session(RECORDING));
    file.extend([6, 0, 0, 0, 0, 0, 0, 1]);
    file.extend([0; 40]);
    let output = run(&["decode", "-"], &file);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json(&output.stdout).len(), whole);
    assert!(stderr(&output).contains("the capture is damaged after packet"), "{}", stderr(&output));
}

#[test]
fn a_stream_that_is_no_bmp_breaks_alone() {
    let (bad, good) = (flow(), Flow::new("192.0.2.2:43210", "192.0.2.9:11019"));
    let packets = [bad.session(b"GET / HTTP/1.1\r\n\r\n"), good.session(RECORDING)].concat();
    let output = run(&["decode", "-"], &pcap(1, &packets));
    assert_eq!(output.status.code(), Some(1));
    let lines = json(&output.stdout);
    assert_eq!(lines[0]["error"]["message"], "version 71 is not 3 or 4");
    assert_eq!((&lines[0]["fatal"], &lines[0]["offset"]), (&Value::Bool(true), &Value::from(0)));
    assert_eq!(lines.len(), 1 + raw(RECORDING).len());
}

/// The messages that `replay` sends, and its output.
fn replayed(arguments: &[&str], file: &[u8]) -> (Vec<u8>, Output) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let collector = std::thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        received
    });
    let output = run(&[&["replay", "-", "--to", &to][..], arguments].concat(), file);
    assert!(output.status.success(), "{}", stderr(&output));
    (collector.join().unwrap(), output)
}

#[test]
fn replay_plays_one_stream_and_lists_the_others() {
    let (first, second) = (flow(), Flow::new("192.0.2.2:43210", "192.0.2.9:11019"));
    let packets = [first.session(RECORDING), second.session(OTHER_RECORDING)].concat();
    let file = pcapng(1, &packets);
    for (arguments, bytes, number) in [(&[][..], RECORDING, 1), (&["--stream", "2"], OTHER_RECORDING, 2)] {
        let (received, output) = replayed(arguments, &file);
        assert!(received == bytes, "stream {number}");
        for (i, source) in [(1, first.source), (2, second.source)] {
            let length = if i == 1 { RECORDING.len() } else { OTHER_RECORDING.len() };
            let this = if i == number { " (this one)" } else { "" };
            let line = format!("rib-ingester: --stream {i}: {source} -> 192.0.2.9:11019, {length} bytes{this}\n");
            assert!(stderr(&output).contains(&line), "{}", stderr(&output));
        }
    }
    // Nothing is listed where there is only one, and no connection is made where there is none.
    assert_eq!(stderr(&replayed(&[], &pcap(1, &first.session(RECORDING))).1), "");
    let check = |arguments: &[&str], input: &[u8], code: i32, said: &str| {
        let output = run(&[&["replay", "-", "--to", "127.0.0.1:1"][..], arguments].concat(), input);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    };
    check(&["--stream", "3"], &file, 1, "-: no stream 3; 2 streams to TCP port 11019");
    check(&["--stream", "2"], RECORDING, 2, "--stream 2: - is not a capture: it has one stream");
    check(&["--port", "179"], &file, 1, "try --port 11019");
}

#[test]
fn replay_of_a_stream_with_a_gap_sends_whole_messages() {
    let mut packets = flow().session(RECORDING);
    drop(packets.remove(6));
    let (received, output) = replayed(&[], &pcap(1, &packets));
    assert!(stderr(&output).contains("1448 bytes not in the capture"), "{}", stderr(&output));
    assert!(received.len() < RECORDING.len() - 1448);
    raw(&received);
}

/// Reads a capture to its end and returns the octets of its messages.
fn read_all(file: &[u8]) -> Vec<u8> {
    let mut capture = Capture::new(file, 11019, MESSAGE_MAX);
    let mut octets = Vec::new();
    while let Ok(Some(event)) = capture.next_event() {
        if let Event::Cut(_, Cut::Messages { bytes, .. }) = event {
            octets.extend(bytes);
        }
    }
    assert!(matches!(capture.next_event(), Ok(None)), "an error comes once");
    octets
}

fn small_captures() -> Vec<Vec<u8>> {
    let v4 = flow().session(&RECORDING[..8000]);
    let v6 = Flow::new("[2001:db8::1]:43210", "[2001:db8::9]:11019").session(&RECORDING[..8000]);
    LINKS.iter().flat_map(|kind| [pcap(*kind, &v4), pcapng(*kind, &v6)]).collect()
}

#[test]
fn any_start_of_a_capture_gives_a_start_of_the_stream() {
    for file in small_captures() {
        for length in (0..file.len()).step_by(97) {
            let octets = read_all(&file[..length]);
            assert!(RECORDING.starts_with(&octets), "{length} of {}", file.len());
        }
    }
}

/// Wireshark follows the same streams as we do; skipped where its `tshark` is not installed.
#[test]
fn tshark_reassembles_the_same_octets() {
    if Command::new("tshark").arg("--version").output().is_err() {
        eprintln!("skipped: no tshark");
        return;
    }
    let flow = flow();
    let mut segments = flow.segments(0, RECORDING, 1000);
    segments.swap(3, 5);
    segments.insert(9, segments[7].clone());
    let packets = [vec![flow.syn()], segments, vec![flow.fin(RECORDING.len())]].concat();
    for kind in LINKS {
        let path = std::env::temp_dir().join(format!("rib-ingester-tshark-{kind}-{}.pcapng", std::process::id()));
        std::fs::write(&path, pcapng(*kind, &packets)).unwrap();
        let follow = ["-q", "-z", "follow,tcp,raw,0", "-r"];
        let output = Command::new("tshark").args(follow).arg(&path).output().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        // Lines of hexadecimal digits between lines of words.
        let text = std::str::from_utf8(&output.stdout).unwrap();
        let hex: String = text.lines().filter(|l| l.chars().all(|c| c.is_ascii_hexdigit())).collect();
        let ours: String = read_all(&pcapng(*kind, &packets)).iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(ours.len(), 2 * RECORDING.len());
        assert!(hex == ours, "link {kind}: tshark found {} octets: {text:.300}", hex.len() / 2);
    }
}

proptest! {
    #[test]
    fn no_octet_of_a_capture_makes_it_panic(at in any::<prop::sample::Index>(), with in 1u8.., which in 0usize..12) {
        let mut file = small_captures().swap_remove(which);
        let at = at.index(file.len());
        file[at] ^= with;
        prop_assert!(read_all(&file).len() <= file.len());
    }

    #[test]
    fn any_order_of_the_packets_gives_the_stream(seed in any::<u64>()) {
        let flow = flow();
        let mut segments = flow.segments(0, &RECORDING[..8000], 333);
        let mut state = seed | 1;
        for i in (1..segments.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let other = usize::try_from(state >> 33).unwrap() % (i + 1);
            segments.swap(i, other);
        }
        segments.insert(0, flow.syn());
        prop_assert!(read_all(&pcap(1, &segments)) == RECORDING[..8000]);
    }
}
