//! Tables, written as TABLE_DUMP_V2 (RFC 6396 section 4.3, RFC 8050 section 4): a PEER_INDEX_TABLE, then a record per
//! destination with the routes of all peers to it; of families other than unicast it is a RIB_GENERIC.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};

use super::destinations::Destination;
use super::types::{PEER_INDEX_TABLE, TABLE_DUMP_V2, is_generic, rib_subtype};
use super::writing::{address, record};
use crate::model::Timestamp;

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
    pub destination: &'a Destination,
    /// The place of its peer in the peer table.
    pub peer: u16,
    /// The path identifier; `None` where the family has none.
    pub path_id: Option<u32>,
    /// When it was learned.
    pub originated: Timestamp,
    /// The attributes of a RIB entry.
    pub attributes: &'a [u8],
}

/// The destination of a record, and its path identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    destination: Destination,
    has_path_ids: bool,
    /// The path identifier of all entries: RIB_GENERIC_ADDPATH has it in the NLRI (RFC 8050 section 4.2).
    of_record: Option<u32>,
}

/// A table that is being written. Its routes have to come sorted by destination.
pub struct TableWriter<W> {
    out: W,
    time: Timestamp,
    sequence: u32,
    /// The destination of the record that is not written yet.
    open: Option<Open>,
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
        let of_record = route.path_id.filter(|_| is_generic(route.destination.family));
        let is_open = self.open.as_ref().is_some_and(|open| {
            open.destination == *route.destination
                && open.has_path_ids == route.path_id.is_some()
                && open.of_record == of_record
        });
        if !is_open || self.count == ENTRIES_MAX || self.entries.len() > ENTRIES_SIZE_MAX {
            self.close()?;
            let (destination, has_path_ids) = (route.destination.clone(), route.path_id.is_some());
            self.open = Some(Open { destination, has_path_ids, of_record });
        }
        let length = u16::try_from(route.attributes.len()).map_err(io::Error::other)?;
        let seconds = u32::try_from(route.originated.unix_micros().div_euclid(1_000_000)).unwrap_or(0);
        self.entries.extend(route.peer.to_be_bytes());
        self.entries.extend(seconds.to_be_bytes());
        let of_entry = route.path_id.filter(|_| of_record.is_none());
        self.entries.extend(of_entry.map(u32::to_be_bytes).iter().flatten());
        self.entries.extend(length.to_be_bytes());
        self.entries.extend(route.attributes);
        self.count += 1;
        Ok(())
    }

    /// Writes the record of a destination.
    fn close(&mut self) -> io::Result<()> {
        let Some(Open { destination, has_path_ids, of_record }) = self.open.take() else { return Ok(()) };
        let Destination { family, nlri } = destination;
        let mut body = self.sequence.to_be_bytes().to_vec();
        if is_generic(family) {
            body.extend(family.afi.to_be_bytes());
            body.push(family.safi);
        }
        body.extend(of_record.map(u32::to_be_bytes).iter().flatten());
        body.extend(nlri);
        body.extend(self.count.to_be_bytes());
        body.append(&mut self.entries);
        self.sequence = self.sequence.wrapping_add(1);
        self.count = 0;
        let subtype = rib_subtype(family, has_path_ids);
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
