//! Every stream and vector of the optional corpus through `decode`, compared field by field with the expectation.
//!
//! The corpus is not part of the project: without it the test prints a note and passes. The comparison itself is tested
//! below on made-up lines, so that it cannot pass by comparing nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rib_ingester::cli::decode;
use serde_json::{Value, json};

/// The longest message accepted: the collector's default.
const MESSAGE_MAX: usize = 1 << 20;

fn corpus() -> Option<PathBuf> {
    let path = std::env::var_os("RIB_INGESTER_TEST_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    if path.join("MANIFEST.md").exists() {
        Some(path)
    } else {
        println!("skipped: no corpus at {}", path.display());
        None
    }
}

fn decoded(bytes: &[u8]) -> Vec<Value> {
    let mut out = Vec::new();
    decode::run(bytes, &mut out, MESSAGE_MAX).unwrap();
    String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn json_lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Files of the corpus whose name ends in `ending`, and the name without it.
fn files(corpus: &Path, ending: &str) -> Vec<(String, PathBuf)> {
    let mut all: Vec<_> = fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| Some((path.file_name()?.to_str()?.strip_suffix(ending)?.to_owned(), path)))
        .collect();
    all.sort();
    all
}

/// The numbers of compared items.
#[derive(Debug, Default)]
struct Tally {
    messages: usize,
    exact: usize,
    recover: usize,
    lenient: usize,
    fields: usize,
    differences: Vec<String>,
}

impl Tally {
    fn stream(&mut self, name: &str, bytes: &[u8], expected: &[Value]) {
        let got = decoded(bytes);
        if got.len() != expected.len() {
            self.differences.push(format!("{name}: {} lines, expected {}", got.len(), expected.len()));
        }
        for (got, expected) in got.iter().zip(expected) {
            self.messages += 1;
            let differences = match expected["outcome"].as_str() {
                // A line without an outcome is the end of a stream that breaks.
                Some("exact") | None => {
                    self.exact += 1;
                    differences(got, expected)
                }
                Some("recover") => {
                    self.recover += 1;
                    differences(got, expected)
                }
                // More than one reading is right, but the framing has to hold.
                Some("lenient") => {
                    self.lenient += 1;
                    Comparison::framing(got, expected)
                }
                Some(outcome) => panic!("unknown outcome {outcome}"),
            };
            self.fields += differences.fields;
            let at = format!("{name} message {}", expected["i"]);
            self.differences.extend(differences.found.into_iter().map(|found| format!("{at}: {found}")));
        }
    }

    fn report(self, what: &str, messages_min: usize) {
        println!(
            "{what}: {} messages compared ({} exact, {} recover, {} lenient), {} fields, {} differences",
            self.messages,
            self.exact,
            self.recover,
            self.lenient,
            self.fields,
            self.differences.len()
        );
        let shown: Vec<_> = self.differences.iter().take(40).collect();
        assert!(self.differences.is_empty(), "{} differences: {shown:#?}", self.differences.len());
        assert!(self.messages >= messages_min, "only {} messages", self.messages);
    }
}

#[test]
fn streams_decode_as_expected() {
    let Some(corpus) = corpus() else { return };
    let mut tally = Tally::default();
    for (name, path) in files(&corpus, ".bmp") {
        let expected = json_lines(&corpus.join(format!("{name}.expected.jsonl")));
        tally.stream(&name, &fs::read(path).unwrap(), &expected);
    }
    tally.report("streams", 20_000);
}

