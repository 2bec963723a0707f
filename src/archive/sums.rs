//! The sums that a file is believed by: the number of its events, and hashes over their identifiers and over all values.
//!
//! They are in the file's own metadata, so that a file that was damaged later is told from one with other events.

use std::hash::Hasher;

use parquet::file::metadata::KeyValue;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::Xxh3;

use super::schema::{EVENT_ID, Row};
use crate::model::write_text::hex;
use crate::store::archive::{Cell, Verified};

/// The names in a file's metadata: SHA-256 over the identifiers in their order, and XXH3 over all values.
const IDS_KEY: &str = "rib_ingester.event_ids_sha256";
const VALUES_KEY: &str = "rib_ingester.values_xxh3";

/// Sums over events in the order of a file.
#[derive(Clone, Default)]
pub(super) struct Sums {
    rows: u64,
    ids: Sha256,
    values: Xxh3,
}

impl Sums {
    /// Adds the next event.
    pub(super) fn add(&mut self, row: &Row) {
        self.rows += 1;
        if let Some(Cell::Octets(id)) = row.get(EVENT_ID) {
            self.ids.update(id);
        }
        row.iter().for_each(|cell| self.add_cell(cell));
    }

    /// Adds a value in a form that stays the same: files are read by later versions too.
    fn add_cell(&mut self, cell: &Cell) {
        let values = &mut self.values;
        let mut put = |kind: u8, octets: &[u8]| {
            values.update(&[kind]);
            values.update(&octets.len().to_le_bytes());
            values.update(octets);
        };
        match cell {
            Cell::Null => put(0, &[]),
            Cell::Flag(flag) => put(1, &[u8::from(*flag)]),
            Cell::Int(number) => put(2, &number.to_le_bytes()),
            Cell::Long(number) => put(3, &number.to_le_bytes()),
            Cell::Octets(octets) => put(4, octets),
            Cell::Texts(texts) => {
                put(5, &texts.len().to_le_bytes());
                texts.iter().for_each(|text| put(6, text));
            }
            Cell::Numbers(numbers) => {
                put(7, &numbers.len().to_le_bytes());
                numbers.iter().for_each(|number| put(8, &number.to_le_bytes()));
            }
        }
    }

    /// Returns the number of events.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the pairs for a file's metadata.
    pub(super) fn pairs(&self) -> Vec<KeyValue> {
        let ids = hex(&self.ids.clone().finalize());
        let values = format!("{:016x}", self.values.finish());
        vec![KeyValue::new(IDS_KEY.to_owned(), ids), KeyValue::new(VALUES_KEY.to_owned(), values)]
    }

    /// Returns whether a file's metadata has these sums.
    pub(super) fn are_in(&self, metadata: &[KeyValue]) -> bool {
        self.pairs().iter().all(|pair| metadata.contains(pair))
    }

    /// Returns the part that the database records.
    pub(super) fn verified(self) -> Verified {
        Verified { rows: self.rows, hash: self.ids.finalize().into() }
    }
}
