//! The files that are written: under another name until they are whole, or standard output.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::cli::command::CommandError;
use crate::mrt::compression::Compressed;

/// A file that is being written, compressed by its name.
pub(super) struct Output {
    path: PathBuf,
    out: Option<Compressed<Target>>,
}

/// The place that the octets go to.
enum Target {
    File(BufWriter<File>, PathBuf),
    Stdout(BufWriter<io::Stdout>),
}

impl Write for Target {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Target::File(out, _) => out.write(octets),
            Target::Stdout(out) => out.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Target::File(out, _) => out.flush(),
            Target::Stdout(out) => out.flush(),
        }
    }
}

impl Output {
    /// Creates the file, or begins standard output for `-`.
    pub(super) fn create(path: &Path) -> Result<Output, CommandError> {
        let target = if is_stdout(path) {
            Target::Stdout(BufWriter::new(io::stdout()))
        } else {
            let part = PathBuf::from(format!("{}.part", path.display()));
            let file = File::create(&part).map_err(|error| failed(&part, &error))?;
            Target::File(BufWriter::with_capacity(1 << 18, file), part)
        };
        Ok(Output { path: path.to_owned(), out: Some(Compressed::by_name(path, target)) })
    }

    /// Returns what octets are written to.
    pub(super) fn writer(&mut self) -> &mut impl Write {
        self.out.as_mut().expect("it is taken when the file is finished")
    }

    /// Returns the error of a failed write.
    pub(super) fn failed(&self, error: &io::Error) -> CommandError {
        failed(&self.path, error)
    }

    /// Writes what is left, and gives the file its name.
    pub(super) fn finish(mut self) -> Result<(), CommandError> {
        let out = self.out.take().expect("it is taken here only");
        let finish = || match out.finish()? {
            Target::File(mut out, part) => {
                out.flush()?;
                out.get_ref().sync_all()?;
                std::fs::rename(part, &self.path)
            }
            Target::Stdout(mut out) => out.flush(),
        };
        finish().map_err(|error| failed(&self.path, &error))
    }
}

/// A file that is not finished is removed.
impl Drop for Output {
    fn drop(&mut self) {
        if self.out.is_some() && !is_stdout(&self.path) {
            let _ = std::fs::remove_file(format!("{}.part", self.path.display()));
        }
    }
}

/// Returns whether the name means standard output.
pub(super) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

fn failed(path: &Path, error: &io::Error) -> CommandError {
    CommandError::Failed(format!("{}: {error}", path.display()))
}
