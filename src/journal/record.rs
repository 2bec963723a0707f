//! One chunk of input, and its layout in a segment.

use byteorder::{BE, ByteOrder, ReadBytesExt};
use xxhash_rust::xxh3::xxh3_64;

use crate::model::Timestamp;

/// Whole BMP messages that were read at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The octets of the session's input before it.
    pub start: u64,
    /// When the last of it was read, by the collector's clock.
    pub received_at: Timestamp,
    /// The messages.
    pub bytes: Box<[u8]>,
}

/// The first octets of a segment, as versions before wrote them.
pub(super) const MAGIC: &[u8; 8] = b"ribjrn1\n";

/// The first octets of a segment.
pub(super) type Magic = [u8; MAGIC.len()];

/// Returns the first octets of this session's segments: one of another session is not taken for its input.
pub(super) fn magic_of(session: &str) -> Magic {
    let mut magic = xxh3_64(session.as_bytes()).to_be_bytes();
    magic[..3].copy_from_slice(b"rj2");
    magic
}

/// In front of the messages: their length (4 octets), the octets before it (8), its time of receipt (8).
pub(super) const HEAD_SIZE: usize = 20;

/// After the messages: XXH3 of head and messages.
pub(super) const SUM_SIZE: usize = 8;

/// The first octet of a record until all others are written, which no length begins with. A kill may cut the write of
/// many octets, not that of one: a record that is cut and begins with another octet was whole once.
pub(super) const UNFINISHED: u8 = 0xff;

/// The lengths that a head promises: no chunk is longer than a read and the longest message that the settings allow.
const BYTES_MAX: u32 = 32 << 20;

impl Chunk {
    /// Returns the octets of the session's input up to its end.
    pub fn end(&self) -> u64 {
        self.start + u64::try_from(self.bytes.len()).expect("a length fits 64 bits")
    }

    /// Octets of the record.
    pub(super) fn record_size(&self) -> u64 {
        u64::try_from(HEAD_SIZE + self.bytes.len() + SUM_SIZE).expect("a length fits 64 bits")
    }

    /// The record.
    pub(super) fn to_record(&self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).expect("a chunk is far smaller than 4 GiB");
        let mut record = Vec::with_capacity(HEAD_SIZE + self.bytes.len() + SUM_SIZE);
        record.extend(length.to_be_bytes());
        record.extend(self.start.to_be_bytes());
        record.extend(self.received_at.unix_micros().to_be_bytes());
        record.extend_from_slice(&self.bytes);
        record.extend(xxh3_64(&record).to_be_bytes());
        record
    }

    /// The chunk of a whole record, unless a bit of it is wrong.
    pub(super) fn from_record(record: &[u8]) -> Option<Chunk> {
        let (mut rest, sum) = record.split_last_chunk::<SUM_SIZE>()?;
        if xxh3_64(rest) != BE::read_u64(sum) {
            return None;
        }
        let _length = rest.read_u32::<BE>().ok()?;
        let start = rest.read_u64::<BE>().ok()?;
        let received_at = Timestamp::from_unix_micros(rest.read_i64::<BE>().ok()?);
        Some(Chunk { start, received_at, bytes: rest.into() })
    }
}

/// Returns the octets of the record after its head, as the head gives them; `None` if that is impossible.
pub(super) fn rest_size(head: &[u8; HEAD_SIZE]) -> Option<usize> {
    let length = BE::read_u32(head);
    (length <= BYTES_MAX).then(|| usize::try_from(length).ok()).flatten().map(|length| length + SUM_SIZE)
}
