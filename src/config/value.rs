//! Parsers from text to value, one function per type of setting. An error states the mistake in a few words; the
//! allowed values are in the table.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use crate::conninfo::ConnInfo;
use crate::model::{ExtendedCommunity, OtherFamily};

/// The handling in the history of routes that a re-dump repeats unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryRedump {
    /// They are not recorded as events.
    Skip,
    /// They are recorded as events.
    Record,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// The journal's format if standard error is connected to it, else text.
    Auto,
    /// Time, level, message.
    Text,
    /// Priority and message.
    Journald,
    /// One JSON object per line.
    Json,
}

/// Returns the remedy for characters around a value that are not part of it: added when the file was saved, or not
/// removed by its reader.
pub fn wrapping(text: &str) -> Option<&'static str> {
    let is_quoted = |quote| text.len() >= 2 && text.starts_with(quote) && text.ends_with(quote);
    if text.contains('\u{feff}') {
        Some("contains a byte-order mark: save the file without one (plain UTF-8)")
    } else if text.ends_with('\r') {
        Some("ends with a carriage return: save the file with Unix line ends")
    } else if text.trim() != text {
        Some("has whitespace around it: remove it")
    } else if is_quoted('"') || is_quoted('\'') {
        Some("has quotes around it: remove them")
    } else {
        None
    }
}

/// Formats part of a value for a message: in quotes that it does not contain itself, with nothing escaped twice.
pub(crate) fn quoted(text: &str) -> String {
    let quote = if text.contains('"') { '\'' } else { '"' };
    format!("{quote}{}{quote}", plain(text))
}

/// Formats a value as it was given: invisible characters are escaped, quotes and backslashes are not.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '\'' | '\\') { out.push(c) } else { out.extend(c.escape_debug()) }
    }
    out
}

/// Wraps the parser of a setting that always has a value.
pub fn required<T>(parse: impl Fn(&str) -> Result<T, String>) -> impl Fn(Option<&str>) -> Result<T, String> {
    move |text| text.map_or_else(|| Err("is required".to_string()), &parse)
}

/// Wraps the parser of a setting that may be absent.
pub fn optional<T>(parse: impl Fn(&str) -> Result<T, String>) -> impl Fn(Option<&str>) -> Result<Option<T>, String> {
    move |text| text.map(&parse).transpose()
}

/// Wraps the parser of a list that is empty when it is absent.
pub fn list<T>(parse: impl Fn(&str) -> Result<Vec<T>, String>) -> impl Fn(Option<&str>) -> Result<Vec<T>, String> {
    move |text| text.map_or_else(|| Ok(Vec::new()), &parse)
}

/// Checks a connection string; empty when absent.
pub(crate) fn database_url_or_empty(text: Option<&str>) -> Result<String, String> {
    let Some(text) = text else { return Ok(String::new()) };
    // Error texts never contain a password.
    ConnInfo::parse(text)?;
    Ok(text.to_string())
}

/// Returns `host=.. user=..` of a connection string, without its password.
pub(crate) fn describe_database(text: &str) -> String {
    ConnInfo::parse(text).map_or_else(|_| "(hidden)".to_string(), |info| info.describe())
}

/// Parses `ADDRESS:PORT`.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "is not an address and port".to_string())
}

/// Parses `ADDRESS:PORT` or `off`.
pub(crate) fn socket_address_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "off" => Ok(None),
        _ => socket_address(text).map(Some),
    }
}

/// Parses the URL of a page.
pub(crate) fn web_address(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    if rest.is_empty() || rest.starts_with('/') {
        return Err("is no URL of a page".to_string());
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("holds spaces or control characters".to_string());
    }
    Ok(text.to_string())
}

/// Parses comma-separated origins of web pages: scheme, host and port.
pub(crate) fn origins(text: &str) -> Result<Vec<String>, String> {
    let origin = |item: &str| {
        let url = web_address(item)?;
        let is_origin = url.matches('/').count() == 2 && !url.contains(['?', '#', '@']);
        if is_origin { Ok(url.to_ascii_lowercase()) } else { Err(format!("{} is no origin", quoted(item))) }
    };
    text.split(',').map(|item| origin(item.trim())).collect()
}

/// Parses two numbers of 32 bits with a colon between them.
pub(crate) fn two_numbers(text: &str) -> Result<[u32; 2], String> {
    let (first, second) = text.split_once(':').ok_or_else(|| format!("{} has no colon", quoted(text)))?;
    let number =
        |text: &str| text.parse().map_err(|_| format!("{} is not a number from 0 to 4294967295", quoted(text)));
    Ok([number(first)?, number(second)?])
}

