//! The command line: parse, call, map the error to an exit code.

use std::process::ExitCode;

use clap::Parser;

use rib_ingester::cli::{self, CommandLine};

fn main() -> ExitCode {
    // Wrong usage ends here with exit code 2, `--help` with 0.
    let arguments = CommandLine::parse();
    let result = cli::run(arguments);
    log::logger().flush();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.lines() {
                cli::say(line);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}