#[test]
fn vectors_decode_as_expected() {
    let Some(corpus) = corpus() else { return };
    let mut tally = Tally::default();
    for (name, path) in files(&corpus, ".expected.jsonl") {
        if !name.starts_with("vec-") {
            continue;
        }
        let expected: BTreeMap<String, Value> =
            json_lines(&path).into_iter().map(|line| (line["id"].as_str().unwrap().to_owned(), line)).collect();
        for vector in json_lines(&corpus.join(format!("{name}.jsonl"))) {
            let id = vector["id"].as_str().unwrap();
            let bytes = unhex(vector["hex"].as_str().unwrap());
            tally.stream(id, &bytes, expected[id]["messages"].as_array().unwrap());
        }
    }
    tally.report("vectors", 40);
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// One line against its expectation.
#[derive(Debug, Default)]
struct Comparison {
    fields: usize,
    found: Vec<String>,
}

fn differences(got: &Value, expected: &Value) -> Comparison {
    let mut all = Comparison::framing(got, expected);
    if expected.get("truncated_tail").is_some() || expected.get("desync").is_some() {
        return all;
    }
    all.field("error", got.get("error"), None);
    if let Some(peer) = expected.get("peer") {
        all.peer(&got["peer"], peer);
    }
    match expected["name"].as_str().unwrap() {
        "route_monitoring" => all.routes(got, &expected["rm"]),
        "peer_up" => all.peer_up(got, expected),
        "peer_down" => all.peer_down(got, expected),
        "stats_report" => all.list("statistics", got.get("statistics"), &expected["stats"], statistic),
        "initiation" | "termination" => {
            all.list("information", got.get("information"), &expected["tlvs"], information);
        }
        "route_mirroring" => all.list(
            "items",
            got.get("items"),
            &expected["mirror"],
            |item| json!({ "type": item["type"], "bgp": item.get("hex") }),
        ),
        "unknown" => all.field("type_code", got.get("type_code"), expected.get("type")),
        name => panic!("unknown message {name}"),
    }
    all
}

impl Comparison {
    /// The message begins, ends and is named as expected; a broken stream is reported.
    fn framing(got: &Value, expected: &Value) -> Comparison {
        let mut all = Comparison::default();
        all.field("index", got.get("index"), expected.get("i"));
        all.field("offset", got.get("offset"), expected.get("off"));
        if expected.get("truncated_tail").is_some() || expected.get("desync").is_some() {
            all.field("fatal", got.get("fatal"), Some(&json!(true)));
            return all;
        }
        all.field("length", got.get("length"), expected.get("len"));
        all.field("version", got.get("version"), expected.get("ver"));
        let name = match expected["name"].as_str() {
            Some("stats_report") => "statistics_report",
            name => name.unwrap(),
        };
        all.field("type", got.get("type"), Some(&json!(name)));
        all
    }

    fn field(&mut self, name: &str, got: Option<&Value>, expected: Option<&Value>) {
        self.fields += 1;
        let got = got.unwrap_or(&Value::Null);
        let expected = expected.unwrap_or(&Value::Null);
        if canonical(got) != canonical(expected) {
            self.found.push(format!("{name} is {got}, expected {expected}"));
        }
    }

    /// A list whose expected items are brought into our shape by `shape`.
    fn list(&mut self, name: &str, got: Option<&Value>, expected: &Value, shape: fn(&Value) -> Value) {
        let expected: Vec<Value> = expected.as_array().into_iter().flatten().map(shape).collect();
        let empty = Vec::new();
        let got = got.and_then(Value::as_array).unwrap_or(&empty);
        self.field(&format!("{name} length"), Some(&json!(got.len())), Some(&json!(expected.len())));
        for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
            for (key, expected) in expected.as_object().unwrap() {
                self.field(&format!("{name}[{i}].{key}"), got.get(key), Some(expected));
            }
        }
    }

    fn peer(&mut self, got: &Value, expected: &Value) {
        let type_code = expected["type"].as_u64().unwrap();
        let is_loc_rib = type_code == 3;
        self.field("peer.type_code", got.get("type_code"), expected.get("type"));
        let rd = expected.get("distinguisher").filter(|_| expected["distinguisher_hex"] != json!("0000000000000000"));
        self.field("peer.distinguisher", got.get("distinguisher"), rd);
        let address = expected.get("address").filter(|a| !is_loc_rib || **a != json!("0.0.0.0"));
        self.field("peer.address", got.get("address"), address);
        self.field("peer.asn", got.get("asn"), expected.get("as"));
        self.field("peer.bgp_id", got.get("bgp_id"), expected.get("bgp_id"));
        let is = |key: &str| expected[key].as_bool() == Some(true);
        let rib = match (is_loc_rib, is("adj_rib_out"), is("post_policy")) {
            (true, ..) => "loc_rib",
            (false, false, false) => "adj_rib_in_pre",
            (false, false, true) => "adj_rib_in_post",
            (false, true, false) => "adj_rib_out_pre",
            (false, true, true) => "adj_rib_out_post",
        };
        self.field("peer.rib", got.get("rib"), Some(&json!(rib)));
        if is_loc_rib {
            self.field("peer.filtered", got.get("filtered"), expected.get("f_filtered"));
        } else {
            self.field("peer.as_width", got.get("as_width"), Some(&json!(if is("as2") { 2 } else { 4 })));
        }
        let (seconds, micros) = (expected["ts_sec"].as_i64().unwrap(), expected["ts_usec"].as_i64().unwrap());
        let time = (seconds != 0 || micros != 0)
            .then(|| json!(rib_ingester::model::Timestamp::from_unix_micros(seconds * 1_000_000 + micros).to_string()));
        self.field("peer.timestamp", got.get("timestamp"), time.as_ref());
    }

    fn peer_up(&mut self, got: &Value, expected: &Value) {
        self.field("local_address", got.get("local_address"), expected.get("local_addr"));
        self.field("local_port", got.get("local_port"), expected.get("local_port"));
        self.field("remote_port", got.get("remote_port"), expected.get("remote_port"));
        for (ours, theirs) in [("sent_open", "sent_open"), ("received_open", "recv_open")] {
            let (got, expected) = (&got[ours], &expected[theirs]);
            for key in ["asn", "bgp_id", "hold_time", "my_as", "version"] {
                self.field(&format!("{ours}.{key}"), got.get(key), expected.get(key));
            }
            self.list(&format!("{ours}.capabilities"), got.get("capabilities"), &expected["caps"], capability);
        }
        self.list("information", got.get("information"), &expected["tlvs"], information);
    }

    fn peer_down(&mut self, got: &Value, expected: &Value) {
        self.field("reason", got.get("reason"), expected.get("reason"));
        for key in ["code", "subcode"] {
            let (got, expected) = (got.pointer(&format!("/notification/{key}")), &expected["notification"][key]);
            self.field(&format!("notification.{key}"), got, Some(expected));
        }
        self.field("fsm_event", got.get("fsm_event"), expected.get("fsm_event"));
        self.list("information", got.get("information"), &expected["tlvs"], information);
    }

    fn routes(&mut self, got: &Value, expected: &Value) {
        self.field("end_of_rib", got.get("end_of_rib"), expected.get("eor"));
        self.field("actions", got.get("actions"), None);
        for (key, mp) in [("announced", "mp_reach"), ("withdrawn", "mp_unreach")] {
            let mut all: Vec<Value> = expected[key].as_array().unwrap().clone();
            if let Some(hex) = expected[mp].get("nlri_hex") {
                all.push(json!({ "afi": expected[mp]["afi"], "safi": expected[mp]["safi"], "hex": hex }));
            }
            // The order of families within a message is not promised: compare as sorted lists.
            let mut all: Vec<Value> = all.iter().map(route).collect();
            let mut got = got.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
            got.sort_by_key(sort_key);
            all.sort_by_key(sort_key);
            self.list(key, Some(&Value::Array(got)), &Value::Array(all), Value::clone);
        }
        let attributes = &got["attributes"];
        let mut expected_attributes = serde_json::Map::new();
        for key in ["origin", "localpref", "med", "communities_std", "communities_large"] {
            self.field(key, attributes.get(key), expected.get(key));
        }
        let merged = |key: &str| expected.get(format!("{key}_merged")).or_else(|| expected.get(key));
        self.field("as_path", attributes.get("as_path"), merged("as_path"));
        self.field("origin_asn", attributes.get("origin_asn"), merged("origin_asn"));
        let ext: Option<Value> = expected.get("communities_ext").map(|all| {
            // The fallback's form is the corpus's own: the schema reference has bare hex digits.
            all.as_array().unwrap().iter().map(|text| text.as_str().unwrap().trim_start_matches("0x")).collect()
        });
        self.field("communities_ext", attributes.get("communities_ext"), ext.as_ref());
        for key in ["atomic_aggregate", "cluster_list", "originator_id"] {
            if let Some(value) = expected.get(key) {
                expected_attributes.insert(key.to_owned(), value.clone());
            }
        }
        for (key, value) in &expected_attributes {
            self.field(key, attributes["attrs"].get(key), Some(value));
        }
        self.aggregator(attributes, expected);
        self.other_attributes(attributes, expected);
    }

    fn aggregator(&mut self, attributes: &Value, expected: &Value) {
        let aggregator = |key: &str| {
            let (asn, address) = expected.get(key)?.as_str()?.split_once(' ')?;
            Some(json!({ "asn": asn.parse::<u32>().ok()?, "address": address }))
        };
        // AS4_AGGREGATOR counts if AGGREGATOR has AS_TRANS (RFC 6793 section 4.2.3).
        let plain = aggregator("aggregator");
        let want = match (&plain, aggregator("as4_aggregator")) {
            (Some(plain), Some(as4)) if plain["asn"] == json!(23456) => Some(as4),
            _ => plain,
        };
        self.field("aggregator", attributes["attrs"].get("aggregator"), want.as_ref());
    }

    /// Each attribute that the corpus gives as hex is there, whatever its name and shape, and none besides.
    fn other_attributes(&mut self, attributes: &Value, expected: &Value) {
        let named = ["aggregator", "atomic_aggregate", "cluster_list", "originator_id"];
        let got = attributes["attrs"]
            .as_object()
            .map_or(0, |attrs| attrs.keys().filter(|key| !named.contains(&key.as_str())).count());
        let want = expected.get("other_attrs").and_then(Value::as_array).map_or(0, Vec::len);
        self.field("number of other attributes", Some(&json!(got)), Some(&json!(want)));
        for other in expected.get("other_attrs").and_then(Value::as_array).into_iter().flatten() {
            if let Some(value) = attributes["attrs"].get(other["code"].to_string()) {
                self.field("unknown attribute", Some(value), other.get("hex"));
            }
        }
    }
}

