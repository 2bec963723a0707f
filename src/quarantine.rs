//! Keeps messages and rows that could not be stored for a bug report: raw BMP messages in `<state
//! dir>/rejected/<router>.bmp`, which `decode` reads, and rows as lines of text in `<router>.rows`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The most bytes that one file may grow to.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The most files in the folder: routers choose their own names, and a misbehaving one may choose new ones again and
/// again.
const FILES_MAX: usize = 1_000;

/// The most characters in a file's name before its ending.
const NAME_LENGTH_MAX: usize = 200;

/// One router's file, opened when there is something to append.
#[derive(Debug)]
pub(crate) struct RejectedFile {
    path: PathBuf,
    file: Option<File>,
}

impl RejectedFile {
    /// Returns the file of this router in `folder`, which need not exist yet.
    pub fn new(folder: &Path, router: &str, ending: &str) -> RejectedFile {
        // An identifier may be any text: a character that could lead out of the folder becomes an underscore.
        let safe = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
        let name: String = router.chars().map(safe).take(NAME_LENGTH_MAX).collect();
        let name = name.trim_start_matches('.');
        let name = if name.is_empty() { "_" } else { name };
        RejectedFile { path: folder.join(format!("{name}.{ending}")), file: None }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the bytes if the file may grow by all of them; returns whether it may.
    ///
    /// # Errors
    /// The file or its folder cannot be created, opened or written.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let file = match &mut self.file {
            Some(file) => file,
            none => match open(&self.path)? {
                Some(file) => none.insert(file),
                None => return Ok(false),
            },
        };
        let length = u64::try_from(bytes.len()).expect("a length fits 64 bits");
        if file.metadata()?.len() + length > FILE_BYTES_MAX {
            return Ok(false);
        }
        file.write_all(bytes).map(|()| true)
    }
}

/// Opens or creates the file. `None` if it does not exist and the folder already has [`FILES_MAX`] files.
fn open(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.append(true);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        result => return result.map(Some),
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
        if fs::read_dir(folder)?.count() >= FILES_MAX {
            return Ok(None);
        }
    }
    options.create(true).open(path).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            Folder(std::env::temp_dir().join(format!("rib-ingester-rejected-{name}-{}", std::process::id())))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn names_stay_inside_the_folder() {
        let check = |router: &str, name: &str| {
            assert_eq!(RejectedFile::new(Path::new("d"), router, "bmp").path(), Path::new("d").join(name));
        };
        check("10.0.0.1", "10.0.0.1.bmp");
        check("2001:db8::1", "2001_db8__1.bmp");
        check("../../etc/x", "_.._etc_x.bmp");
        check("..", "_.bmp");
        check(&"x".repeat(1_000), &format!("{}.bmp", "x".repeat(200)));
    }

    #[test]
    fn a_file_is_bounded() {
        let folder = Folder::new("size");
        let mut file = RejectedFile::new(&folder.0, "r", "bmp");
        let message = vec![0; 1024 * 1024];
        let written = (0..20).filter(|_| file.append(&message).unwrap()).count();
        assert_eq!(written, 16);
    }

    #[test]
    fn the_number_of_files_is_bounded() {
        let folder = Folder::new("count");
        let append = |router: usize| RejectedFile::new(&folder.0, &router.to_string(), "rows").append(b"x").unwrap();
        assert_eq!((0..FILES_MAX + 5).filter(|router| append(*router)).count(), FILES_MAX);
        assert!(append(0), "those that are there are still written");
    }
}
