//! Stored routes of tables, read by binary COPY OUT.

use std::io::BufRead;

use postgres::Client;

use super::copy_encoding;
use super::copy_fields::{self, FieldReader};
use super::error::{Error, Result};
use super::routes::{Copy, RouteKey};
use super::statement::PerRib;
use crate::model::{RibKind, StoredRoute, Table};

/// The longest time reading tables may take, independent of the limit for a writer's other statements.
const TIMEOUT: &str = "10min";

static STAGE_TABLES: PerRib = PerRib::new(include_str!("../../sql/statements/staging_tables.sql"));
static COPY_TABLES: PerRib = PerRib::new("COPY {staged}_tables FROM STDIN (FORMAT binary)");
static LOAD: PerRib = PerRib::new(include_str!("../../sql/statements/load_routes.sql"));

/// Returns all stored routes of each table, the tables in the order given, their routes in none. Rows that this program
/// cannot have written are skipped.
///
/// The keys of the tables are sent by COPY like everything else: no value is ever part of a statement's text.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn load(client: &mut Client, tables: &[&Table]) -> Result<Vec<Vec<StoredRoute>>> {
    let mut routes = vec![Vec::new(); tables.len()];
    let mut foreign = vec![0u64; tables.len()];
    let speakers: Vec<Vec<u8>> = tables.iter().map(|table| speaker_of(table)).collect();
    let mut transaction = client.transaction()?;
    transaction.batch_execute(&format!("SET LOCAL statement_timeout = '{TIMEOUT}'"))?;
    transaction.batch_execute(include_str!("../../sql/statements/load_settings.sql"))?;
    for kind in RibKind::ALL {
        let of_kind: Vec<usize> = (0..tables.len()).filter(|i| tables[*i].view.kind() == kind).collect();
        let Some(first) = of_kind.first() else { continue };
        let speaker_columns = copy_encoding::speaker_columns(tables[*first]);
        let mut copy = Copy::into_staging(&mut transaction, STAGE_TABLES.on(kind), COPY_TABLES.on(kind))?;
        for i in &of_kind {
            let fields = 1 + RouteKey::table_fields(tables[*i]);
            let out = copy.row(fields)?;
            copy_fields::put_bigint(out, i64::try_from(*i).map_err(|_| Error::Unexpected(format!("table {i}")))?);
            copy_encoding::put_table(out, tables[*i]);
        }
        copy.finish()?;
        let reader = transaction.copy_out(LOAD.on(kind))?;
        read_rows(reader, 3 + speaker_columns + copy_encoding::ATTRIBUTE_COLUMNS, |fields| {
            let mut fields = FieldReader::new(fields);
            let number = fields.bigint().and_then(|number| usize::try_from(number).ok());
            let Some(number) = number.filter(|number| *number < tables.len()) else {
                return Err(Error::Unexpected("a route of no table".to_owned()));
            };
            match (fields.prefix(), fields.path_id()) {
                (Some(prefix), Some(path_id)) => {
                    let fingerprint = match fields.rest().strip_prefix(speakers[number].as_slice()) {
                        Some(columns) => copy_encoding::fingerprint_of(columns),
                        // The peer had other identifiers then: any route that it announces now must be written.
                        None => !copy_encoding::fingerprint_of(fields.skip(speaker_columns)),
                    };
                    routes[number].push(StoredRoute { prefix, path_id, fingerprint });
                }
                // No router can announce such a key.
                (None, _) | (_, None) => foreign[number] += 1,
            }
            Ok(())
        })?;
    }
    transaction.commit()?;
    for (table, foreign) in tables.iter().zip(foreign).filter(|(_, foreign)| *foreign > 0) {
        log::warn!("{table}: {foreign} rows have a path_id that no router can send: not written by a collector");
    }
    Ok(routes)
}

fn speaker_of(table: &Table) -> Vec<u8> {
    let mut speaker = Vec::new();
    copy_encoding::put_speaker(&mut speaker, table);
    speaker
}

/// Reads a binary COPY stream and calls `take` with each row, without its field count.
///
/// # Errors
/// When the stream or `take` fails, or a row is malformed.
pub(crate) fn read_rows(
    mut stream: impl BufRead,
    fields: usize,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    // PostgreSQL sends each row in a message of its own, so rows are nearly always read in place; only an unfinished
    // row is carried over.
    let mut carried = Vec::new();
    let mut state = CopyReader { header_read: false, ended: false, fields };
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

/// The position of a reader in a COPY stream.
struct CopyReader {
    header_read: bool,
    ended: bool,
    fields: usize,
}

impl CopyReader {
    /// Passes all whole rows of `bytes` to `take` and returns their length in octets.
    fn take_rows(&mut self, bytes: &[u8], take: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<usize> {
        let mut rest = bytes;
        if !self.header_read {
            let Some(behind) = rest.get(copy_encoding::COPY_HEADER.len()..) else { return Ok(0) };
            if !rest.starts_with(copy_encoding::COPY_HEADER) {
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

/// Returns the length of a row with `fields` fields, in octets. `None` if it is incomplete.
fn row_length(bytes: &[u8], fields: usize) -> Option<usize> {
    let mut rest = bytes;
    for _ in 0..fields {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        // NULL has a length of -1 and no value.
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
        let mut bytes = copy_encoding::COPY_HEADER.to_vec();
        let mut want = Vec::new();
        for text in [Some("a"), None, Some("")] {
            bytes.extend([0, 2]);
            let start = bytes.len();
            copy_fields::put_bigint(&mut bytes, 7);
            match text {
                Some(text) => copy_fields::put_text(&mut bytes, text),
                None => copy_fields::put_null(&mut bytes),
            }
            want.push(bytes[start..].to_vec());
        }
        bytes.extend(copy_encoding::COPY_TRAILER);
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
}
