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
use decode_bench::worst::{self, SHAPES};

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
        /// Only the contestant of this name, or those whose names hold it
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Decode crafted messages of growing size with ours; fails if the time per octet grows
    Worst {
        /// How often each message is decoded; the quickest counts
        #[arg(long, default_value_t = 50)]
        rounds: usize,
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
        Command::Worst { rounds } => worst(rounds),
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

/// Sizes of the crafted UPDATEs, octets; the last is the longest that BGP has (RFC 8654).
const WORST_SIZES: [usize; 4] = [4_096, 16_384, 32_768, 65_535];

/// By how much the time per octet may grow from the smallest size to the largest: caches, not squares, which would be 16.
const GROWTH_MAX: f64 = 4.0;

fn worst(rounds: usize) -> io::Result<()> {
    println!("| UPDATE full of | ns/octet at 4 KiB | 16 KiB | 32 KiB | 64 KiB | growth | µs at 64 KiB |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let mut too_steep = Vec::new();
    for shape in &SHAPES {
        let per_octet = WORST_SIZES.map(|size| {
            let message = shape.message(size);
            let times = (0..rounds.max(1)).map(|_| clock::time(|| worst::swallow(&message)).0).collect();
            clock::summary(times).0 / message.len() as f64
        });
        let [first, second, third, last] = per_octet;
        let growth = last / first;
        let micros = last * WORST_SIZES[3] as f64 / 1_000.0;
        println!("| {} | {first:.2} | {second:.2} | {third:.2} | {last:.2} | {growth:.2} | {micros:.0} |", shape.name);
        if growth > GROWTH_MAX {
            too_steep.push(shape.name);
        }
    }
    if too_steep.is_empty() { Ok(()) } else { Err(io::Error::other(format!("not linear: {too_steep:?}"))) }
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
    let is_named = ALL.iter().any(|contestant| contestant.name == only);
    let is_chosen = |contestant: &&Contestant| match is_named {
        true => contestant.name == only,
        false => contestant.name.contains(only),
    };
    let chosen: Vec<&Contestant> = ALL.iter().filter(is_chosen).collect();
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
