//! The events of a file, one by one in their order: to merge them with later ones, and to verify what was written.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::failure::Failure;
use super::schema::{RAW_KEY, Row, schema};
use super::sums::Sums;
use crate::store::archive::{Cell, History};

/// The events that are read at a time from each column: about a megabyte.
const BATCH_ROWS: usize = 2_048;

/// A file that is read from its beginning to its end, which is an error if the file was damaged since it was written.
pub(super) struct Events {
    path: PathBuf,
    file: SerializedFileReader<File>,
    /// The next row group.
    group: usize,
    columns: Vec<ColumnReader>,
    /// The events of the row group that have not been read.
    left: usize,
    ready: std::vec::IntoIter<Row>,
    /// The sums of what was read.
    sums: Sums,
    is_over: bool,
}

impl Events {
    /// Opens a file; `None` if there is none.
    ///
    /// # Errors
    /// The file cannot be read, or has other columns than ours.
    pub(super) fn open(history: History, path: &Path) -> std::result::Result<Option<Events>, Failure> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::of_disk(path, &error)),
        };
        let file = SerializedFileReader::new(file).map_err(|error| Failure::of_parquet(path, &error))?;
        if file.metadata().file_metadata().schema_descr().root_schema().get_fields() != schema(history).get_fields() {
            let why = "has other columns than files of this version: move it away";
            return Err(Failure::Content(format!("{}: {why}", path.display())));
        }
        let path = path.to_owned();
        let (columns, ready) = (Vec::new(), Vec::new().into_iter());
        Ok(Some(Events { path, file, group: 0, columns, left: 0, ready, sums: Sums::default(), is_over: false }))
    }

    /// Returns whether the file has the BMP messages.
    pub(super) fn has_raw(&self) -> bool {
        self.pairs().iter().any(|pair| pair.key == RAW_KEY && pair.value.as_deref() == Some("true"))
    }

    fn pairs(&self) -> &[KeyValue] {
        self.file.metadata().file_metadata().key_value_metadata().map_or(&[], Vec::as_slice)
    }

    /// Returns the number of events by the file's own count.
    pub(super) fn event_count(&self) -> u64 {
        u64::try_from(self.file.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Returns the number of row groups.
    #[cfg(test)]
    pub(super) fn groups(&self) -> usize {
        self.file.num_row_groups()
    }

    fn fill(&mut self) -> Result<()> {
        while self.left == 0 {
            if self.group >= self.file.num_row_groups() {
                return Ok(());
            }
            let group = self.file.get_row_group(self.group)?;
            self.group += 1;
            self.left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            self.columns =
                (0..group.num_columns()).map(|place| group.get_column_reader(place)).collect::<Result<_>>()?;
        }
        let count = BATCH_ROWS.min(self.left);
        let mut rows: Vec<Row> = vec![Vec::with_capacity(self.columns.len()); count];
        for column in &mut self.columns {
            let cells = read(column, count)?;
            if cells.len() != count {
                return Err(ParquetError::General(format!("a column ends after {} of {count} events", cells.len())));
            }
            for (row, cell) in rows.iter_mut().zip(cells) {
                row.push(cell);
            }
        }
        self.left -= count;
        self.ready = rows.into_iter();
        Ok(())
    }
}

impl Iterator for Events {
    type Item = std::result::Result<Row, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        if self.ready.as_slice().is_empty()
            && let Err(error) = self.fill()
        {
            self.is_over = true;
            return Some(Err(Failure::of_parquet(&self.path, &error)));
        }
        let Some(row) = self.ready.next() else {
            self.is_over = true;
            let why = "is damaged: its events are not those that were written; move it away or restore it";
            let damage = || Err(Failure::Content(format!("{}: {why}", self.path.display())));
            return (!self.sums.are_in(self.pairs())).then(damage);
        };
        self.sums.add(&row);
        Some(Ok(row))
    }
}

fn read(column: &mut ColumnReader, count: usize) -> Result<Vec<Cell>> {
    match column {
        ColumnReader::BoolColumnReader(column) => cells(column, count, Cell::Flag),
        ColumnReader::Int32ColumnReader(column) => {
            let is_empty = |cell: &Cell| matches!(cell, Cell::Texts(texts) if texts.is_empty());
            let number = |cell| if is_empty(&cell) { Cell::Numbers(Vec::new()) } else { cell };
            cells(column, count, Cell::Int).map(|cells| cells.into_iter().map(number).collect())
        }
        ColumnReader::Int64ColumnReader(column) => cells(column, count, Cell::Long),
        ColumnReader::ByteArrayColumnReader(column) => {
            cells(column, count, |octets| Cell::Octets(octets.data().to_vec()))
        }
        ColumnReader::FixedLenByteArrayColumnReader(column) => {
            cells(column, count, |octets| Cell::Octets(octets.data().to_vec()))
        }
        ColumnReader::Int96ColumnReader(_)
        | ColumnReader::FloatColumnReader(_)
        | ColumnReader::DoubleColumnReader(_) => Err(ParquetError::General("a column of no type of ours".to_owned())),
    }
}

/// Reads the cells of `count` events. A definition level says whether there is a value: 1 of an optional column; of a list 2,
/// where 1 is an empty list. A repetition level of 1 is another element of the same list.
fn cells<T: DataType>(column: &mut ColumnReaderImpl<T>, count: usize, one: impl Fn(T::T) -> Cell) -> Result<Vec<Cell>> {
    let (mut defined, mut repeated, mut values) = (Vec::new(), Vec::new(), Vec::new());
    column.read_records(count, Some(&mut defined), Some(&mut repeated), &mut values)?;
    let mut values = values.into_iter().map(one);
    if defined.is_empty() {
        return Ok(values.collect());
    }
    let missing = || ParquetError::General("a value is missing".to_owned());
    if repeated.is_empty() {
        let cell = |defined: i16| if defined == 0 { Ok(Cell::Null) } else { values.next().ok_or_else(missing) };
        return defined.into_iter().map(cell).collect();
    }
    let mut cells = Vec::with_capacity(count);
    for (defined, repeated) in defined.into_iter().zip(repeated) {
        if repeated == 0 {
            cells.push(if defined == 0 { Cell::Null } else { Cell::Texts(Vec::new()) });
        }
        if defined == 2 {
            let element = values.next().ok_or_else(missing)?;
            append(cells.last_mut().ok_or_else(missing)?, element);
        }
    }
    Ok(cells)
}

/// Appends an element to a list, which is of numbers if its first element is one.
fn append(list: &mut Cell, element: Cell) {
    match (list, element) {
        (Cell::Texts(texts), Cell::Octets(text)) => texts.push(text),
        (Cell::Numbers(numbers), Cell::Int(number)) => numbers.push(number.cast_unsigned()),
        (list, Cell::Int(number)) => *list = Cell::Numbers(vec![number.cast_unsigned()]),
        (_, _) => {}
    }
}
