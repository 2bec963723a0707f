//! `allocations`: how often and how much ours allocates, per UPDATE and per octet of the worst messages.
//!
//! A program of its own: a counting allocator would slow down what the other one measures.

use std::alloc::System;
use std::io;

use clap::Parser;
use decode_bench::contestants::{ALL, Done};
use decode_bench::generate::Options;
use decode_bench::worst::{self, SHAPES};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Parser)]
#[command(about = "Counts allocations while a full table is decoded")]
struct Arguments {
    /// IPv4 routes, and a fifth as many for IPv6
    #[arg(long, default_value_t = 100_000)]
    routes: usize,
}

fn main() -> io::Result<()> {
    let options = Options::full_table(Arguments::parse().routes);
    let (stream, _) = decode_bench::table(&options)?;
    println!("| who | allocations per UPDATE | per prefix | octets allocated per prefix |\n|---|---:|---:|---:|");
    for contestant in &ALL {
        let region = Region::new(ALLOCATOR);
        let done = (contestant.run)(&stream);
        let stats = region.change();
        if let Done::Decoded(tally) = done {
            let (updates, prefixes) = (tally.updates as f64, tally.prefixes() as f64);
            let count = (stats.allocations + stats.reallocations) as f64;
            let bytes = stats.bytes_allocated as f64;
            println!(
                "| {} | {:.2} | {:.2} | {:.0} |",
                contestant.name,
                count / updates,
                count / prefixes,
                bytes / prefixes
            );
        }
    }
    println!("\n| UPDATE of 64 KiB full of | allocations | octets allocated per octet of message |\n|---|---:|---:|");
    for shape in &SHAPES {
        let message = shape.message(usize::from(u16::MAX));
        let region = Region::new(ALLOCATOR);
        worst::swallow(&message);
        let stats = region.change();
        let count = stats.allocations + stats.reallocations;
        println!("| {} | {count} | {:.1} |", shape.name, stats.bytes_allocated as f64 / message.len() as f64);
    }
    Ok(())
}
