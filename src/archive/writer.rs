//! Writes events into a file, a row group at a time: the columns of a row group follow each other in the file, so all of
//! its values are kept until it is full.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::column::writer::{ColumnWriter, ColumnWriterImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;

use super::failure::Failure;
use super::schema::{Row, properties, schema};
use super::sums::Sums;
use crate::store::archive::{Cell, History};

/// The largest number of events in a row group.
const GROUP_ROWS_MAX: usize = 1_000_000;

/// The largest size of the values of a row group in memory, in bytes. Writing takes about as much again at its peak.
const GROUP_BYTES_MAX: usize = 128 * 1024 * 1024;

/// The number of levels that are given to the encoder at a time, or more to the end of an event.
const CHUNK_LEVELS: usize = 16_384;

/// A file that is being written, under the name of a draft.
pub(super) struct Writer {
    path: PathBuf,
    file: SerializedFileWriter<File>,
    columns: Vec<Column>,
    sums: Sums,
    rows: usize,
    bytes: usize,
    /// The size at which a row group is full.
    bytes_max: usize,
}

impl Writer {
    /// Creates the file, or empties one that an interrupted run left.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(super) fn create(history: History, path: &Path, with_raw: bool) -> std::result::Result<Writer, Failure> {
        Writer::with_groups((history, path), with_raw, GROUP_BYTES_MAX)
    }

    fn with_groups(
        (history, path): (History, &Path),
        with_raw: bool,
        bytes_max: usize,
    ) -> std::result::Result<Writer, Failure> {
        let file = File::create(path).map_err(|error| Failure::of_disk(path, &error))?;
        let file = SerializedFileWriter::new(file, schema(history), properties(with_raw))
            .map_err(|error| Failure::of_parquet(path, &error))?;
        let columns = columns(&SchemaDescriptor::new(schema(history)));
        Ok(Writer { path: path.to_owned(), file, columns, sums: Sums::default(), rows: 0, bytes: 0, bytes_max })
    }

    /// Adds the next event.
    ///
    /// # Errors
    /// The disk is full, or the event does not fit the columns.
    pub(super) fn add(&mut self, row: &Row) -> std::result::Result<(), Failure> {
        if row.len() != self.columns.len() {
            return Err(Failure::Content(format!("an event has {} columns", row.len())));
        }
        for (place, (column, cell)) in self.columns.iter_mut().zip(row).enumerate() {
            let Some(bytes) = column.push(cell) else {
                let why = format!("an event has a value in column {place} that does not fit: {cell:?}");
                return Err(Failure::Content(why));
            };
            self.bytes += bytes;
        }
        self.sums.add(row);
        self.rows += 1;
        if self.rows >= GROUP_ROWS_MAX || self.bytes >= self.bytes_max {
            self.flush().map_err(|error| Failure::of_parquet(&self.path, &error))?;
        }
        Ok(())
    }

    /// Writes what is left, and waits until all of it is on the disk. Returns the number of events.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn finish(mut self) -> std::result::Result<u64, Failure> {
        let flushed = self.flush();
        let path = self.path;
        for pair in self.sums.pairs() {
            self.file.append_key_value_metadata(pair);
        }
        let file = flushed.and_then(|()| self.file.into_inner()).map_err(|error| Failure::of_parquet(&path, &error))?;
        file.sync_all().map_err(|error| Failure::of_disk(&path, &error))?;
        Ok(self.sums.rows())
    }

    fn flush(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column()? else { break };
            column.write(writer.untyped())?;
            writer.close()?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

/// The values of a column in a row group.
struct Column {
    /// The definition level of a value; 0: each event has one.
    defined_max: i16,
    /// True if an event has a list of values.
    is_list: bool,
    /// The octets of each value, where all have the same number.
    octets: Option<usize>,
    defined: Vec<i16>,
    repeated: Vec<i16>,
    values: Values,
}

/// Values, none for an event without one.
enum Values {
    Flags(Vec<bool>),
    Ints(Vec<i32>),
    Longs(Vec<i64>),
    /// All octets, and where each value ends.
    Octets(Vec<u8>, Vec<usize>),
}

fn columns(schema: &SchemaDescriptor) -> Vec<Column> {
    use parquet::basic::Type as Physical;
    let columns = schema.columns().iter().map(|column| Column {
        defined_max: column.max_def_level(),
        is_list: column.max_rep_level() > 0,
        octets: (column.physical_type() == Physical::FIXED_LEN_BYTE_ARRAY)
            .then(|| usize::try_from(column.type_length()).unwrap_or(0)),
        defined: Vec::new(),
        repeated: Vec::new(),
        values: match column.physical_type() {
            Physical::BOOLEAN => Values::Flags(Vec::new()),
            Physical::INT32 => Values::Ints(Vec::new()),
            Physical::INT64 => Values::Longs(Vec::new()),
            _ => Values::Octets(Vec::new(), Vec::new()),
        },
    });
    columns.collect()
}

impl Column {
    /// Adds an event's cell. Returns the memory that it takes, in bytes; `None` if it does not fit the column.
    fn push(&mut self, cell: &Cell) -> Option<usize> {
        match cell {
            Cell::Null if self.defined_max > 0 => Some(self.level(0, 0)),
            Cell::Texts(texts) if self.is_list => {
                self.list(texts.len(), texts.iter().map(|text| Cell::Octets(text.clone())))
            }
            Cell::Numbers(numbers) if self.is_list => {
                self.list(numbers.len(), numbers.iter().map(|number| Cell::Int(number.cast_signed())))
            }
            Cell::Null | Cell::Texts(_) | Cell::Numbers(_) => None,
            value if !self.is_list => Some(self.level(self.defined_max, 0) + self.value(value)?),
            _ => None,
        }
    }

    fn list(&mut self, count: usize, elements: impl Iterator<Item = Cell>) -> Option<usize> {
        if count == 0 {
            return Some(self.level(1, 0));
        }
        let mut bytes = 0;
        for (place, element) in elements.enumerate() {
            bytes += self.level(self.defined_max, i16::from(place > 0)) + self.value(&element)?;
        }
        Some(bytes)
    }

    fn level(&mut self, defined: i16, repeated: i16) -> usize {
        if self.defined_max == 0 {
            return 0;
        }
        self.defined.push(defined);
        if self.is_list {
            self.repeated.push(repeated);
        }
        2 * size_of::<i16>()
    }

    fn value(&mut self, cell: &Cell) -> Option<usize> {
        match (&mut self.values, cell) {
            (Values::Flags(flags), Cell::Flag(flag)) => flags.push(*flag),
            (Values::Ints(ints), Cell::Int(int)) => ints.push(*int),
            (Values::Longs(longs), Cell::Long(long)) => longs.push(*long),
            (Values::Octets(all, ends), Cell::Octets(octets)) => {
                if self.octets.is_some_and(|count| count != octets.len()) {
                    return None;
                }
                all.extend_from_slice(octets);
                ends.push(all.len());
                return Some(octets.len() + size_of::<usize>());
            }
            (Values::Flags(_) | Values::Ints(_) | Values::Longs(_) | Values::Octets(..), _) => return None,
        }
        Some(size_of::<i64>())
    }

    /// Gives the values to the encoder and forgets them.
    fn write(&mut self, writer: &mut ColumnWriter<'_>) -> Result<()> {
        let levels = Levels { defined_max: self.defined_max, defined: &self.defined, repeated: &self.repeated };
        match (writer, &mut self.values) {
            (ColumnWriter::BoolColumnWriter(writer), Values::Flags(flags)) => {
                levels.write(writer, flags.len(), |range| flags[range].to_vec())?;
                flags.clear();
            }
            (ColumnWriter::Int32ColumnWriter(writer), Values::Ints(ints)) => {
                levels.write(writer, ints.len(), |range| ints[range].to_vec())?;
                ints.clear();
            }
            (ColumnWriter::Int64ColumnWriter(writer), Values::Longs(longs)) => {
                levels.write(writer, longs.len(), |range| longs[range].to_vec())?;
                longs.clear();
            }
            (ColumnWriter::ByteArrayColumnWriter(writer), Values::Octets(all, ends)) => {
                {
                    let values = slices(all, ends);
                    levels.write(writer, ends.len(), |range| range.map(&values).collect())?;
                }
                ends.clear();
            }
            (ColumnWriter::FixedLenByteArrayColumnWriter(writer), Values::Octets(all, ends)) => {
                {
                    let values = slices(all, ends);
                    let fixed = |place| FixedLenByteArray::from(values(place));
                    levels.write(writer, ends.len(), |range| range.map(fixed).collect())?;
                }
                ends.clear();
            }
            _ => return Err(ParquetError::General("a column of another type than its values".to_owned())),
        }
        self.defined.clear();
        self.repeated.clear();
        Ok(())
    }
}

/// Takes the octets, and returns a function that returns the value at a place without copying it.
fn slices<'a>(all: &mut Vec<u8>, ends: &'a [usize]) -> impl Fn(usize) -> ByteArray + 'a {
    let all = ByteArray::from(std::mem::take(all));
    move |place| {
        let start = place.checked_sub(1).map_or(0, |before| ends[before]);
        all.slice(start, ends[place] - start)
    }
}

