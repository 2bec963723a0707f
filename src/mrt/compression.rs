//! Compressed files: read by what they contain, written by what they are called.

use std::io::{self, Cursor, Read, Write};
use std::path::Path;

use bzip2::read::MultiBzDecoder;
use bzip2::write::BzEncoder;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::records::read_up_to;

/// Returns the uncompressed octets of a file that may be compressed with gzip or bzip2, in one piece or several, and
/// whether it is.
///
/// # Errors
/// The file cannot be read.
pub fn decompress(mut input: Box<dyn Read>) -> io::Result<(Box<dyn Read>, bool)> {
    let mut magic = [0; 4];
    let count = read_up_to(&mut input, &mut magic)?;
    let magic = magic[..count].to_vec();
    let is_bzip2 = matches!(magic[..], [b'B', b'Z', b'h', b'1'..=b'9']);
    let is_gzip = magic.starts_with(&[0x1f, 0x8b, 8]);
    let input = Cursor::new(magic).chain(input);
    Ok(match (is_gzip, is_bzip2) {
        (true, _) => (Box::new(MultiGzDecoder::new(io::BufReader::new(input))), true),
        (_, true) => (Box::new(MultiBzDecoder::new(io::BufReader::new(input))), true),
        (false, false) => (Box::new(input), false),
    })
}

/// A file that is written, compressed or not.
pub enum Compressed<W: Write> {
    /// As it is.
    Plain(W),
    /// With gzip.
    Gzip(GzEncoder<W>),
    /// With bzip2.
    Bzip2(BzEncoder<W>),
}

impl<W: Write> Compressed<W> {
    /// Returns the writer of a file with this name: `.gz` and `.bz2` are compressed.
    pub fn by_name(name: &Path, out: W) -> Compressed<W> {
        match name.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Compressed::Gzip(GzEncoder::new(out, flate2::Compression::default())),
            Some("bz2") => Compressed::Bzip2(BzEncoder::new(out, bzip2::Compression::default())),
            Some(_) | None => Compressed::Plain(out),
        }
    }

    /// Writes what is left, and returns the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Compressed::Plain(mut out) => out.flush().map(|()| out),
            Compressed::Gzip(encoder) => encoder.finish(),
            Compressed::Bzip2(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressed<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Compressed::Plain(out) => out.write(octets),
            Compressed::Gzip(encoder) => encoder.write(octets),
            Compressed::Bzip2(encoder) => encoder.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Compressed::Plain(out) => out.flush(),
            Compressed::Gzip(encoder) => encoder.flush(),
            Compressed::Bzip2(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_as_they_were() {
        for (name, is_compressed) in [("a", false), ("a.gz", true), ("a.bz2", true)] {
            let file = |text: &[u8]| {
                let mut out = Compressed::by_name(Path::new(name), Vec::new());
                out.write_all(text).unwrap();
                out.finish().unwrap()
            };
            // Two files in one: a RIB and the updates after it.
            let both = [file(b"first "), file(b"second")].concat();
            let (mut input, was) = decompress(Box::new(Cursor::new(both))).unwrap();
            let mut text = String::new();
            input.read_to_string(&mut text).unwrap();
            assert_eq!((text.as_str(), was), ("first second", is_compressed), "{name}");
        }
    }
}
