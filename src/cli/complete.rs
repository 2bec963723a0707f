//! `completions` and `man`, generated from the same commands and the same table of settings that the program uses.

use std::io;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::command::{CommandError, print};
use super::manual;
use crate::config::{DefaultValue, Setting, TABLE};

/// The target shell.
#[derive(Args, Debug)]
pub(crate) struct CompleteArguments {
    /// The shell
    shell: Shell,
}

/// Prints the completions of one shell.
pub(super) fn completions(arguments: &CompleteArguments, mut command: Command) -> Result<(), CommandError> {
    let mut out = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "rib-ingester", &mut out);
    let script = String::from_utf8_lossy(&out);
    match arguments.shell {
        Shell::Bash => print(&with_corrected_labels(&script)),
        _ => print(&script),
    }
}

/// Replaces the labels of bash's subcommands by those that the script looks for: if the name of the program contains a
/// hyphen, `clap_complete` 4.6 writes others (`rib__subcmd__ingester` for `rib__ingester`), and nothing after a
/// subcommand is completed.
fn with_corrected_labels(script: &str) -> String {
    script.replace("rib__subcmd__ingester", "rib__ingester")
}

/// Prints the manual page: each command with its arguments, then the settings.
pub(super) fn man(command: Command) -> Result<(), CommandError> {
    let mut out = Vec::new();
    page(command, &mut out).map_err(|error| CommandError::Failed(format!("manual page: {error}")))?;
    print(&String::from_utf8_lossy(&out))
}

fn page(mut command: Command, out: &mut Vec<u8>) -> io::Result<()> {
    command.build();
    let man = Man::new(command.clone());
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    let mut commands = Roff::default();
    commands.control("SH", ["COMMANDS"]);
    commands.to_writer(out)?;
    describe_all(&command, &mut String::new(), out)?;
    settings(out)?;
    manual::sections(out)?;
    man.render_version_section(out)
}

/// Writes each command below `parent`, and those below it, under the names that lead to it.
fn describe_all(parent: &Command, names: &mut String, out: &mut Vec<u8>) -> io::Result<()> {
    for one in parent.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help") {
        let before = names.len();
        names.push_str(if names.is_empty() { "" } else { " " });
        names.push_str(one.get_name());
        describe(one, names, out)?;
        describe_all(one, names, out)?;
        names.truncate(before);
    }
    Ok(())
}

fn describe(command: &Command, names: &str, out: &mut Vec<u8>) -> io::Result<()> {
    let mut heading = Roff::default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    heading.control("SS", [names]);
    heading.text([bold(usage)]);
    heading.control("PP", []);
    heading.text([roman(command.get_about().map(ToString::to_string).unwrap_or_default())]);
    for argument in command.get_arguments().filter(|argument| argument.get_id() != "help" && !argument.is_global_set())
    {
        heading.control("TP", []);
        heading.text([bold(argument.to_string())]);
        heading.text([roman(argument.get_help().map(ToString::to_string).unwrap_or_default())]);
    }
    heading.to_writer(out)
}

fn settings(out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", ["ENVIRONMENT"]);
    for setting in TABLE {
        roff.control("TP", []);
        roff.text([bold(setting.variable())]);
        roff.text([roman(about(setting))]);
    }
    roff.to_writer(out)
}

fn about(setting: &Setting) -> String {
    let default = match setting.default {
        DefaultValue::Unset => String::new(),
        other => format!("; default {}", other.describe()),
    };
    format!("{} ({}{default})", setting.meaning, setting.allowed).replace('`', "")
}
