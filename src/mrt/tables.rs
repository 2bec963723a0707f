//! Tables, written as TABLE_DUMP_V2 (RFC 6396 section 4.3, RFC 8050 section 4): a PEER_INDEX_TABLE, then a record per
//! prefix with the routes of all peers to it.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};

use super::types::{PEER_INDEX_TABLE, TABLE_DUMP_V2, rib_subtype};
use super::writing::{address, nlri, record};
use crate::model::{Prefix, Timestamp};

/// The largest number of entries of a record, and of octets of them: further ones are in a record of their own.
const ENTRIES_MAX: u16 = u16::MAX;
const ENTRIES_SIZE_MAX: usize = 1 << 20;

/// A peer of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TablePeer {
    /// Zero if unknown.
    pub bgp_id: Ipv4Addr,
    /// Its address.
    pub address: IpAddr,
    /// Its AS.
    pub asn: u32,
}

/// One route of a table.
#[derive(Clone, Copy, Debug)]
pub struct TableRoute<'a> {
    /// Where it goes.
    pub prefix: Prefix,
    /// The place of its peer in the peer table.
    pub peer: u16,
    /// The path identifier; `None` where the family has none.
    pub path_id: Option<u32>,
    /// When it was learned.
    pub originated: Timestamp,
    /// The attributes of a RIB entry.
    pub attributes: &'a [u8],
}

/// A table that is being written. Its routes have to come sorted by prefix.
pub struct TableWriter<W> {
    out: W,
    time: Timestamp,
    sequence: u32,
    /// The prefix of the record that is not written yet, and whether its entries have path identifiers.
    open: Option<(Prefix, bool)>,
    entries: Vec<u8>,
    count: u16,
}

impl<W: Write> TableWriter<W> {
    /// Writes the peer table. `view` names the table.
    ///
    /// # Errors
    /// The file cannot be written, or there are more than 65,535 peers.
    pub fn begin(
        mut out: W,
        time: Timestamp,
        collector: Ipv4Addr,
        view: &str,
        peers: &[TablePeer],
    ) -> io::Result<TableWriter<W>> {
        let count = u16::try_from(peers.len()).map_err(|_| io::Error::other("more peers than a peer table has"))?;
        let view = &view.as_bytes()[..view.len().min(u16::MAX.into())];
        let mut body = collector.octets().to_vec();
        body.extend(u16::try_from(view.len()).expect("cut to that").to_be_bytes());
        body.extend(view);
        body.extend(count.to_be_bytes());
        for peer in peers {
            // An AS of four octets, and the family of the address.
            body.push(2 | u8::from(peer.address.is_ipv6()));
            body.extend(peer.bgp_id.octets());
            address(&mut body, peer.address);
            body.extend(peer.asn.to_be_bytes());
        }
        record(&mut out, time, TABLE_DUMP_V2, PEER_INDEX_TABLE, &body)?;
        Ok(TableWriter { out, time, sequence: 0, open: None, entries: Vec::new(), count: 0 })
    }

    /// Adds a route.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn route(&mut self, route: &TableRoute<'_>) -> io::Result<()> {
        let open = Some((route.prefix, route.path_id.is_some()));
        if self.open != open || self.count == ENTRIES_MAX || self.entries.len() > ENTRIES_SIZE_MAX {
            self.close()?;
            self.open = open;
        }
        let length = u16::try_from(route.attributes.len()).map_err(io::Error::other)?;
        let seconds = u32::try_from(route.originated.unix_micros().div_euclid(1_000_000)).unwrap_or(0);
        self.entries.extend(route.peer.to_be_bytes());
        self.entries.extend(seconds.to_be_bytes());
        self.entries.extend(route.path_id.map(u32::to_be_bytes).iter().flatten());
        self.entries.extend(length.to_be_bytes());
        self.entries.extend(route.attributes);
        self.count += 1;
        Ok(())
    }

    /// Writes the record of a prefix.
    fn close(&mut self) -> io::Result<()> {
        let Some((prefix, has_path_ids)) = self.open.take() else { return Ok(()) };
        let mut body = self.sequence.to_be_bytes().to_vec();
        body.extend(nlri(&prefix));
        body.extend(self.count.to_be_bytes());
        body.append(&mut self.entries);
        self.sequence = self.sequence.wrapping_add(1);
        self.count = 0;
        let subtype = rib_subtype(prefix.address().is_ipv6(), has_path_ids);
        record(&mut self.out, self.time, TABLE_DUMP_V2, subtype, &body)
    }

    /// Writes what is left, and returns the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.close()?;
        Ok(self.out)
    }
}
