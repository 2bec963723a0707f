//! CSV with a header of column names. Lines that begin with # are comments.

use csv::StringRecord;

/// The content of a CSV text.
#[derive(Debug)]
pub(crate) struct CsvText {
    /// The names of the columns.
    pub header: Vec<String>,
    /// The records, each with its line, counted from 1.
    pub records: Vec<(usize, StringRecord)>,
}

/// Reads a text. Records may have more or fewer values than the header: that is for the caller to refuse.
///
/// # Errors
/// A sentence, when it has no header or is not CSV.
pub(crate) fn read(text: &str) -> Result<CsvText, String> {
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).comment(Some(b'#')).trim(csv::Trim::All).from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().map_err(|error| error.to_string())?.iter().map(str::to_owned).collect();
    if header.is_empty() {
        return Err("has no header of column names".to_owned());
    }
    let mut records = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        records.push((record.position().map_or(0, |position| line_of(text, position)), record));
    }
    Ok(CsvText { header, records })
}

/// Returns the line of a record, which begins after the comments and empty lines before it.
fn line_of(text: &str, position: &csv::Position) -> usize {
    let before = usize::try_from(position.byte()).ok().and_then(|byte| text.get(byte..)).unwrap_or_default();
    let skipped = before.lines().take_while(|line| line.is_empty() || line.starts_with('#')).count();
    usize::try_from(position.line()).unwrap_or(usize::MAX).saturating_add(skipped)
}
