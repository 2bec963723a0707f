//! The octets of a file, cut into records (RFC 6396 section 2).

use std::io::{self, Read};

use super::notes::Notes;
use super::types::{BGP4MP_ET, HEADER_SIZE, RECORD_MAX};
use crate::model::Timestamp;

/// The largest buffer that is kept after a long record, octets.
const KEPT_MAX: usize = 1 << 20;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The octets of the file before the record's body.
    pub offset: u64,
    /// Its time, with microseconds where it has them.
    pub time: Timestamp,
    /// The type.
    pub type_code: u16,
    /// The subtype.
    pub subtype: u16,
    /// Everything after the header and the microseconds.
    pub body: &'a [u8],
}

/// The records of a file, one after another.
#[derive(Debug)]
pub struct Records<R> {
    input: R,
    offset: u64,
    body: Vec<u8>,
    is_over: bool,
}

impl<R: Read> Records<R> {
    /// Returns the records of an uncompressed file.
    pub fn new(input: R) -> Records<R> {
        Records { input, offset: 0, body: Vec::new(), is_over: false }
    }

    /// Returns the next record, or `None` at the end of the file. Faults on the way are noted; one at which the next
    /// record cannot be found is the end.
    pub fn next_record(&mut self, notes: &mut Notes) -> Option<Record<'_>> {
        let (seconds, micros, type_code, subtype, skip) = loop {
            if self.is_over {
                return None;
            }
            let begin = self.offset;
            let header = self.read_header(notes)?;
            let [a, b, c, d, e, f, g, h, length @ ..] = header;
            let (type_code, subtype) = (u16::from_be_bytes([e, f]), u16::from_be_bytes([g, h]));
            let length = u32::from_be_bytes(length);
            if length > RECORD_MAX {
                let why = format!("record of type {type_code}: {length} octets are more than a record has");
                notes.fault(begin, why);
                self.pass_over(length, notes);
                continue;
            }
            if !self.read_body(length, notes) {
                return None;
            }
            let seconds = u32::from_be_bytes([a, b, c, d]);
            if type_code != BGP4MP_ET {
                break (seconds, 0, type_code, subtype, 0);
            }
            match self.body.first_chunk::<4>() {
                Some(micros) => break (seconds, u32::from_be_bytes(*micros), type_code, subtype, 4),
                None => notes.fault(begin, "BGP4MP_ET record without microseconds"),
            }
        };
        let body = &self.body[skip..];
        let offset = self.offset - u64::try_from(body.len()).expect("a record is shorter than that");
        Some(Record { offset, time: Timestamp::from_wire(seconds, micros), type_code, subtype, body })
    }

    /// Reads 12 octets; `None` at the end of the file.
    fn read_header(&mut self, notes: &mut Notes) -> Option<[u8; HEADER_SIZE]> {
        let begin = self.offset;
        let mut header = [0; HEADER_SIZE];
        match read_up_to(&mut self.input, &mut header) {
            Ok(HEADER_SIZE) => {
                self.offset += HEADER_SIZE as u64;
                return Some(header);
            }
            Ok(0) => {}
            Ok(count) => notes.fault(begin, format!("the file ends within a record's header, {count} octets into it")),
            Err(error) => notes.fault(begin, error),
        }
        self.is_over = true;
        None
    }

    /// Reads the body; false if the file ends within it. Memory grows with the octets that are there, not with the
    /// length that is claimed.
    fn read_body(&mut self, length: u32, notes: &mut Notes) -> bool {
        self.body.clear();
        self.body.shrink_to(KEPT_MAX);
        let read = (&mut self.input).take(length.into()).read_to_end(&mut self.body);
        let why = match read {
            Ok(count) if u32::try_from(count) == Ok(length) => {
                self.offset += u64::from(length);
                return true;
            }
            Ok(count) => format!("the file ends within a record of {length} octets, {count} octets into it"),
            Err(error) => error.to_string(),
        };
        notes.fault(self.offset, why);
        self.is_over = true;
        false
    }

    fn pass_over(&mut self, length: u32, notes: &mut Notes) {
        match io::copy(&mut (&mut self.input).take(length.into()), &mut io::sink()) {
            Ok(count) if count == u64::from(length) => self.offset += count,
            Ok(_) => self.is_over = true,
            Err(error) => {
                notes.fault(self.offset, error);
                self.is_over = true;
            }
        }
    }
}

/// Fills the buffer as far as the input goes.
pub(crate) fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match input.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(type_code: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[0, 0, 0, 9][..], &type_code.to_be_bytes(), &[0, 1], &length, body].concat()
    }

    /// Offset, type and body of a record.
    type Read = (u64, u16, Vec<u8>);

    fn read(file: &[u8]) -> (Vec<Read>, Vec<String>) {
        let (mut records, mut notes, mut all) = (Records::new(file), Notes::default(), Vec::new());
        while let Some(record) = records.next_record(&mut notes) {
            all.push((record.offset, record.type_code, record.body.to_vec()));
        }
        (all, notes.lines())
    }

    #[test]
    fn faults_are_told_and_the_rest_goes_on() {
        let good = record(13, &[1, 2]);
        let too_long = [&record(13, &[])[..8], &[0xff, 0, 0, 0][..]].concat();
        assert_eq!(read(&good), (vec![(12, 13, vec![1, 2])], vec![]));
        let (all, lines) = read(&[&record(17, &[1])[..], &record(17, &[0, 0, 0, 7, 8]), &good].concat());
        assert_eq!(all, [(29, 17, vec![8]), (42, 13, vec![1, 2])]);
        assert_eq!(lines, ["octet 0: BGP4MP_ET record without microseconds"]);
        let (all, lines) = read(&[&good[..], &too_long, &good].concat());
        assert_eq!((all.len(), lines.len()), (1, 1));
        assert!(lines[0].starts_with("octet 14: record of type 13: 4278190080 octets"), "{lines:?}");
        assert_eq!(read(&good[..13]).1, ["octet 12: the file ends within a record of 2 octets, 1 octets into it"]);
        assert_eq!(read(&good[..5]).1, ["octet 0: the file ends within a record's header, 5 octets into it"]);
    }

    #[test]
    fn a_longer_record_is_passed_over() {
        let long = [&record(13, &[])[..8], &(RECORD_MAX + 1).to_be_bytes()[..]].concat();
        let file = [&long[..], &vec![0; RECORD_MAX as usize + 1], &record(16, &[5])].concat();
        let (all, lines) = read(&file);
        assert_eq!((all.len(), all[0].1, lines.len()), (1, 16, 1));
    }
}
