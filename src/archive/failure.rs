//! Failures of a file of the archive.

use std::fmt;
use std::io;
use std::path::Path;

use parquet::errors::ParquetError;

use crate::store;

/// The reason why a file was not written or not believed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The database failed.
    Store(store::Error),
    /// The disk failed: it is full, read-only or gone.
    Disk(String),
    /// A file or an event is not what it should be.
    Content(String),
}

impl Failure {
    /// Returns the failure of something that was done to a file.
    pub(super) fn of_disk(path: &Path, error: &io::Error) -> Failure {
        Failure::Disk(format!("{}: {error}", path.display()))
    }

    /// Returns the failure of reading or writing Parquet.
    pub(super) fn of_parquet(path: &Path, error: &ParquetError) -> Failure {
        let text = format!("{}: {error}", path.display());
        match error {
            ParquetError::External(source) if source.is::<io::Error>() => Failure::Disk(text),
            _ => Failure::Content(text),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Store(error) => error.fmt(f),
            Failure::Disk(text) => write!(f, "the disk fails: {text}"),
            Failure::Content(text) => f.write_str(text),
        }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Failure {
        Failure::Store(error)
    }
}
