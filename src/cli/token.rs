//! `token`: makes a token for the API. Only its hash is in the file, so it is shown this once.

use std::fs::File;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};

use super::command::{CommandError, print, say};
use crate::config::tokens::{TokenHash, TokenScope};
use crate::config::value;

/// The number of random bytes of a token.
const RANDOM_BYTES: usize = 32;

/// The owner of the token, and what it is for.
#[derive(Args, Debug)]
pub struct TokenArguments {
    /// The name of its owner, as changes are recorded: without spaces
    #[arg(value_parser = word)]
    name: String,
    /// The use that it permits
    #[arg(long, value_enum, default_value = "read")]
    scope: ScopeArgument,
    /// The team whose incidents it may change; unset: those of all
    #[arg(long, value_parser = word)]
    team: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScopeArgument {
    /// Reading
    Read,
    /// Reading, and acknowledging, snoozing, closing and silencing incidents
    Write,
}

fn word(text: &str) -> Result<String, String> {
    let text = value::identifier(text)?;
    if text.contains('#') { Err("contains #, which begins a comment".to_owned()) } else { Ok(text) }
}

/// Prints a token and its line.
pub(super) fn run(arguments: &TokenArguments) -> Result<(), CommandError> {
    let mut random = [0; RANDOM_BYTES];
    let filled = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random));
    filled.map_err(|error| CommandError::Failed(format!("/dev/urandom: {error}")))?;
    let token = URL_SAFE_NO_PAD.encode(random);
    let scope = match arguments.scope {
        ScopeArgument::Read => TokenScope::Read,
        ScopeArgument::Write => TokenScope::Write,
    };
    let team = arguments.team.as_ref().map_or(String::new(), |team| format!(" {team}"));
    print(&format!("{} {} {}{team}\n", arguments.name, TokenHash::of(&token).hex(), scope.word()))?;
    say(format_args!("the token, which is not shown again: {token}"));
    Ok(())
}