/// The levels of a column in a row group; empty where each event has a value.
struct Levels<'a> {
    defined_max: i16,
    defined: &'a [i16],
    repeated: &'a [i16],
}

impl Levels<'_> {
    /// Writes `count` values with their levels in chunks that end where an event does.
    fn write<T: DataType>(
        &self,
        writer: &mut ColumnWriterImpl<'_, T>,
        count: usize,
        values: impl Fn(std::ops::Range<usize>) -> Vec<T::T>,
    ) -> Result<()> {
        let levels = if self.defined_max == 0 { count } else { self.defined.len() };
        let (mut from, mut value) = (0, 0);
        while from < levels {
            let mut to = levels.min(from + CHUNK_LEVELS);
            while self.repeated.get(to).is_some_and(|repeated| *repeated > 0) {
                to += 1;
            }
            let defined = self.defined.get(from..to);
            let present = match defined {
                Some(levels) => levels.iter().filter(|level| **level == self.defined_max).count(),
                None => to - from,
            };
            writer.write_batch(&values(value..value + present), defined, self.repeated.get(from..to))?;
            (from, value) = (to, value + present);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::Events;
    use super::*;

    /// An event with every kind of value, or without any that it can lack.
    fn row(number: u32) -> Row {
        let octets = |text: String| Cell::Octets(text.into_bytes());
        let optional = |cell: Cell| if number.is_multiple_of(3) { Cell::Null } else { cell };
        let (length, id) = (usize::try_from(number % 4).unwrap(), [u8::try_from(number % 251).unwrap(); 32]);
        let texts = (0..length).map(|place| format!("64500:{place}").into_bytes()).collect();
        let mut row = vec![
            Cell::Octets(id.to_vec()),
            Cell::Long(i64::from(number) - 7),
            octets("r".to_owned()),
            octets(format!("t{}", number % 5)),
            Cell::Int(4),
            octets(format!("10.0.0.{number}/32")),
            Cell::Int(32),
            Cell::Octets(vec![1; 16]),
            Cell::Octets(vec![2; 16]),
            optional(Cell::Long(u32::MAX.into())),
            octets("A".to_owned()),
            optional(octets(String::new())),
            optional(octets("64500 1".to_owned())),
            optional(Cell::Numbers((0..u32::try_from(length).unwrap()).map(|place| u32::MAX - place).collect())),
        ];
        row.extend([optional(octets("IGP".to_owned())), Cell::Null, optional(Cell::Long(0)), Cell::Null]);
        row.extend([optional(Cell::Texts(texts)), Cell::Null, Cell::Texts(Vec::new())]);
        row.extend([optional(octets("{\"ä\": 1}".to_owned())), optional(Cell::Octets(vec![0, 255]))]);
        row.extend([Cell::Long(i64::MIN), Cell::Null, Cell::Null, Cell::Null, Cell::Null]);
        row.extend([optional(Cell::Flag(number.is_multiple_of(2))), octets("loc-rib".to_owned())]);
        row
    }

    #[test]
    fn what_is_written_is_read_in_one_group_or_many() {
        let path = std::env::temp_dir().join(format!("rib-ingester-archive-{}.parquet", std::process::id()));
        for (count, bytes_max, groups) in [(0, 1, 0), (1, 1, 1), (5_000, 1 << 30, 1), (40_000, 3_000_000, 2)] {
            let mut writer = Writer::with_groups((History::Routes, &path), true, bytes_max).unwrap();
            let rows: Vec<Row> = (0..count).map(row).collect();
            rows.iter().for_each(|row| writer.add(row).unwrap());
            writer.finish().unwrap();
            let events = Events::open(History::Routes, &path).unwrap().unwrap();
            assert!(events.has_raw() && events.event_count() == u64::from(count));
            assert!(events.groups() >= groups, "{} row groups", events.groups());
            assert!(events.map(Result::unwrap).eq(rows), "{count}");
        }
        let mut writer = Writer::create(History::Routes, &path, false).unwrap();
        let mut short = row(1);
        short[0] = Cell::Octets(vec![1]);
        assert!(matches!(writer.add(&short), Err(Failure::Content(why)) if why.contains("column 0")));
        short.pop();
        assert!(writer.add(&short).is_err());
        std::fs::write(&path, "PAR1 and no more").unwrap();
        assert!(matches!(Events::open(History::Routes, &path), Err(Failure::Content(_))));
        std::fs::remove_file(&path).unwrap();
        assert!(Events::open(History::Routes, &path).unwrap().is_none());
    }
}