/// Parses comma-separated file names and URLs.
pub(crate) fn vrp_sources(text: &str) -> Result<Vec<String>, String> {
    text.split(',').map(|item| vrp_source(item.trim())).collect()
}

fn vrp_source(text: &str) -> Result<String, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return if text.is_empty() { Err("has an empty part".to_string()) } else { Ok(text.to_string()) };
    };
    if !matches!(scheme, "http" | "https") {
        return Err(format!("{} is neither http:// nor https://", quoted(scheme)));
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("has a URL without a host, or with spaces".to_string());
    }
    // It would be shown wherever the source is.
    if host.contains('@') { Err("has a URL with a user".to_string()) } else { Ok(text.to_string()) }
}

/// Parses comma-separated names of trust anchors.
pub(crate) fn trust_anchors(text: &str) -> Result<Vec<String>, String> {
    let name = |item: &str| match item.trim() {
        "" => Err("has an empty part".to_string()),
        name => Ok(name.to_lowercase()),
    };
    text.split(',').map(name).collect()
}

/// Parses a comma-separated list of families whose NLRI are not prefixes.
pub fn other_families(text: &str) -> Result<Vec<OtherFamily>, String> {
    let family = |name: &str| {
        let named = OtherFamily::ALL.into_iter().find(|family| family.name() == name);
        named.ok_or_else(|| format!("{} is not a family that can be stored", quoted(name)))
    };
    text.split(',').map(|name| family(name.trim())).collect()
}

/// Parses comma-separated CIDRs.
pub fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    text.split(',').map(|item| network(item.trim())).collect()
}

/// Parses a comma-separated list of communities, in the forms of the columns `communities_std`, `communities_large` and
/// `communities_ext`.
pub fn communities(text: &str) -> Result<Vec<String>, String> {
    text.split(',').map(|item| community(item.trim())).collect()
}

fn community(text: &str) -> Result<String, String> {
    let wrong = || format!("{} is not a community", quoted(text));
    if text.len() == 16 && text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        let octets = u64::from_str_radix(text, 16).map_err(|_| wrong())?.to_be_bytes();
        // Some have a name of their own, which they are stored by.
        return Ok(ExtendedCommunity(octets).to_string());
    }
    let digits = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
    let up_to = |part: &str, max: u32| {
        part.parse::<u32>().ok().filter(|number| digits(part) && *number <= max).ok_or_else(wrong)
    };
    let (short, long) = (u16::MAX.into(), u32::MAX);
    match text.split(':').collect::<Vec<_>>()[..] {
        [high, low] => Ok(format!("{}:{}", up_to(high, short)?, up_to(low, short)?)),
        [name, administrator, number] if name.eq_ignore_ascii_case("rt") || name.eq_ignore_ascii_case("soo") => {
            let administrator = match administrator.parse::<Ipv4Addr>() {
                Ok(address) => address.to_string(),
                Err(_) => up_to(administrator, long)?.to_string(),
            };
            // A short AS number has a long number behind it, an address and a long AS number have a short one.
            let is_short = administrator.parse::<u16>().is_ok();
            let number = up_to(number, if is_short { long } else { short })?;
            Ok(format!("{}:{administrator}:{number}", name.to_ascii_uppercase()))
        }
        [global, one, two] => Ok(format!("{}:{}:{}", up_to(global, long)?, up_to(one, long)?, up_to(two, long)?)),
        _ => Err(wrong()),
    }
}

/// Parses one CIDR, or a single address. IPv4-mapped ones become IPv4, as source addresses do.
pub fn network(text: &str) -> Result<IpNet, String> {
    let net = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| match wrapping(text) {
            Some(wrong) => format!("{} {wrong}", plain(text)),
            None => format!("{} is not a CIDR", quoted(text)),
        })?,
    };
    let net = unmap(net);
    if net.trunc() == net { Ok(net) } else { Err(format!("{text} has host bits; did you mean {}?", net.trunc())) }
}

fn unmap(net: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    match net {
        IpNet::V6(v6) => match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(MAPPED_BITS)) {
            (Some(address), Some(length)) => Ipv4Net::new(address, length).map_or(net, IpNet::V4),
            (Some(_) | None, _) => net,
        },
        IpNet::V4(_) => net,
    }
}

/// Parses a count in a range.
pub fn count<const MIN: u32, const MAX: u32>(text: &str) -> Result<usize, String> {
    let number = whole(text, u64::from(MIN)..=u64::from(MAX))?;
    Ok(usize::try_from(number).expect("at most u32::MAX, and usize is not smaller on any target"))
}

/// Parses a number of days in a range.
pub fn days<const MIN: u32, const MAX: u32>(text: &str) -> Result<u32, String> {
    let number = whole(text, u64::from(MIN)..=u64::from(MAX))?;
    Ok(u32::try_from(number).expect("MAX is a u32"))
}

