//! `decode-bench`: times, tables.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use decode_bench::clock;
use decode_bench::contestants::{ALL, Contestant, Done, OURS};
use decode_bench::generate::{self, Options, Written};
use decode_bench::tally::Tally;

#[derive(Parser)]
#[command(about = "Measures the decoder beside others")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Decode a generated table with every contestant, in turns
    Compare {
        #[command(flatten)]
        size: Size,
        /// How often each contestant gets its turn
        #[arg(long, default_value_t = 7)]
        rounds: usize,
        /// Only contestants whose name holds this; the memcpy always runs
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Write a generated table as a raw BMP stream, for `rib-ingester replay`
    Generate {
        #[command(flatten)]
        size: Size,
        /// Where to
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(clap::Args)]
struct Size {
    /// IPv4 routes
    #[arg(long, default_value_t = 1_000_000)]
    routes: usize,
    /// IPv6 routes; a fifth of the IPv4 routes unless given
    #[arg(long)]
    ipv6: Option<usize>,
    /// Another seed, another table
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Size {
    fn options(&self) -> Options {
        let Size { routes, ipv6, seed } = *self;
        Options { ipv6: ipv6.unwrap_or(routes / 5), seed, ..Options::full_table(routes) }
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Compare { size, rounds, only } => compare(&size.options(), rounds, &only),
        Command::Generate { size, out } => write_file(&size.options(), &out),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("decode-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_file(options: &Options, out: &PathBuf) -> io::Result<()> {
    let written = generate::write_table(&mut BufWriter::new(File::create(out)?), options)?;
    describe(options, &written);
    Ok(())
}

fn describe(options: &Options, written: &Written) {
    let Written { messages, updates, attribute_sets, bytes } = written;
    println!(
        "{} IPv4 and {} IPv6 prefixes in {updates} UPDATEs, {attribute_sets} distinct attribute sets, {messages} \
         messages, {bytes} bytes",
        options.ipv4, options.ipv6
    );
}

fn compare(options: &Options, rounds: usize, only: &str) -> io::Result<()> {
    let (stream, written) = decode_bench::table(options)?;
    describe(options, &written);
    let chosen: Vec<&Contestant> = ALL.iter().filter(|c| c.name.contains(only) || c.name == "memcpy").collect();
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); chosen.len()];
    let mut found: Option<(Tally, &str)> = None;
    for _ in 0..rounds.max(1) {
        for (contestant, times) in chosen.iter().zip(&mut times) {
            let (time, done) = clock::time(|| (contestant.run)(&stream));
            times.push(time);
            check(contestant.name, done, options, &written, &mut found)?;
        }
    }
    print_times(options, chosen.iter().zip(times));
    if let Some((tally, _)) = found {
        println!("\nall decoders found the same: {tally:?}");
    }
    Ok(())
}

/// Every decoder has found what the generator has written, and what the decoders before it found.
fn check<'a>(
    name: &'a str,
    done: Done,
    options: &Options,
    written: &Written,
    found: &mut Option<(Tally, &'a str)>,
) -> io::Result<()> {
    let tally = match done {
        Done::Floor(_) => return Ok(()),
        Done::Decoded(tally) => tally,
    };
    let want = (written.updates as u64, options.ipv4 as u64, options.ipv6 as u64);
    if (tally.updates, tally.ipv4, tally.ipv6) != want {
        return Err(io::Error::other(format!("{name} found other routes than were generated: {tally:?}")));
    }
    match found {
        None => *found = Some((tally, name)),
        Some((first, of)) if *first != tally => {
            return Err(io::Error::other(format!("{name} and {of} differ:\n{tally:?}\n{first:?}")));
        }
        Some(_) => {}
    }
    Ok(())
}

fn print_times<'a>(options: &Options, times: impl Iterator<Item = (&'a &'a Contestant, Vec<Duration>)>) {
    let prefixes = (options.ipv4 + options.ipv6) as f64;
    let rows: Vec<(&Contestant, f64, f64)> = times
        .map(|(contestant, times)| {
            let (min, median) = clock::summary(times);
            (*contestant, min / prefixes, median / prefixes)
        })
        .collect();
    let ours = rows.iter().find(|(contestant, ..)| contestant.name == OURS).map(|(_, min, _)| *min);
    println!("\n| who | what | ns/prefix min | median | of ours |\n|---|---|---:|---:|---:|");
    for (Contestant { name, what, .. }, min, median) in rows {
        let ratio = ours.map_or(String::new(), |ours| format!("{:.2}", min / ours));
        println!("| {name} | {what} | {min:.1} | {median:.1} | {ratio} |");
    }
}
