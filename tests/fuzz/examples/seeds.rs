//! `seeds CORPUS RECORDING...`: writes the first inputs of every target into folders below CORPUS.

use std::path::PathBuf;
use std::{env, fs, process};

fn main() {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let Some(corpus) = arguments.next() else {
        eprintln!("usage: seeds CORPUS RECORDING...");
        process::exit(2);
    };
    let mut count = 0;
    for recording in arguments {
        let name = recording.file_stem().expect("a recording is a file").to_string_lossy().into_owned();
        let bytes = fs::read(&recording).unwrap_or_else(|error| panic!("{}: {error}", recording.display()));
        for (number, (target, input)) in checks::seeds::of(&bytes).into_iter().enumerate() {
            let folder = corpus.join(target);
            fs::create_dir_all(&folder).expect("the corpus can be written");
            fs::write(folder.join(format!("{name}-{number}")), input).expect("the corpus can be written");
            count += 1;
        }
    }
    for (target, inputs) in [("rpki", checks::rpki::seeds()), ("journal", checks::journal::seeds())] {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder).expect("the corpus can be written");
        for (number, input) in inputs.into_iter().enumerate() {
            fs::write(folder.join(number.to_string()), input).expect("the corpus can be written");
            count += 1;
        }
    }
    println!("{count} seeds");
}
