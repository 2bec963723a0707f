//! The table of settings: name, type, default, meaning and allowed values, and the parsed values.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::connect::{self, ConnectTarget};
use super::problem::Problem;
use super::relay;
use super::resync::{self, ResyncOnDrift};
use super::router_id::{self, RouterIdRule};
use super::setting::DefaultValue::{HostName, StateDirectory, Text, Unset};
use super::setting::{DATABASE_URL, Effective, Reader, Setting};
use super::stored_views::{self, StoredViewsRule};
use super::value::{self, HistoryRedump, LogFormat};
use crate::model::OtherFamily;

macro_rules! settings {
    ($($field:ident: $type:ty = $name:expr, $default:expr, $parse:expr, $reader:ident, $allowed:literal, $meaning:literal;)*) => {
        /// Every setting, in the order in which they are printed.
        pub const TABLE: &[Setting] = &[
            $(Setting { name: $name, field: stringify!($field), default: $default, allowed: $allowed, meaning: $meaning, reader: Reader::$reader },)*
        ];

        /// The effective values, parsed.
        #[derive(Clone)]
        pub struct Settings {
            $(#[doc = concat!("The setting ", $meaning, ".")] pub $field: $type,)*
            /// The journal that standard error is connected to, if any; it stamps the time itself.
            pub journal_stream: JournalStream,
            /// The file from which settings were read, unless systemd has read it.
            pub env_file: Option<PathBuf>,
            /// The effective texts, in the order of the table.
            pub(super) in_force: Vec<Effective>,
        }

        /// Returns the settings, or `None` and adds problems. `effective` returns the text of a setting.
        pub(super) fn parse(
            mut effective: impl FnMut(&Setting, &mut Vec<Problem>) -> Effective,
            journal_stream: JournalStream,
            env_file: Option<PathBuf>,
            problems: &mut Vec<Problem>,
        ) -> Option<Settings> {
            let mut row = TABLE.iter();
            let mut in_force = Vec::with_capacity(TABLE.len());
            $(let $field: Option<$type> = {
                let setting = row.next().expect("one row per field");
                let value = effective(setting, problems);
                let parsed = parse_one(setting, &value, $parse, problems);
                in_force.push(value);
                parsed
            };)*
            Some(Settings { $($field: $field?,)* journal_stream, env_file, in_force })
        }
    };
}

settings! {
    database_url: String = DATABASE_URL, Unset, value::database_url_or_empty, Present,
        "`postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, or `host=.. user=.. dbname=..`",
        "the PostgreSQL database that routes are written to; required by all commands that use it. TLS as in libpq: `sslmode` (`disable`, `prefer`, `require`, `verify-ca`, `verify-full`), `sslrootcert` (a file, or `system`), `sslcert`, `sslkey`, `channel_binding`. Under systemd it may come from the credential `database_url` instead";
    database_password_file: Option<PathBuf> = "DATABASE_PASSWORD_FILE", Unset, value::optional(value::path), Present,
        "a file name",
        "a file whose first line is the database's password, which can then be left out of `DATABASE_URL`; read for each connection, so a new password needs no restart. Under systemd it may be the credential `database_password`";
    bmp_listen: SocketAddr = "BMP_LISTEN", Text("[::]:11019"), value::required(value::socket_address), Present,
        "`ADDRESS:PORT`, IPv6 addresses in brackets",
        "where routers connect to; `[::]` accepts IPv4 too, and falls back to `0.0.0.0` where there is no IPv6";
    bmp_tls_listen: Option<SocketAddr> = "BMP_TLS_LISTEN", Unset, value::optional(value::socket_address), Present,
        "`ADDRESS:PORT`, IPv6 addresses in brackets",
        "where routers connect for BMP over TLS (1.2 or 1.3), directly or through a tunnel; unset: disabled";
    bmp_tls_certificate_file: Option<PathBuf> = "BMP_TLS_CERTIFICATE_FILE", Unset, value::optional(value::path), Present,
        "a file name",
        "the certificate chain presented to those routers, PEM; SIGHUP reads it again";
    bmp_tls_key_file: Option<PathBuf> = "BMP_TLS_KEY_FILE", Unset, value::optional(value::path), Present,
        "a file name",
        "the private key of that certificate, PEM; SIGHUP reads it again. Under systemd it may be the credential `bmp_tls_key`";
    bmp_tls_client_ca_file: Option<PathBuf> = "BMP_TLS_CLIENT_CA_FILE", Unset, value::optional(value::path), Present,
        "a file name",
        "CA certificates used to verify router certificates, PEM; SIGHUP reads it again. Unset: routers need no certificate";
    connect: Vec<ConnectTarget> = "CONNECT", Unset, value::list(connect::targets), Present,
        "comma-separated `HOST:PORT` or `tls://HOST:PORT`, IPv6 addresses in brackets",
        "routers that listen for the collector, which connects to them; the name is resolved at each try. With `tls://` the router's certificate has to be for HOST and of an authority in `BMP_TLS_CLIENT_CA_FILE`, and the certificate of `BMP_TLS_CERTIFICATE_FILE`, if set, is presented to it; unset: none";
    md5_file: Option<PathBuf> = "MD5_FILE", Unset, value::optional(value::path), Present,
        "a file name",
        "a file with keys for TCP MD5 signatures (RFC 2385), lines of a CIDR, a space and a key of at most 80 bytes, readable by the owner only; unsigned segments from these addresses are dropped by the kernel. SIGHUP reads it again. Under systemd it may be the credential `md5_keys`";
    http_listen: Option<SocketAddr> = "HTTP_LISTEN", Text("127.0.0.1:11020"), value::required(value::socket_address_or_off), Present,
        "`ADDRESS:PORT`, or `off`",
        "where the status page, `/metrics`, `/healthz`, `/readyz` and the API are served, over HTTP; all but the API without a password";
    api_token_file: Option<PathBuf> = "API_TOKEN_FILE", Unset, value::optional(value::path), Present,
        "a file name",
        "a file with the tokens of the API, lines as `rib-ingester token` prints them: a name, the SHA-256 of the token in hex, `read` or `write`, and maybe a team; read again when it changes. Unset: where `HTTP_LISTEN` is a loopback address, everyone may read and nobody write, elsewhere there is no API. Under systemd it may be the credential `api_tokens`";
    api_rate: usize = "API_RATE", Text("50"), value::required(value::count::<1, 100_000>), Present,
        "1 to 100000",
        "how many requests a second one token, or one address without a token, may send to the API; more are answered with 429";
    api_cors: Vec<String> = "API_CORS", Unset, value::list(value::origins), Present,
        "comma-separated origins as `https://HOST` or `http://HOST:PORT`",
        "web sites whose pages may read the API from a browser; unset: none";
    birdwatcher_allow: Vec<IpNet> = "BIRDWATCHER_ALLOW", Unset, value::list(value::networks), Present,
        "comma-separated CIDRs or addresses",
        "addresses that may read `/birdwatcher` without a token, as a looking glass that sends none; unset: none, but this machine where `HTTP_LISTEN` is a loopback address";
    alice_reasons: Option<[u32; 2]> = "ALICE_REASONS", Unset, value::optional(value::two_numbers), Present,
        "two numbers with a colon, as `64496:65666`",
        "the first two numbers of large communities that `/birdwatcher` adds to filtered routes, to say why they may be filtered; unset: it adds none";
    allow: Vec<IpNet> = "ALLOW", Text("127.0.0.0/8,::1/128"), value::required(value::networks), Present,
        "comma-separated CIDRs or addresses",
        "source addresses that routers may connect from; all others are refused";
    allow_file: Option<PathBuf> = "ALLOW_FILE", Unset, value::optional(value::path), Present,
        "a file name",
        "a file with more of `ALLOW`, one CIDR per line, `#` begins a comment; SIGHUP reads it again";
    proxy_from: Vec<IpNet> = "PROXY_FROM", Unset, value::list(value::networks), Present,
        "comma-separated CIDRs or addresses",
        "addresses of load balancers that begin each connection with a header of the PROXY protocol, version 1 or 2: the address in the header is the router's, and `ALLOW` and the limits judge that; unset: none";
    max_sessions: usize = "MAX_SESSIONS", Text("1024"), value::required(value::count::<1, 65_536>), Present,
        "1 to 65536",
        "how many routers may be connected at once";
    max_sessions_per_address: usize = "MAX_SESSIONS_PER_ADDRESS", Text("256"), value::required(value::count::<1, 65_536>), Present,
        "1 to 65536",
        "how many of them may connect from one source address, so that one router, or one NAT, cannot use up all sessions";
    max_routes_per_table: Option<usize> = "MAX_ROUTES_PER_TABLE", Unset, value::optional(value::count::<1, 4_294_967_295>), Present,
        "1 to 4294967295",
        "how many routes one table of a router may have in one address family; a warning is logged at nine tenths, further new routes are refused and recorded in `session_events`; unset: unlimited";
    message_timeout: Duration = "MESSAGE_TIMEOUT_SECS", Text("60"), value::required(value::seconds::<1, 3_600>), Present,
        "1 to 3600",
        "a session is closed when a BMP message that has begun does not end within this many seconds, or if no message arrives within five times this after connecting; idle time between messages is unlimited";
    max_message_bytes: usize = "MAX_MESSAGE_BYTES", Text("1048576"), value::required(value::count::<4_144, 16_777_216>), Present,
        "4144 (one BGP message of 4096 bytes) to 16777216",
        "the longest BMP message that is accepted, in bytes; a longer one closes the session";
    state_writers: usize = "STATE_WRITERS", Text("2"), value::required(value::count::<1, 64>), Present,
        "1 to 64",
        "threads, with a database connection each, that write `current_routes`";
    history_writers: usize = "HISTORY_WRITERS", Text("1"), value::required(value::count::<1, 64>), Present,
        "1 to 64",
        "threads, with a database connection each, that write `route_events`";
    batch_routes: usize = "BATCH_ROUTES", Text("10000"), value::required(value::count::<1, 1_000_000>), Present,
        "1 to 1000000",
        "a batch is written when it has this many changes, or 32 MiB; batches of `current_routes` grow while the writers are behind";
    flush: Duration = "FLUSH_MS", Text("200"), value::required(value::milliseconds::<1, 60_000>), Present,
        "1 to 60000",
        "a batch is written when it is this many milliseconds old; one of `current_routes` waits up to 6 s while the writers are behind";
    router_id_from: Vec<RouterIdRule> = "ROUTER_ID_FROM", Text("bgp-id"), value::required(router_id::rules), Present,
        "`bgp-id`, `address` or `sysname`, or a comma-separated list of `CIDR=rule`, with one bare rule for all others",
        "the source of a router's `router_id`; in a list the longest matching CIDR of the source address decides";
    ignore_path_id: Vec<IpNet> = "IGNORE_PATH_ID", Unset, value::list(value::networks), Present,
        "comma-separated CIDRs or addresses",
        "routers (source addresses) whose Add-Path identifiers are not part of the key, because they announce a new best path without withdrawing the old one (GoBGP 4.8)";
    stored_ribs: Vec<StoredViewsRule> = "STORED_RIBS", Text("loc-rib,adj-rib-in-post"), value::required(stored_views::rules), Present,
        "comma-separated list of `loc-rib`, `adj-rib-in-pre`, `adj-rib-in-post`, `adj-rib-out-pre`, `adj-rib-out-post`, and of `CIDR=view+view` for the routers of a network",
        "which RIBs are stored; with `adj-rib-in-post` alone, pre-policy routes are stored for peers that send no post-policy ones. In a list the longest matching CIDR of the source address decides";
    stored_families: Vec<OtherFamily> = "STORED_FAMILIES", Unset, value::list(value::other_families), Present,
        "comma-separated list of `evpn`, `flowspec`, `bgp-ls`, `sr-policy`, `rtc`, `mvpn`, `bgp-ls-spf`, `vpls`",
        "families whose NLRI are not prefixes and are stored in `nlri_routes`, of the RIBs that are stored; unset: none";
    collector_id: String = "COLLECTOR_ID", HostName, value::required(value::identifier), Present,
        "1 to 255 printable characters without spaces",
        "the name of this collector among several that share one database";
    watch: bool = "WATCH", Text("on"), value::required(value::switch), Present,
        "`on` or `off`",
        "whether this collector evaluates watches and delivers incidents, unless another one that shares the database does; its writers tell whoever evaluates, whatever is set here";
    site: String = "SITE", Text("rib-ingester"), value::required(value::site), Present,
        "1 to 64 printable characters without spaces, `/` and `:`",
        "the name that the keys of incidents begin with, the same in all collectors of one network";
    public_url: Option<String> = "PUBLIC_URL", Unset, value::optional(value::web_address), Present,
        "a URL that begins with `http://` or `https://`",
        "the address at which people reach the status page, for the links in messages to callbacks; unset: messages have no links";
    mitigation_communities: Vec<String> = "MITIGATION_COMMUNITIES", Unset, value::list(value::communities), Present,
        "comma-separated communities as `64496:666`, `64496:1:666`, `RT:64496:666`, `SOO:64496:666` or 16 hex digits",
        "communities by which your own routes are dropped, drained or diverted, beside BLACKHOLE and GRACEFUL_SHUTDOWN: watches take a route of an expected origin that has one as `mitigated`";
    callback_allow: Vec<IpNet> = "CALLBACK_ALLOW", Unset, value::list(value::networks), Present,
        "comma-separated CIDRs or addresses",
        "addresses that are not public and that teams' callbacks may be sent to nevertheless; the operator's own may go to any but link-local ones and the collector's ports";
    callback_ca: Option<PathBuf> = "CALLBACK_CA", Unset, value::optional(value::path), Present,
        "a file name",
        "a PEM file with certificates of authorities that callbacks are trusted by over HTTPS, beside those of the system; read at the start";
    vrps: Vec<String> = "VRPS", Unset, value::list(value::vrp_sources), Present,
        "comma-separated file names and URLs that begin with `http://` or `https://`",
        "where validated ROA payloads come from: JSON or CSV of an RPKI validator, the first source that answers and is fresh; unset: routes are not validated";
    vrps_refresh: Duration = "VRPS_REFRESH_SECS", Text("600"), value::required(value::seconds::<1, 86_400>), Present,
        "1 to 86400",
        "seconds from one look at the sources in `VRPS` to the next";
    vrps_max_age: Duration = "VRPS_MAX_AGE_SECS", Text("86400"), value::required(value::seconds::<60, 31_536_000>), Present,
        "60 to 31536000",
        "the age in seconds from which a set of VRPs is too old: the state of every route is unknown then";
    slurm: Option<PathBuf> = "SLURM", Unset, value::optional(value::path), Present,
        "a file name",
        "a file with local exceptions to VRPs (SLURM, RFC 8416): prefix filters and prefix assertions; read again at each refresh";
    vrps_ignore_ta: Vec<String> = "VRPS_IGNORE_TA", Unset, value::list(value::trust_anchors), Present,
        "comma-separated names of trust anchors",
        "trust anchors whose VRPs are not used, as the set names them, such as `apnic-as0`";
    rpki_scan: Duration = "RPKI_SCAN_SECS", Text("900"), value::required(value::seconds::<1, 86_400>), Present,
        "1 to 86400",
        "seconds from one validation of all stored routes to the next; they are also validated when VRPs change, and those of a router after its dump";
    mass_loss_stale: Duration = "MASS_LOSS_STALE_SECS", Text("3600"), value::required(value::seconds::<0, 604_800>), Present,
        "0 to 604800",
        "when most sessions drop at once (probably our own network), keep stale routes for this many seconds";
    journal: bool = "JOURNAL", Text("on"), value::required(value::switch), Present,
        "`on` or `off`",
        "whether what routers send is in the journal in `STATE_DIR` before anything is done with it; `off`: it is kept in memory, up to 32 MiB a router, and what is not stored when the collector ends is lost";
    journal_max_bytes: Option<u64> = "JOURNAL_MAX_BYTES", Unset, value::optional(value::bytes), Present,
        "a number of bytes",
        "how much disk the journal may take; unset: the smaller of 20 GiB and a fifth of what is free";
    relay: Vec<ConnectTarget> = "RELAY", Unset, value::list(relay::stations), Present,
        "comma-separated `HOST:PORT` or `tls://HOST:PORT`",
        "other BMP stations that each router's session is sent to as it was read, over a connection of its own; unset: none";
    relay_resync: bool = "RELAY_RESYNC", Text("on"), value::required(value::switch), Present,
        "`on` or `off`",
        "whether the session of a router is closed, once, so that it dumps again for a station of `RELAY` that has missed its beginning; `off`: the station gets what comes from then on";
    relay_ca_file: Option<PathBuf> = "RELAY_CA_FILE", Unset, value::optional(value::path), Present,
        "a file name",
        "CA certificates used to verify stations of `RELAY` with `tls://`, PEM; read at the start. Unset: those of the system";
    relay_certificate_file: Option<PathBuf> = "RELAY_CERTIFICATE_FILE", Unset, value::optional(value::path), Present,
        "a file name",
        "the certificate chain presented to these stations, PEM; read at the start. Unset: none";
    relay_key_file: Option<PathBuf> = "RELAY_KEY_FILE", Unset, value::optional(value::path), Present,
        "a file name",
        "the private key of that certificate, PEM; read at the start";
    standby_window: Duration = "STANDBY_WINDOW_SECS", Text("120"), value::required(value::seconds::<0, 3_600>), Present,
        "0 to 3600",
        "how many seconds of a router's changes a session keeps that stands by for another collector's: with them it takes the router over as it is. 0 keeps nothing, and the session is closed at the take-over, so that the router dumps again";
    history: bool = "HISTORY", Text("on"), value::required(value::switch), Present,
        "`on` or `off`",
        "whether `route_events` is written";
    history_redump: HistoryRedump = "HISTORY_REDUMP", Text("skip"), value::required(value::history_redump), Present,
        "`skip` or `record`",
        "whether routes that a router's new dump repeats unchanged are events";
    store_raw_bytes: bool = "STORE_RAW_BYTES", Text("false"), value::required(value::switch), Present,
        "`true` or `false`",
        "whether the BMP message is stored with the first of its events (`bmp_raw`)";
    store_raw_bytes_compress: bool = "STORE_RAW_BYTES_COMPRESS", Text("true"), value::required(value::switch), Present,
        "`true` or `false`",
        "whether `bmp_raw` is compressed (zstd)";
    retention_days: u32 = "RETENTION_DAYS", Text("30"), value::required(value::days::<0, 36_500>), Present,
        "0 to 36500",
        "how many days of `route_events` are kept before today (UTC); 0 keeps forever";
    incident_retention_days: u32 = "INCIDENT_RETENTION_DAYS", Text("400"), value::required(value::days::<0, 36_500>), Present,
        "0 to 36500",
        "how many days closed incidents with their events and deliveries, and silences that are over, are kept; 0 keeps forever";
    daily_snapshots: bool = "DAILY_SNAPSHOTS", Text("off"), value::required(value::switch), Present,
        "`on` or `off`",
        "whether maintenance copies all of `current_routes` into `route_snapshots` once a day (UTC), so that `routes_as_of` knows every route of every day within the retention, unchanged ones too";
    archive_dir: Option<PathBuf> = "ARCHIVE_DIR", Unset, value::optional(value::path), Present,
        "a folder that exists",
        "where maintenance writes days of `route_events` and `nlri_events` that have been over for a day as Parquet files; `RETENTION_DAYS` then drops only days that are there; unset: no files, and nothing waits for them";
    maintenance_interval: Duration = "MAINTENANCE_INTERVAL_SECS", Text("300"), value::required(value::seconds::<1, 43_200>), Present,
        "1 to 43200",
        "seconds from one maintenance run (partitions, retention, `route_summary`) to the next";
    stale_routes: Duration = "STALE_ROUTES_SECS", Text("900"), value::required(value::seconds::<0, 604_800>), Present,
        "0 to 604800",
        "how many seconds a router's routes are kept as stale after its session drops without a Termination; 0 deletes them at once";
    eor_timeout: Duration = "EOR_TIMEOUT_SECS", Text("60"), value::required(value::seconds::<1, 86_400>), Present,
        "1 to 86400",
        "a dump without an End-of-RIB is considered complete after this many idle seconds";
    resync_on_drift: Option<ResyncOnDrift> = "RESYNC_ON_DRIFT", Unset, value::optional(resync::resync_on_drift), Present,
        "a share below 100% and a duration of 1s to 168h in `s`, `m` or `h`: `1%,5m`",
        "a session is closed, so that the router dumps again, when the number of routes stored of one of its RIBs and the number in the router's own statistics have differed by more than this share of the larger one for this time; of a router that does not count its Loc-RIB, when peers that may have had more than this share of its routes went down this time ago; unset: never";
    shutdown_timeout: Duration = "SHUTDOWN_TIMEOUT_SECS", Text("30"), value::required(value::seconds::<1, 3_600>), Present,
        "1 to 3600",
        "how many seconds a stop may take to write what has been read";
    state_dir: PathBuf = "STATE_DIR", StateDirectory, value::required(value::path), Present,
        "a folder; created if missing",
        "where files that must outlive the process are kept, such as rejected input";
    log: String = "LOG", Text("info"), value::required(value::log_filter), Present,
        "`error`, `warn`, `info`, `debug`, `trace`, `off`, or `MODULE=LEVEL` pairs, comma-separated",
        "which log lines are written";
    log_format: LogFormat = "LOG_FORMAT", Text("auto"), value::required(value::log_format), Present,
        "`auto`, `text`, `journald` or `json`",
        "how log lines look: `text` with time and level, `journald` with the priority that systemd reads, `json` one object per line; `auto` is `journald` where the journal listens, else `text`";
    log_filter_file: Option<PathBuf> = "LOG_FILTER_FILE", Unset, value::optional(value::path), Present,
        "a file name",
        "a file that replaces `LOG`, one filter per line, `#` begins a comment; SIGHUP reads it again";
}

/// The `dev:inode` pair of `$JOURNAL_STREAM`, if the process was started with one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalStream(pub Option<String>);

/// Returns the setting's value, or `None` and adds a problem.
fn parse_one<T>(
    setting: &Setting,
    value: &Effective,
    parse: impl Fn(Option<&str>) -> Result<T, String>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    if let Some(text) = &value.text
        && let Some(wrong) = value::wrapping(text)
    {
        problems.push(Problem::bad_value(setting, text, wrong));
        return None;
    }
    parse(value.text.as_deref())
        .map_err(|wrong| match &value.text {
            Some(text) => problems.push(Problem::bad_value(setting, text, &wrong)),
            None => problems.push(Problem::missing(setting, &wrong)),
        })
        .ok()
}