/// Addresses are compared as addresses, not as texts.
fn canonical(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let (address, length) = text.split_once('/').unwrap_or((text, ""));
            match address.parse::<IpAddr>() {
                Ok(address) => json!(format!("{address}/{length}")),
                Err(_) => value.clone(),
            }
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), canonical(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn sort_key(route: &Value) -> String {
    ["afi", "safi", "prefix", "path_id", "rd", "labels", "hex"].map(|key| canonical(&route[key]).to_string()).join(" ")
}

fn route(route: &Value) -> Value {
    let mut out = serde_json::Map::new();
    for (ours, theirs) in [
        ("afi", "afi"),
        ("safi", "safi"),
        ("prefix", "prefix"),
        ("path_id", "path_id"),
        ("next_hop", "nexthop"),
        ("link_local_next_hop", "nexthop_ll"),
        ("rd", "rd"),
        ("labels", "labels"),
    ] {
        out.insert(ours.to_owned(), route[theirs].clone());
    }
    if let Some(hex) = route.get("hex") {
        out = serde_json::Map::new();
        for (key, value) in [("afi", &route["afi"]), ("safi", &route["safi"]), ("hex", hex)] {
            out.insert(key.to_owned(), value.clone());
        }
    }
    Value::Object(out)
}

fn statistic(stat: &Value) -> Value {
    json!({ "type": stat["type"], "value": stat["value"], "afi": stat["afi"], "safi": stat["safi"] })
}

fn information(tlv: &Value) -> Value {
    match tlv.get("reason") {
        Some(reason) => json!({ "type": tlv["type"], "code": reason }),
        None => json!({ "type": tlv["type"], "text": tlv["text"] }),
    }
}

fn capability(capability: &Value) -> Value {
    let code = capability["code"].as_u64().unwrap();
    match code {
        1 => json!({ "code": code, "afi": capability["afi"], "safi": capability["safi"] }),
        65 => json!({ "code": code, "asn": capability["asn"] }),
        69 => {
            let families: Value = capability["tuples"]
                .as_array()
                .unwrap()
                .iter()
                .map(|tuple| {
                    let direction = match tuple[2].as_u64().unwrap() {
                        1 => "receive",
                        2 => "send",
                        3 => "both",
                        other => panic!("direction {other}"),
                    };
                    json!({ "afi": tuple[0], "safi": tuple[1], "direction": direction })
                })
                .collect();
            json!({ "code": code, "families": families })
        }
        _ => json!({ "code": code, "hex": capability["hex"] }),
    }
}

#[test]
fn the_comparison_sees_differences() {
    let bytes = unhex("03000000160400010004424242420002000441414141");
    let expected = json!({ "i": 0, "len": 22, "name": "initiation", "off": 0, "outcome": "exact", "type": 4, "ver": 3,
        "tlvs": [{ "text": "BBBB", "type": 1 }, { "text": "AAAA", "type": 2 }] });
    let check = |expected: &Value, differences: usize| {
        let mut tally = Tally::default();
        tally.stream("test", &bytes, std::slice::from_ref(expected));
        assert_eq!(tally.differences.len(), differences, "{:?}", tally.differences);
    };
    check(&expected, 0);
    for (pointer, value) in
        [("/len", json!(23)), ("/off", json!(1)), ("/tlvs/1/text", json!("AAAB")), ("/ver", json!(4))]
    {
        let mut other = expected.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        check(&other, 1);
    }
    let mut lenient = expected.clone();
    lenient["outcome"] = json!("lenient");
    lenient["tlvs"] = json!([]);
    check(&lenient, 0);
    let mut tally = Tally::default();
    tally.stream("test", &bytes, &[]);
    assert_eq!(tally.differences.len(), 1);
}
