//! The program as it is installed, and the project itself: units, logs, documentation, dependencies, layout.

#[path = "../common/mod.rs"]
mod common;

mod circles;
mod ends;
mod guide;
mod image;
mod logs;
mod notify;
mod readme;
mod scripts;
mod supply;
mod systemd;
mod tidy;
mod words;
