//! The files of a stream: their names, and the records in them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::record::{self, Chunk, Magic};

/// Returns the path of a segment in a stream's folder.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.segment"))
}

/// Returns the numbers of the segments in a stream's folder, in order.
pub(super) fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_suffix(".segment")?.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Writes a small file as a whole: a process that is killed meanwhile leaves what was there before, never a part.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    fs::write(&draft, bytes)?;
    fs::rename(draft, path)
}

/// Returns the first octets of a segment; `None` if it has fewer.
pub(super) fn magic(file: &File) -> io::Result<Option<Magic>> {
    let mut magic = Magic::default();
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) => Ok(Some(magic)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether a segment is of the session with these first octets. Those of versions before have no trace of it.
pub(super) fn is_of(file: &File, session: Magic) -> io::Result<bool> {
    Ok(magic(file)?.is_some_and(|magic| magic == session || magic == *record::MAGIC))
}

/// Gives every chunk of a segment to `each`, in order. What is damaged, or of another session, is passed over.
pub(super) fn each_chunk(path: &Path, session: Magic, mut each: impl FnMut(&Chunk)) -> io::Result<()> {
    let file = File::open(path)?;
    if !is_of(&file, session)? {
        return Ok(());
    }
    let size = file.metadata()?.len();
    let mut offset = u64::try_from(record::MAGIC.len()).expect("a length fits 64 bits");
    while offset < size {
        match read_record(&file, offset, size)? {
            Some(chunk) => {
                offset += chunk.record_size();
                each(&chunk);
            }
            None => offset = behind_damage(&file, offset, size)?,
        }
    }
    Ok(())
}

/// Returns where reading goes on after the damaged record at `offset`: at the next one, if it is whole where the
/// damaged one says that it ends, else at the segment's end.
pub(super) fn behind_damage(file: &File, offset: u64, size: u64) -> io::Result<u64> {
    let mut head = [0; record::HEAD_SIZE];
    if size - offset < u64::try_from(head.len()).expect("a length fits 64 bits") {
        return Ok(size);
    }
    file.read_exact_at(&mut head, offset)?;
    let length = record::rest_size(&head).and_then(|rest| u64::try_from(head.len() + rest).ok());
    let Some(end) = length.and_then(|length| offset.checked_add(length)).filter(|end| *end < size) else {
        return Ok(size);
    };
    Ok(if read_record(file, end, size)?.is_some() { end } else { size })
}

/// Writes a record at `offset`. Until its last octet is written it counts as none.
pub(super) fn write_record(file: &File, chunk: &Chunk, offset: u64) -> io::Result<()> {
    let mut record = chunk.to_record();
    let first = std::mem::replace(&mut record[0], record::UNFINISHED);
    file.write_all_at(&record, offset)?;
    file.write_all_at(&[first], offset)
}

/// Returns whether a segment of `size` bytes, more than `offset`, ends with a record that was being written when its
/// process ended: the record reaches beyond the end, and begins as [`write_record`] begins.
pub(super) fn is_unfinished(file: &File, offset: u64, size: u64) -> io::Result<bool> {
    let left = usize::try_from(size - offset).unwrap_or(usize::MAX);
    let mut head = [0; record::HEAD_SIZE];
    let there = left.min(head.len());
    file.read_exact_at(&mut head[..there], offset)?;
    let is_begun = std::mem::replace(&mut head[0], 0) == record::UNFINISHED;
    Ok(is_begun && record::rest_size(&head).is_none_or(|rest| head.len() + rest > left))
}

/// Returns the record at `offset` of a segment with `size` bytes; `None` if it is not whole.
pub(super) fn read_record(file: &File, offset: u64, size: u64) -> io::Result<Option<Chunk>> {
    let mut head = [0; record::HEAD_SIZE];
    let left = usize::try_from(size - offset).unwrap_or(usize::MAX);
    if left < head.len() {
        return Ok(None);
    }
    file.read_exact_at(&mut head, offset)?;
    if head[0] == record::UNFINISHED {
        // If all the rest is there, the sum says so.
        head[0] = 0;
    }
    let Some(rest) = record::rest_size(&head).filter(|rest| *rest <= left - head.len()) else { return Ok(None) };
    let mut bytes = head.to_vec();
    bytes.resize(head.len() + rest, 0);
    let after_head = offset + u64::try_from(head.len()).expect("a length fits 64 bits");
    file.read_exact_at(&mut bytes[head.len()..], after_head)?;
    Ok(Chunk::from_record(&bytes))
}
