//! History in files: the events of closed days as Parquet, one file for each day and router.
//!
//! A file only ever gains events: what is written is the union of the file that is there and of the rows of a partition,
//! merged by their common order. So nothing is lost or stored twice by a run that ended in between, by events that come
//! late, by two partitions of one day, or by a day that was dropped already. A file is written under another name, read
//! back as a whole, flushed to disk and then renamed; then `archives` records it.
//!
//! One collector or command at a time writes, under an advisory lock ([`crate::store::archive`]).

mod day;
mod failure;
mod folder;
mod merge;
mod names;
mod reader;
mod report;
mod schema;
mod sums;
mod writer;

pub(crate) use self::folder::Archive;
pub(crate) use self::report::Report;
