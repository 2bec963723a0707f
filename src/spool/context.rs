//! The state of a session before the first chunk of its stream, so that the stream can be decoded alone.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::net::IpAddr;
use std::path::Path;

use byteorder::{BE, ByteOrder, ReadBytesExt};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use crate::model::{RouterId, Timestamp};

/// The first octets of a context file.
const MAGIC: &[u8; 8] = b"ribctx1\n";

/// Everything that a later message may lean on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The router's address.
    pub source: IpAddr,
    /// The router identifier, if the session had one.
    pub router: Option<RouterId>,
    /// When the session's first message was read: no event of it is older.
    pub began: Timestamp,
    /// All chunks up to this number are in the database.
    pub behind: u64,
    /// The tables that the session had begun, by keys of its own, and whether their dump was over.
    pub tables: Vec<(String, bool)>,
    /// Its recent events: a hash of each, and the last occurrence number.
    pub ids: Vec<(u64, u32)>,
    /// The Initiation and the Peer Ups of all live peers, as the router sent them.
    pub(crate) preamble: Vec<u8>,
    /// The lost part of the session's input, if it is not reported yet.
    pub lost: Option<String>,
}

impl Context {
    /// Replaces the context in `folder`; the octets it takes.
    pub(super) fn store(&self, folder: &Path) -> io::Result<u64> {
        let bytes = self.to_bytes();
        let (new, place) = (folder.join("context.new"), folder.join("context"));
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, &place)?;
        File::open(folder)?.sync_all()?;
        Ok(u64::try_from(bytes.len()).expect("a length fits 64 bits"))
    }

    /// The context in `folder` and the octets it takes; `None` if there is none.
    pub(super) fn load(folder: &Path) -> io::Result<Option<(Context, u64)>> {
        let bytes = match fs::read(folder.join("context")) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let size = u64::try_from(bytes.len()).expect("a length fits 64 bits");
        match Context::from_bytes(&bytes) {
            Some(context) => Ok(Some((context, size))),
            None => Err(io::Error::new(ErrorKind::InvalidData, "its context is damaged")),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let facts = json!({
            "source": self.source.to_string(),
            "router": self.router.as_ref().map(RouterId::as_str),
            "began": self.began.unix_micros(),
            "behind": self.behind,
            "tables": self.tables,
            "lost": self.lost,
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
        bytes.extend(&self.preamble);
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Context> {
        let (bytes, sum) = bytes.split_last_chunk::<8>()?;
        if xxh3_64(bytes) != BE::read_u64(sum) {
            return None;
        }
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let length = usize::try_from(rest.read_u32::<BE>().ok()?).ok()?;
        let (facts, mut rest) = rest.split_at_checked(length)?;
        let facts: Value = serde_json::from_slice(facts).ok()?;
        let count = usize::try_from(rest.read_u32::<BE>().ok()?).ok()?;
        let (ids, preamble) = rest.split_at_checked(count.checked_mul(12)?)?;
        let id = |octets: &[u8]| (BE::read_u64(octets), BE::read_u32(&octets[8..]));
        let table = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_bool()?));
        Some(Context {
            source: facts.get("source")?.as_str()?.parse().ok()?,
            router: facts.get("router")?.as_str().map(RouterId::new),
            began: Timestamp::from_unix_micros(facts.get("began")?.as_i64()?),
            behind: facts.get("behind")?.as_u64()?,
            tables: facts.get("tables")?.as_array()?.iter().map(table).collect::<Option<_>>()?,
            ids: ids.chunks_exact(12).map(id).collect(),
            preamble: preamble.to_vec(),
            lost: facts.get("lost").and_then(Value::as_str).map(str::to_owned),
        })
    }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend(u32::try_from(length).expect("lists of a session are bounded far below 4 G").to_be_bytes());
}
