//! The state of a session at an octet of its input, so that the input from there on can be applied alone.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::Path;

use byteorder::{BE, ByteOrder, ReadBytesExt};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::segment;
use crate::model::{RouterId, Timestamp};

/// The first octets of a checkpoint.
const MAGIC: &[u8; 8] = b"ribchk1\n";

/// Everything that a later message may depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The session, a UUID: the same in all of its checkpoints, and in `journal_positions`.
    pub session: String,
    /// The router's address.
    pub source: IpAddr,
    /// The router identifier, if the session had one.
    pub router: Option<RouterId>,
    /// When the session's first message was read: no event of it is older.
    pub began: Timestamp,
    /// The octets of the session's input that are applied.
    pub octet: u64,
    /// The tables that the session had begun, by keys of its own, and whether their dumps were over.
    pub tables: Vec<(String, bool)>,
    /// Its recent events: a hash of each, and the last occurrence number.
    pub ids: Vec<(u64, u32)>,
    /// The Initiation and the Peer Ups of all live peers, as the router sent them.
    pub peer_ups: Vec<u8>,
    /// True if messages before it are missing, among them perhaps Peer Ups.
    pub misses_input: bool,
}

impl Checkpoint {
    /// Returns that of a session that begins.
    pub fn of_beginning(session: &str, source: IpAddr, began: Timestamp) -> Checkpoint {
        let (tables, ids, peer_ups) = (Vec::new(), Vec::new(), Vec::new());
        let session = session.to_owned();
        Checkpoint { session, source, router: None, began, octet: 0, tables, ids, peer_ups, misses_input: false }
    }

    /// Writes it to a new file; returns the octets that it takes.
    pub(super) fn store(&self, path: &Path) -> io::Result<u64> {
        let bytes = self.to_bytes();
        segment::write_whole(path, &bytes)?;
        Ok(u64::try_from(bytes.len()).expect("a length fits 64 bits"))
    }

    /// Returns the checkpoint in a file, and the octets that it takes; `None` if there is none.
    pub(super) fn load(path: &Path) -> io::Result<Option<(Checkpoint, u64)>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let size = u64::try_from(bytes.len()).expect("a length fits 64 bits");
        match Checkpoint::from_bytes(&bytes) {
            Some(checkpoint) => Ok(Some((checkpoint, size))),
            None => Err(io::Error::new(ErrorKind::InvalidData, "its checkpoint is damaged")),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let facts = json!({
            "session": self.session,
            "source": self.source.to_string(),
            "router": self.router.as_ref().map(RouterId::as_str),
            "began": self.began.unix_micros(),
            "octet": self.octet,
            "tables": self.tables,
            "misses_input": self.misses_input,
        });
        let facts = facts.to_string();
        let mut bytes = MAGIC.to_vec();
        put_length(&mut bytes, facts.len());
        bytes.extend(facts.as_bytes());
        put_length(&mut bytes, self.ids.len());
        for (id, occurrence) in &self.ids {
            bytes.extend(id.to_be_bytes());
            bytes.extend(occurrence.to_be_bytes());
        }
        bytes.extend(&self.peer_ups);
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Checkpoint> {
        let (bytes, sum) = bytes.split_last_chunk::<8>()?;
        if xxh3_64(bytes) != BE::read_u64(sum) {
            return None;
        }
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let length = usize::try_from(rest.read_u32::<BE>().ok()?).ok()?;
        let (facts, mut rest) = rest.split_at_checked(length)?;
        let facts: Value = serde_json::from_slice(facts).ok()?;
        let count = usize::try_from(rest.read_u32::<BE>().ok()?).ok()?;
        let (ids, peer_ups) = rest.split_at_checked(count.checked_mul(12)?)?;
        let id = |octets: &[u8]| (BE::read_u64(octets), BE::read_u32(&octets[8..]));
        let table = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_bool()?));
        Some(Checkpoint {
            session: facts.get("session")?.as_str()?.to_owned(),
            source: facts.get("source")?.as_str()?.parse().ok()?,
            router: facts.get("router")?.as_str().map(RouterId::new),
            began: Timestamp::from_unix_micros(facts.get("began")?.as_i64()?),
            octet: facts.get("octet")?.as_u64()?,
            tables: facts.get("tables")?.as_array()?.iter().map(table).collect::<Option<_>>()?,
            ids: ids.chunks_exact(12).map(id).collect(),
            peer_ups: peer_ups.to_vec(),
            // An earlier version has not written it.
            misses_input: facts.get("misses_input").is_some_and(|flag| flag == true),
        })
    }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend(u32::try_from(length).expect("lists of a session are bounded far below 4 G").to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_checkpoint_of_an_earlier_version_is_read() {
        let began = Timestamp::from_unix_micros(1_700_000_000_000_000);
        let first = Checkpoint::of_beginning("c0ffee00", Ipv4Addr::LOCALHOST.into(), began);
        let broken = Checkpoint { misses_input: true, ..first.clone() };
        assert_eq!(Checkpoint::from_bytes(&broken.to_bytes()), Some(broken.clone()));
        // The same without the fact, of the same length.
        let bytes = broken.to_bytes();
        let place = bytes.windows(12).position(|octets| octets == b"misses_input").unwrap();
        let mut earlier = bytes[..bytes.len() - 8].to_vec();
        earlier[place] = b'-';
        earlier.extend(xxh3_64(&earlier).to_be_bytes());
        assert_eq!(Checkpoint::from_bytes(&earlier), Some(first));
    }
}
