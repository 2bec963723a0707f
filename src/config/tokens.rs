//! The tokens of `API_TOKEN_FILE`: who may use the API, and for what. The file has the hash of each token only.

use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::{allow, value};

/// The maximum size of the file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The length of a hash, in bytes.
const HASH_BYTES: usize = 32;

/// The use that a token permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenScope {
    /// Reading.
    Read,
    /// Reading, and the few changes that the API has.
    Write,
}

impl TokenScope {
    /// Returns the scope as the file has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            TokenScope::Read => "read",
            TokenScope::Write => "write",
        }
    }
}

/// The SHA-256 of a token.
#[derive(Clone, Copy)]
pub(crate) struct TokenHash([u8; HASH_BYTES]);

/// One line of the file.
#[derive(Clone)]
pub(crate) struct Token {
    /// The name of its owner, as changes are recorded.
    pub(crate) name: String,
    hash: TokenHash,
    /// The use that it permits.
    pub(crate) scope: TokenScope,
    /// The team whose incidents it may change; `None`: those of all.
    pub(crate) team: Option<String>,
}

/// Hides the hash.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (hidden) {} {}", self.name, self.scope.word(), self.team.as_deref().unwrap_or("-"))
    }
}

impl Token {
    /// Returns the token of an owner without a team.
    #[cfg(test)]
    pub(crate) fn new(name: &str, hash: TokenHash, scope: TokenScope) -> Token {
        Token { name: name.to_owned(), hash, scope, team: None }
    }
}

impl TokenHash {
    /// Hashes a token.
    pub(crate) fn of(token: &str) -> TokenHash {
        TokenHash(Sha256::digest(token).into())
    }

    /// Returns the hash as the file has it.
    pub(crate) fn hex(&self) -> String {
        self.0.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    fn parse(text: &str) -> Option<TokenHash> {
        let mut hash = [0; HASH_BYTES];
        if text.len() != 2 * HASH_BYTES || !text.is_ascii() {
            return None;
        }
        for (octet, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *octet = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(TokenHash(hash))
    }

    /// Compares in a time that does not depend on where two hashes differ.
    fn is(&self, other: &TokenHash) -> bool {
        self.0.iter().zip(&other.0).fold(0, |differences, (one, two)| differences | (one ^ two)) == 0
    }
}

/// Returns the line of a token. Every token is compared, so that the time says nothing of which one is near.
pub(crate) fn find<'a>(tokens: &'a [Token], presented: &str) -> Option<&'a Token> {
    let hash = TokenHash::of(presented);
    tokens.iter().fold(None, |found, token| if token.hash.is(&hash) { Some(token) } else { found })
}

/// Reads a file of lines `NAME HASH read|write [TEAM]`; `#` begins a comment.
///
/// # Errors
/// The file cannot be read, or a line is invalid; the error names its number only.
pub(crate) fn read(path: &Path) -> Result<Vec<Token>, Problem> {
    let problem = |wrong: String| {
        let allowed = "allowed: lines of a name, a SHA-256 in hex, read or write, and maybe a team, as `rib-ingester token` \
                       prints them";
        Problem::bad_file("API_TOKEN_FILE", path, &wrong, allowed)
    };
    let text = allow::read_bounded(path, FILE_BYTES_MAX).map_err(|error| problem(error.to_string()))?;
    parse(&text).map_err(problem)
}

fn parse(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens: Vec<Token> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}", i + 1);
        let words: Vec<&str> = allow::without_comment(line).split_whitespace().collect();
        let (name, hash, scope, team) = match words[..] {
            [] => continue,
            [name, hash, scope] => (name, hash, scope, None),
            [name, hash, scope, team] => (name, hash, scope, Some(team)),
            _ => return Err(wrong("is not a name, a hash, a scope and maybe a team")),
        };
        let hash = TokenHash::parse(hash).ok_or_else(|| wrong("has a hash that is not 64 hex digits"))?;
        let scope = match scope {
            "read" => TokenScope::Read,
            "write" => TokenScope::Write,
            _ => return Err(wrong("has a scope that is neither read nor write")),
        };
        let name = value::identifier(name).map_err(|why| wrong(&format!("has a name that {why}")))?;
        let team = team.map(value::identifier).transpose().map_err(|why| wrong(&format!("has a team that {why}")))?;
        if tokens.iter().any(|other| other.name == name) {
            return Err(wrong("repeats a name"));
        }
        tokens.push(Token { name, hash, scope, team });
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_by_line() {
        let (one, two) = (TokenHash::of("one").hex(), TokenHash::of("two").hex().to_uppercase());
        let tokens = parse(&format!("# bots\n\npager {one} write noc # on call\n  graphs\t{two} read\n")).unwrap();
        assert_eq!(format!("{tokens:?}"), "[pager (hidden) write noc, graphs (hidden) read -]");
        let name = |presented: &str| find(&tokens, presented).map(|token| token.name.as_str());
        assert_eq!((name("one"), name("two"), name("three"), name("")), (Some("pager"), Some("graphs"), None, None));
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn wrong_lines_are_named_by_number() {
        let hash = TokenHash::of("one").hex();
        for (line, wrong) in [
            ("one".to_owned(), "is not a name, a hash, a scope and maybe a team"),
            (format!("a {hash} write b c"), "is not a name, a hash, a scope and maybe a team"),
            (format!("a {}z read", &hash[..63]), "has a hash that is not 64 hex digits"),
            (format!("a {} read", &hash[..62]), "has a hash that is not 64 hex digits"),
            (format!("a {hash} admin"), "has a scope that is neither read nor write"),
            (format!("first {hash} read"), "repeats a name"),
        ] {
            let said = parse(&format!("first {hash} read\n{line}\n")).unwrap_err();
            assert_eq!(said, format!("line 2: {wrong}"));
        }
    }
}
