//! `replay` of MRT files: told from other files by their content, compressed or not, and read twice.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::net::Ipv4Addr;
use std::path::Path;

use super::command::{CommandError, nothing_in, open, say};
use crate::mrt::compression::decompress;
use crate::mrt::records::read_up_to;
use crate::mrt::replay::BmpStream;
use crate::mrt::survey::Survey;
use crate::mrt::types::is_mrt;

/// A file of which the first octets were read.
pub(super) enum Told {
    /// MRT.
    Mrt(MrtFile),
    /// Anything else, without its compression, and its length if known.
    Other(Box<dyn Read>, Option<u64>),
}

/// The uncompressed octets of an MRT file.
pub(super) struct MrtFile(Box<dyn Read>);

/// Opens a file and detects whether it is MRT.
pub(super) fn tell(file: &Path) -> Result<Told, CommandError> {
    let (input, length) = open(file)?;
    let (mut input, is_compressed) = decompress(input).map_err(|error| failed(file, &error))?;
    let mut first = [0; 12];
    let count = read_up_to(&mut input, &mut first).map_err(|error| failed(file, &error))?;
    if count == 0 {
        return Err(nothing_in(file));
    }
    let is_mrt = count == first.len() && is_mrt(&first);
    let input: Box<dyn Read> = Box::new(Cursor::new(first[..count].to_vec()).chain(input));
    Ok(if is_mrt { Told::Mrt(MrtFile(input)) } else { Told::Other(input, length.filter(|_| !is_compressed)) })
}

impl MrtFile {
    /// Reads the file once to know its peers, and returns its BMP stream. Standard input is kept in a temporary file for
    /// that, uncompressed.
    pub(super) fn survey(
        self,
        file: &Path,
        router_id: Option<Ipv4Addr>,
    ) -> Result<BmpStream<Box<dyn Read>>, CommandError> {
        let (mut survey, again) = if file == Path::new("-") {
            let mut kept = keep(self.0).map_err(|error| failed(&std::env::temp_dir(), &error))?;
            let survey = Survey::of(BufReader::new(&kept));
            kept.rewind().map_err(|error| failed(file, &error))?;
            (survey, Box::new(kept) as Box<dyn Read>)
        } else {
            let survey = Survey::of(BufReader::new(self.0));
            (survey, decompress(open(file)?.0).map_err(|error| failed(file, &error))?.0)
        };
        if let Some(router_id) = router_id {
            survey.set_bgp_id(router_id);
        }
        let name = file.file_name().map_or("mrt".into(), |name| name.to_string_lossy());
        Ok(BmpStream::new(Box::new(BufReader::new(again)), survey, &name))
    }
}

/// Copies the input to a temporary file without a name.
fn keep(mut input: Box<dyn Read>) -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("rib-ingester-mrt-{}", std::process::id()));
    let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    io::copy(&mut input, &mut file)?;
    file.rewind()?;
    Ok(file)
}

/// Says what was left out.
///
/// # Errors
/// A part of the file is malformed.
pub(super) fn finish(stream: &BmpStream<Box<dyn Read>>, subject: &str) -> Result<(), CommandError> {
    let notes = stream.notes();
    notes.lines().iter().for_each(|line| say(format_args!("{subject}: {line}")));
    if notes.is_damaged() {
        return Err(CommandError::Failed(format!("{subject}: is damaged; everything else in it was sent")));
    }
    Ok(())
}

fn failed(file: &Path, error: &io::Error) -> CommandError {
    CommandError::Failed(format!("{}: {error}", file.display()))
}