/// Parses a number of bytes.
pub fn bytes(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX)
}

/// Parses whole seconds in a range.
pub fn seconds<const MIN: u32, const MAX: u32>(text: &str) -> Result<Duration, String> {
    whole(text, u64::from(MIN)..=u64::from(MAX)).map(Duration::from_secs)
}

/// Parses whole milliseconds in a range.
pub fn milliseconds<const MIN: u32, const MAX: u32>(text: &str) -> Result<Duration, String> {
    whole(text, u64::from(MIN)..=u64::from(MAX)).map(Duration::from_millis)
}

fn whole(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let number: u64 = text.parse().map_err(|_| "is not a whole number".to_string())?;
    match number {
        _ if range.contains(&number) => Ok(number),
        _ if number < *range.start() => Err("is too small".to_string()),
        _ => Err("is too large".to_string()),
    }
}

/// Parses on or off, in the usual words.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err("is neither on nor off".to_string()),
    }
}

/// Parses `skip` or `record`.
pub(crate) fn history_redump(text: &str) -> Result<HistoryRedump, String> {
    match text {
        "skip" => Ok(HistoryRedump::Skip),
        "record" => Ok(HistoryRedump::Record),
        _ => Err("is neither".to_string()),
    }
}

/// Parses `auto`, `text`, `journald` or `json`.
pub(crate) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "journald" => Ok(LogFormat::Journald),
        "json" => Ok(LogFormat::Json),
        _ => Err("is none of them".to_string()),
    }
}

/// Parses the path of a file or folder.
pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("is empty".to_string()) } else { Ok(PathBuf::from(text)) }
}

