//! `replay` and `record`, against each other and against sockets of the test's own.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::server::Folder;

/// The longest time that any one step may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.env_clear().args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running `record` that has printed its listening address. Killed if the test ends early.
struct Recorder {
    child: Option<Child>,
    address: SocketAddr,
}

impl Recorder {
    fn start(out: &Path, more: &[&str]) -> Recorder {
        let mut arguments = vec!["record", "--listen", "127.0.0.1:0", "--out", out.to_str().unwrap()];
        arguments.extend(more);
        let mut child = command(&arguments).spawn().unwrap();
        let mut line = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        stderr.read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
        // The rest is ignored, but the pipe must not be closed while the writer uses it.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Recorder { child: Some(child), address }
    }

    fn finish(mut self) -> Output {
        let mut child = self.child.take().unwrap();
        let end = Instant::now() + DEADLINE;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                child.kill().unwrap();
                panic!("record did not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.wait_with_output().unwrap()
    }

    fn interrupt(&self) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A BMP version 3 message of `length` bytes and an unknown type (RFC 7854 section 4.1).
fn message(length: usize) -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
    bytes.push(0xfe);
    bytes.extend((6..length).map(|i| u8::try_from(i % 251).unwrap()));
    bytes
}

fn messages(lengths: &[usize]) -> Vec<u8> {
    lengths.iter().flat_map(|length| message(*length)).collect()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn what_is_replayed_is_recorded_byte_for_byte() {
    let folder = Folder::new();
    let (played, recorded) = (folder.path().join("played.bmp"), folder.path().join("recorded.bmp"));
    // More than any socket buffer holds, and a message cut short at the end.
    let mut bytes = messages(&[6, 48, 400_000]);
    for _ in 0..60 {
        bytes.extend(message(200_000));
    }
    bytes.extend(&message(100)[..50]);
    std::fs::write(&played, &bytes).unwrap();

    let recorder = Recorder::start(&recorded, &[]);
    let to = recorder.address.to_string();
    let replay = command(&["replay", played.to_str().unwrap(), "--to", &to]).output().unwrap();
    assert!(replay.status.success(), "{}", stderr(&replay));
    assert_eq!(stdout(&replay), format!("sent {} bytes, 63 messages to {to}\n", bytes.len()));
    assert_eq!(stderr(&replay), "", "no progress bar without a terminal");

    let record = recorder.finish();
    assert!(record.status.success());
    let said = format!("recorded {} bytes, 63 messages from 127.0.0.1 in {}\n", bytes.len(), recorded.display());
    assert_eq!(stdout(&record), said);
    assert!(std::fs::read(&recorded).unwrap() == bytes, "the bytes differ");
}

#[test]
fn bytes_that_are_no_bmp_pass_unchanged() {
    let folder = Folder::new();
    let (played, recorded) = (folder.path().join("played"), folder.path().join("recorded"));
    let mut bytes = messages(&[6]);
    bytes.extend(b"GET / HTTP/1.1\r\n\r\n".repeat(30_000));
    std::fs::write(&played, &bytes).unwrap();
    let recorder = Recorder::start(&recorded, &[]);
    let replay =
        command(&["replay", played.to_str().unwrap(), "--to", &recorder.address.to_string(), "--speed", "1000"])
            .output()
            .unwrap();
    assert!(replay.status.success(), "{}", stderr(&replay));
    assert!(stderr(&replay).contains("byte 6 begins no BMP message"), "{}", stderr(&replay));
    assert!(recorder.finish().status.success());
    assert!(std::fs::read(&recorded).unwrap() == bytes, "the bytes differ");
}

#[test]
fn speed_is_messages_per_second() {
    let folder = Folder::new();
    let played = folder.path().join("played.bmp");
    std::fs::write(&played, messages(&[48; 21])).unwrap();
    let recorder = Recorder::start(&folder.path().join("recorded.bmp"), &[]);
    let start = Instant::now();
    let replay = command(&["replay", played.to_str().unwrap(), "--to", &recorder.address.to_string(), "--speed", "40"])
        .output()
        .unwrap();
    assert!(replay.status.success(), "{}", stderr(&replay));
    // The last of 21 messages is due 20 / 40 s after the first; the delay beyond that depends on the machine.
    assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
    assert!(recorder.finish().status.success());
}

#[test]
fn hold_keeps_the_session_open() {
    let folder = Folder::new();
    let played = folder.path().join("played.bmp");
    std::fs::write(&played, message(48)).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let replay = command(&["replay", played.to_str().unwrap(), "--to", &to, "--hold", "1"]).spawn().unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.read_exact(&mut [0; 48]).unwrap();
    let last_byte = Instant::now();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    // The clocks start at either side of the socket, so a little less than a second is correct too.
    assert!(last_byte.elapsed() >= Duration::from_millis(700), "{:?}", last_byte.elapsed());
    drop(stream);
    let output = replay.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_collector_that_closes_early_is_a_failure() {
    let folder = Folder::new();
    let played = folder.path().join("played.bmp");
    std::fs::write(&played, messages(&[1_000_000; 30])).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let replay = command(&["replay", played.to_str().unwrap(), "--to", &to]).spawn().unwrap();
    drop(listener.accept().unwrap());
    let output = replay.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("its log says why"), "{}", stderr(&output));
}

#[test]
fn a_file_without_a_message_is_sent_and_fails() {
    let folder = Folder::new();
    let (played, recorded) = (folder.path().join("played"), folder.path().join("recorded"));
    std::fs::write(&played, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let recorder = Recorder::start(&recorded, &[]);
    let replay =
        command(&["replay", played.to_str().unwrap(), "--to", &recorder.address.to_string()]).output().unwrap();
    assert_eq!(replay.status.code(), Some(1), "{}", stdout(&replay));
    assert!(stderr(&replay).contains("no BMP message in it; sent 18 bytes, 0 messages to "), "{}", stderr(&replay));
    assert!(recorder.finish().status.success());
    assert_eq!(std::fs::read(&recorded).unwrap(), b"GET / HTTP/1.1\r\n\r\n");

    std::fs::write(&played, b"").unwrap();
    let empty = command(&["replay", played.to_str().unwrap(), "--to", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(empty.status.code(), Some(1));
    assert!(stderr(&empty).contains("played: is empty"), "{}", stderr(&empty));
}

#[test]
fn a_collector_that_closes_without_reading_fails() {
    let folder = Folder::new();
    let played = folder.path().join("played.bmp");
    std::fs::write(&played, message(48)).unwrap();
    // Closed before a byte arrived, and with the bytes unread: the first shows as an end, the second as a reset.
    for reads in [false, true] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = listener.local_addr().unwrap().to_string();
        let replay = command(&["replay", played.to_str().unwrap(), "--to", &to]).spawn().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        if reads {
            stream.read_exact(&mut [0; 48]).unwrap();
        }
        drop(stream);
        let output = replay.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{reads}: {}", stdout(&output));
        assert!(stderr(&output).contains("its log says why"), "{reads}: {}", stderr(&output));
    }
}

#[test]
fn what_cannot_be_played_is_named() {
    let check = |arguments: &[&str], code: i32, said: &str| {
        let output = command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    };
    check(&["replay", "/nonexistent.bmp", "--to", "127.0.0.1:1"], 1, "/nonexistent.bmp: No such file");
    check(&["replay", "-", "--to", "127.0.0.1"], 2, "--to 127.0.0.1: ");
    check(&["replay", "-", "--to", "127.0.0.1:1", "--speed", "0"], 2, "--speed");
}

#[test]
fn a_recording_of_what_is_no_router_says_what_it_is() {
    let folder = Folder::new();
    let out = folder.path().join("recorded");
    let mut child = command(&["record", "--listen", "127.0.0.1:0", "--out", out.to_str().unwrap()]).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let address: SocketAddr = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
    TcpStream::connect(address).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("not BMP after 0 messages: an HTTP request: "), "{rest}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_interrupted_recording_keeps_what_came() {
    let folder = Folder::new();
    let out = folder.path().join("recorded.bmp");
    let recorder = Recorder::start(&out, &[]);
    let mut router = TcpStream::connect(recorder.address).unwrap();
    router.write_all(&messages(&[48, 100])).unwrap();
    let end = Instant::now() + DEADLINE;
    while std::fs::metadata(&out).unwrap().len() < 148 {
        assert!(Instant::now() < end, "the bytes never reached the file");
        std::thread::sleep(Duration::from_millis(10));
    }
    recorder.interrupt();
    let output = recorder.finish();
    assert!(output.status.success());
    assert!(stdout(&output).contains("; stopped before the router closed its session"), "{}", stdout(&output));
    assert_eq!(std::fs::read(&out).unwrap(), messages(&[48, 100]));
}

#[test]
fn a_recording_is_bounded_and_overwrites_nothing() {
    let folder = Folder::new();
    let out = folder.path().join("recorded.bmp");
    let recorder = Recorder::start(&out, &["--max-bytes", "100"]);
    TcpStream::connect(recorder.address).unwrap().write_all(&message(300)).unwrap();
    let output = recorder.finish();
    assert!(stdout(&output).contains("100 bytes, 0 messages") && stdout(&output).contains("--max-bytes"));
    assert_eq!(std::fs::read(&out).unwrap(), &message(300)[..100]);

    let again = command(&["record", "--listen", "127.0.0.1:0", "--out", out.to_str().unwrap()]).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("File exists"), "{}", stderr(&again));
}
