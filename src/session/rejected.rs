//! Messages that could not be applied, kept as raw BMP for a bug report: `decode` reads the file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A router's file grows to this many bytes and no further.
const FILE_SIZE_MAX: u64 = 16 * 1024 * 1024;

/// `<state dir>/rejected/<router>.bmp` of one session, opened at the first rejected message.
#[derive(Debug)]
pub struct RejectedFile {
    path: PathBuf,
    file: Option<File>,
}

impl RejectedFile {
    /// The file of this router in `directory`; nothing is created yet.
    pub fn new(directory: &Path, router: &str) -> RejectedFile {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let name: String = router.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
        let name = name.trim_start_matches('.');
        RejectedFile { path: directory.join(format!("{}.bmp", if name.is_empty() { "_" } else { name })), file: None }
    }

    /// Where the bytes go.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one whole BMP message; whether there was room for it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn append(&mut self, message: &[u8]) -> io::Result<bool> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                if let Some(directory) = self.path.parent() {
                    fs::create_dir_all(directory)?;
                }
                none.insert(OpenOptions::new().create(true).append(true).open(&self.path)?)
            }
        };
        let length = u64::try_from(message.len()).expect("a length fits 64 bits");
        if file.metadata()?.len() + length > FILE_SIZE_MAX {
            return Ok(false);
        }
        file.write_all(message).map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_directory() {
        let check = |router: &str, name: &str| {
            assert_eq!(RejectedFile::new(Path::new("d"), router).path(), Path::new("d").join(name));
        };
        check("10.0.0.1", "10.0.0.1.bmp");
        check("2001:db8::1", "2001_db8__1.bmp");
        check("../../etc/x", "_.._etc_x.bmp");
        check("..", "_.bmp");
    }

    #[test]
    fn the_file_is_bounded() {
        let directory = std::env::temp_dir().join(format!("rib-ingester-rejected-{}", std::process::id()));
        let mut file = RejectedFile::new(&directory, "r");
        let message = vec![0; 1024 * 1024];
        let written = (0..20).filter(|_| file.append(&message).unwrap()).count();
        assert_eq!(written, 16);
        fs::remove_dir_all(directory).unwrap();
    }
}