/// Parses a name that is written to the database and to logs.
pub fn identifier(text: &str) -> Result<String, String> {
    const CHARACTERS_MAX: usize = 255;
    if text.is_empty() {
        return Err("is empty".to_string());
    }
    if text.chars().count() > CHARACTERS_MAX {
        return Err(format!("is longer than {CHARACTERS_MAX} characters"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("contains spaces or control characters".to_string());
    }
    Ok(text.to_string())
}

/// Parses the name of a site: the first part of incidents' keys, in which `/` and `:` separate the parts.
pub fn site(text: &str) -> Result<String, String> {
    const CHARACTERS_MAX: usize = 64;
    let text = identifier(text)?;
    if text.chars().count() > CHARACTERS_MAX {
        return Err(format!("is longer than {CHARACTERS_MAX} characters"));
    }
    if text.contains(['/', ':']) {
        return Err("holds / or :".to_string());
    }
    Ok(text)
}

/// Parses a log filter in the language of `env_logger`.
pub(crate) fn log_filter(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("is empty".to_string());
    }
    env_filter::Builder::new().try_parse(text).map_err(|error| error.to_string())?;
    // The filter language interprets any unknown word as a module of that name: `LOG=verbose` would log nothing else.
    if !text.contains(['=', ':', ',', '/']) && text.parse::<log::LevelFilter>().is_err() {
        return Err("is not a level".to_string());
    }
    Ok(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error<T: std::fmt::Debug>(result: Result<T, String>) -> String {
        result.unwrap_err()
    }

    #[test]
    fn networks_are_cidrs_or_addresses_without_host_bits() {
        let texts = |text| networks(text).unwrap().iter().map(IpNet::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(texts("10.0.0.0/8, 192.0.2.1,2001:db8::/32"), "10.0.0.0/8 192.0.2.1/32 2001:db8::/32");
        assert_eq!(texts("::ffff:10.0.0.0/104,::ffff:192.0.2.1"), "10.0.0.0/8 192.0.2.1/32");
        assert_eq!(texts("0.0.0.0/0,::/0"), "0.0.0.0/0 ::/0");
        assert_eq!(error(networks("10.0.0.1/8")), "10.0.0.1/8 has host bits; did you mean 10.0.0.0/8?");
        assert_eq!(error(networks("10.0.0.0/8,")), "\"\" is not a CIDR");
        assert_eq!(error(networks("10.0.0.0/33")), "\"10.0.0.0/33\" is not a CIDR");
        assert_eq!(error(networks("10.0.0.0/8,\"::1\"")), "\"::1\" has quotes around it: remove them");
        assert_eq!(error(networks("\"10.0.0.0/8")), "'\"10.0.0.0/8' is not a CIDR");
    }

    #[test]
    fn communities_have_the_forms_of_their_columns() {
        let check = |text: &str, want: &[&str]| assert_eq!(communities(text).unwrap(), want, "{text}");
        check("65000:666", &["65000:666"]);
        check("064496:0666, 64496:1:666", &["64496:666", "64496:1:666"]);
        check("4294967295:4294967295:0", &["4294967295:4294967295:0"]);
        check("rt:64496:4294967295,SOO:192.0.2.1:7", &["RT:64496:4294967295", "SOO:192.0.2.1:7"]);
        check("0002FDE800000064,030b000000000064", &["RT:65000:100", "030b000000000064"]);
        for wrong in [
            "",
            "65000",
            "65536:1",
            "1:65536",
            "1:2:3:4",
            "a:b",
            "+1:2",
            "1:2:4294967296",
            "RT:1",
            "RT:192.0.2.1:65536",
            "RT:4200000000:65536",
            "XX:1:2",
            "0002fde80000006",
            "1:2,",
            "\"1:2\"",
            "1:-2",
            "BLACKHOLE",
        ] {
            assert!(communities(wrong).unwrap_err().contains("is not a community"), "{wrong}");
        }
    }

    #[test]
    fn numbers_keep_to_their_range() {
        assert_eq!(count::<1, 10>("10"), Ok(10));
        assert_eq!(error(count::<1, 10>("0")), "is too small");
        assert_eq!(error(count::<1, 10>("11")), "is too large");
        assert_eq!(error(count::<1, 10>("ten")), "is not a whole number");
        assert_eq!(error(count::<1, 10>("-1")), "is not a whole number");
        assert_eq!(error(bytes("18446744073709551616")), "is not a whole number");
        assert_eq!(milliseconds::<1, 1000>("200"), Ok(Duration::from_millis(200)));
        assert_eq!(seconds::<0, 1000>("200"), Ok(Duration::from_secs(200)));
    }

    #[test]
    fn what_stands_around_a_value_is_named() {
        let check = |text, word: &str| assert!(wrapping(text).is_some_and(|why| why.contains(word)), "{text:?}");
        check("\u{feff}postgres://db/rib", "byte-order mark");
        check("on\r", "carriage return");
        check(" on", "whitespace");
        check("on\n", "whitespace");
        check("\"on\"", "quotes");
        check("'10.0.0.0/8'", "quotes");
        check("\"\"", "quotes");
        for fine in ["", "on", "'", "host=db password='a b'", "a\"b"] {
            assert_eq!(wrapping(fine), None, "{fine}");
        }
    }

    #[test]
    fn words() {
        assert_eq!((switch("on"), switch("false")), (Ok(true), Ok(false)));
        assert_eq!(error(switch("maybe")), "is neither on nor off");
        assert_eq!(socket_address_or_off("off"), Ok(None));
        assert_eq!(web_address("https://rib.example/"), Ok("https://rib.example/".to_string()));
        assert_eq!(error(web_address("rib.example")), "is no URL of a page");
        assert_eq!(error(web_address("https:///x")), "is no URL of a page");
        assert_eq!(error(web_address("http://a b")), "holds spaces or control characters");
        assert_eq!(error(socket_address("11019")), "is not an address and port");
        assert_eq!(error(log_filter("verbose")), "is not a level");
        assert!(log_filter("warn,rib_ingester::session=debug").is_ok());
        assert_eq!(error(identifier("a b")), "contains spaces or control characters");
        assert_eq!(error(site("a/b")), "holds / or :");
        let sources = "/var/db/rpki/json, https://rpki.example/vrps.json?token=1";
        assert_eq!(vrp_sources(sources).unwrap(), ["/var/db/rpki/json", "https://rpki.example/vrps.json?token=1"]);
        assert_eq!(error(vrp_sources("a,,b")), "has an empty part");
        assert_eq!(error(vrp_sources("ftp://rpki.example/")), "\"ftp\" is neither http:// nor https://");
        assert_eq!(error(vrp_sources("http:///x")), "has a URL without a host, or with spaces");
        assert_eq!(error(vrp_sources("http://me:pw@rpki.example/x")), "has a URL with a user");
        assert_eq!(trust_anchors("ARIN, apnic-as0").unwrap(), ["arin", "apnic-as0"]);
        assert_eq!(error(site(&"a".repeat(65))), "is longer than 64 characters");
    }

    #[test]
    fn database_descriptions_hold_no_password() {
        let url = "postgresql://writer:hunter2@db.example:5433/rib";
        assert!(database_url_or_empty(Some(url)).is_ok());
        assert_eq!(describe_database(url), "host=db.example port=5433 user=writer dbname=rib password=(hidden)");
        assert_eq!(error(database_url_or_empty(Some("dbname=rib password=hunter2"))), "has no host");
        let wrong = error(database_url_or_empty(Some("postgresql://writer:hunter2@db:port/rib")));
        assert!(!wrong.contains("hunter2"), "{wrong}");
        assert_eq!(describe_database("password=hunter2 nonsense"), "(hidden)");
    }
}
