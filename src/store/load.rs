//! What the database holds for a table, read by binary COPY OUT.

use std::io::BufRead;

use postgres::Client;

use super::error::{Error, Result};
use super::record::StoredRoute;
use super::row::{self, FieldReader};
use super::statement::on;
use crate::model::Table;

/// How long reading one table may take, whatever a writer's other statements may.
const TIMEOUT: &str = "10min";

/// All stored routes of a table, in no order. Rows that this program cannot have written are passed over.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn load(client: &mut Client, table: &Table) -> Result<Vec<StoredRoute>> {
    let (mut routes, mut foreign) = (Vec::new(), 0u64);
    let mut transaction = client.transaction()?;
    transaction.batch_execute(&format!("SET LOCAL statement_timeout = '{TIMEOUT}'"))?;
    // COPY takes no parameters.
    let neighbour = table.view.neighbour().map_or_else(String::new, |of| {
        format!(" AND peer_address = '{}' AND is_post_policy = {}", of.address, of.policy.is_post())
    });
    let statement = format!(
        "COPY (SELECT prefix, path_id, /*adj peer_asn, peer_bgp_id, */nexthop, as_path, origin, localpref, med, origin_asn,
                      communities_std, communities_ext, communities_large, attrs
               FROM current_routes WHERE router_id = {} AND table_name = {} AND afi = {}{neighbour})
         TO STDOUT (FORMAT binary)",
        quote(table.router.as_str()),
        quote(&table.name),
        table.afi.column()
    );
    let reader = transaction.copy_out(&on(table.view.kind(), &statement))?;
    let mut speaker = Vec::new();
    row::put_speaker(&mut speaker, table);
    read_rows(reader, 2 + row::speaker_columns(table) + row::ATTRIBUTE_COLUMNS, |fields| {
        let mut fields = FieldReader::new(fields);
        match (fields.prefix(), fields.path_id()) {
            (Some(prefix), Some(path_id)) => {
                let fingerprint = match fields.rest().strip_prefix(speaker.as_slice()) {
                    Some(columns) => row::fingerprint_of(columns),
                    // The neighbour was another one then: whatever it announces now, the row is to be written.
                    None => !row::fingerprint_of(fields.skip(row::speaker_columns(table))),
                };
                routes.push(StoredRoute { prefix, path_id, fingerprint });
            }
            // No router can announce such a key.
            (None, _) | (_, None) => foreign += 1,
        }
        Ok(())
    })?;
    transaction.commit()?;
    if foreign > 0 {
        log::warn!("{table}: {foreign} rows have a path_id that no router can send, someone else wrote them");
    }
    Ok(routes)
}

/// A string literal, whatever is in it and whatever `standard_conforming_strings` says.
fn quote(text: &str) -> String {
    format!(" E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Reads a binary COPY stream and gives `take` each row without its field count.
///
/// # Errors
/// What the stream, `take` or the form of a row says.
pub fn read_rows(mut stream: impl BufRead, fields: usize, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    // PostgreSQL sends each row in a message of its own, so nearly always rows are read where they lie; only what a
    // message left unfinished is carried over.
    let mut carried = Vec::new();
    let mut state = Stream { header_read: false, ended: false, fields };
    loop {
        let piece = stream.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        let length = piece.len();
        if carried.is_empty() {
            let used = state.take_rows(piece, &mut take)?;
            carried.extend_from_slice(&piece[used..]);
        } else {
            carried.extend_from_slice(piece);
            let used = state.take_rows(&carried, &mut take)?;
            carried.drain(..used);
        }
        stream.consume(length);
    }
    if state.ended && carried.is_empty() {
        Ok(())
    } else {
        Err(Error::Unexpected("a COPY that was cut short".to_owned()))
    }
}

/// Where in a COPY stream a reader is.
struct Stream {
    header_read: bool,
    ended: bool,
    fields: usize,
}

impl Stream {
    /// Takes all whole rows of `bytes` and returns how many bytes they were.
    fn take_rows(&mut self, bytes: &[u8], take: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<usize> {
        let mut rest = bytes;
        if !self.header_read {
            let Some(behind) = rest.get(row::COPY_HEADER.len()..) else { return Ok(0) };
            if !rest.starts_with(row::COPY_HEADER) {
                return Err(Error::Unexpected("a COPY without its header".to_owned()));
            }
            self.header_read = true;
            rest = behind;
        }
        while let Some((count, fields)) = rest.split_first_chunk::<2>() {
            let count = i16::from_be_bytes(*count);
            if count == -1 {
                self.ended = true;
                rest = fields;
                break;
            }
            if usize::try_from(count) != Ok(self.fields) {
                return Err(Error::Unexpected(format!("a row of {count} fields instead of {}", self.fields)));
            }
            let Some(length) = row_length(fields, self.fields) else { break };
            let (row, behind) = fields.split_at(length);
            take(row)?;
            rest = behind;
        }
        Ok(bytes.len() - rest.len())
    }
}

/// How many bytes a row of so many fields has. `None` if it is not all there.
fn row_length(bytes: &[u8], fields: usize) -> Option<usize> {
    let mut rest = bytes;
    for _ in 0..fields {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        // NULL is a length of -1 and no value.
        rest = behind.get(usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0)..)?;
    }
    Some(bytes.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    #[test]
    fn rows_are_read_however_the_bytes_arrive() {
        let mut bytes = row::COPY_HEADER.to_vec();
        let mut want = Vec::new();
        for text in [Some("a"), None, Some("")] {
            bytes.extend([0, 2]);
            let start = bytes.len();
            row::put_bigint(&mut bytes, 7);
            match text {
                Some(text) => row::put_text(&mut bytes, text),
                None => row::put_null(&mut bytes),
            }
            want.push(bytes[start..].to_vec());
        }
        bytes.extend(row::COPY_TRAILER);
        for piece in [1, 3, 20, 1000] {
            let mut got = Vec::new();
            let stream = BufReader::with_capacity(piece, Cursor::new(&bytes));
            read_rows(stream, 2, |row| {
                got.push(row.to_vec());
                Ok(())
            })
            .unwrap();
            assert_eq!(got, want, "in pieces of {piece}");
        }
        for cut in 0..bytes.len() {
            assert!(read_rows(Cursor::new(&bytes[..cut]), 2, |_| Ok(())).is_err(), "cut at {cut}");
        }
        assert!(read_rows(Cursor::new(&bytes), 3, |_| Ok(())).is_err());
    }

    #[test]
    fn literals_are_quoted() {
        assert_eq!(quote("a'b\\'c"), " E'a''b\\\\''c'");
    }
}
