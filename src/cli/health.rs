//! `health`: asks the collector with the same settings how it is, for containers and supervisors that have no HTTP client.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;

use super::command::{CommandError, print};
use crate::config::Settings;
use crate::model::text::printable;

/// The longest time for each step: connect, send, each piece of the answer.
const STEP_MAX: Duration = Duration::from_secs(5);

/// The most octets of an answer that are read.
const ANSWER_MAX: u64 = 64 << 10;

/// The question.
#[derive(Debug, Args)]
pub(crate) struct HealthArguments {
    /// Ask whether all components work (/readyz), not only whether its threads make progress (/healthz)
    #[arg(long)]
    ready: bool,
}

/// Prints the answer; any but status 200, and none, is a failure.
pub(super) fn run(arguments: &HealthArguments, settings: &Settings) -> Result<(), CommandError> {
    let Some(listen) = settings.http_listen else {
        let why = "RIB_INGESTER_HTTP_LISTEN is off: there is nobody to ask";
        return Err(CommandError::Configuration(vec![why.to_owned()]));
    };
    let path = if arguments.ready { "/readyz" } else { "/healthz" };
    let (status, body) = ask(listen, path).map_err(|why| CommandError::Failed(format!("{listen}{path}: {why}")))?;
    let body = printable(body.trim_end()).into_owned();
    if status == 200 {
        return print(&format!("{body}\n"));
    }
    Err(CommandError::Failed(format!("{listen}{path}: status {status}: {body}")))
}

/// Returns the addresses at which this machine reaches a listener.
fn addresses(listen: SocketAddr) -> Vec<SocketAddr> {
    let with_port = |ip: IpAddr| SocketAddr::new(ip, listen.port());
    match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => vec![with_port(Ipv4Addr::LOCALHOST.into())],
        // It may accept one of the two only.
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            vec![with_port(Ipv4Addr::LOCALHOST.into()), with_port(Ipv6Addr::LOCALHOST.into())]
        }
        ip => vec![with_port(ip)],
    }
}

/// Returns the status and the body of the answer.
fn ask(listen: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let mut stream = Err("no address".to_owned());
    for address in addresses(listen) {
        stream = TcpStream::connect_timeout(&address, STEP_MAX).map_err(|error| error.to_string());
        if stream.is_ok() {
            break;
        }
    }
    let mut stream = stream?;
    let mut answer = Vec::new();
    stream
        .set_read_timeout(Some(STEP_MAX))
        .and_then(|()| stream.set_write_timeout(Some(STEP_MAX)))
        // Over loopback it answers to names of loopback only.
        .and_then(|()| write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
        .and_then(|()| (&stream).take(ANSWER_MAX).read_to_end(&mut answer))
        .map_err(|error| error.to_string())?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP answer")?;
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|digits| digits.parse().ok());
    Ok((status.ok_or("no HTTP answer")?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_for_all_addresses_is_asked_on_loopback() {
        let check = |listen: &str, expected: &[&str]| {
            let found: Vec<String> = addresses(listen.parse().unwrap()).iter().map(SocketAddr::to_string).collect();
            assert_eq!(found, expected);
        };
        check("0.0.0.0:1", &["127.0.0.1:1"]);
        check("[::]:1", &["127.0.0.1:1", "[::1]:1"]);
        check("192.0.2.1:1", &["192.0.2.1:1"]);
    }
}
