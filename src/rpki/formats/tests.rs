//! The shapes that validators write, from their documentation, and what no validator would.

use super::*;
use crate::model::Timestamp;

fn texts(set: &ParsedSet) -> Vec<String> {
    let one = |vrp: &Vrp| {
        let expires = vrp.expires.map_or(0, |time| time.unix_micros() / 1_000_000);
        format!("{}-{} AS{} {} {expires}", vrp.prefix, vrp.max_length, vrp.asn, vrp.trust_anchor)
    };
    set.vrps.iter().map(one).collect()
}

fn seconds(time: Option<Timestamp>) -> Option<i64> {
    time.map(|time| time.unix_micros() / 1_000_000)
}

fn aspas(set: &ParsedSet) -> Vec<(u32, Vec<u32>, Option<i64>)> {
    let numbers = |aspa: &Aspa| aspa.providers.iter().map(|asn| asn.0).collect();
    set.aspas.iter().map(|aspa| (aspa.customer.0, numbers(aspa), seconds(aspa.expires))).collect()
}

#[test]
fn json_of_routinator() {
    let set = parse(
        br#"{
  "metadata": { "generated": 1764126000, "generatedTime": "2025-11-26T03:00:00Z" },
  "roas": [
    { "asn": "AS64496", "prefix": "192.0.2.0/24", "maxLength": 26, "ta": "ripe" },
    { "asn": "AS64497", "prefix": "2001:db8::/32", "maxLength": 48, "ta": "ARIN" },
    { "asn": "AS0", "prefix": "198.51.100.0/24", "maxLength": 32, "ta": "N/A" }
  ],
  "routerKeys": [ { "asn": "AS64496", "SKI": "00", "routerPublicKey": "AA", "ta": "ripe" } ],
  "aspas": [ { "customer": "AS64496", "providers": ["AS64500", "AS64499"], "ta": "ripe" } ]
}"#,
    )
    .unwrap();
    assert_eq!(
        texts(&set),
        ["192.0.2.0/24-26 AS64496 ripe 0", "198.51.100.0/24-32 AS0  0", "2001:db8::/32-48 AS64497 arin 0"]
    );
    assert_eq!(aspas(&set), [(64496, vec![64499, 64500], None)]);
    assert_eq!((seconds(set.generated), set.valid_until), (Some(1_764_126_000), None));
}

#[test]
fn jsonext_of_routinator() {
    let set = parse(
        br#"{
  "metadata": { "generatedTime": "2025-11-26T03:00:00Z" },
  "roas": [
    { "asn": "AS64496", "prefix": "192.0.2.0/24", "maxLength": 24, "source": [
      { "type": "roa", "uri": "rsync://rpki.example/a.roa", "tal": "ripe",
        "validity": { "notBefore": "2025-01-01T00:00:00Z", "notAfter": "2026-07-01T00:00:00Z" },
        "chainValidity": { "notBefore": "2025-01-01T00:00:00Z", "notAfter": "2026-06-01T00:00:00Z" },
        "stale": "2025-11-27T03:00:00Z" },
      { "type": "roa", "uri": "rsync://rpki.example/b.roa", "tal": "ripe",
        "validity": { "notAfter": "2026-07-01T00:00:00Z" }, "stale": "2025-11-28T03:00:00Z" } ] },
    { "asn": "AS64497", "prefix": "198.51.100.0/24", "maxLength": 24, "source": [ { "type": "exception", "path": null } ] }
  ],
  "aspas": [ { "customer": "AS1234", "providers": ["AS1(v4)", "AS2"], "source": [ { "type": "exception", "path": null } ] } ]
}"#,
    )
    .unwrap();
    assert_eq!(texts(&set), ["192.0.2.0/24-24 AS64496 ripe 1764298800", "198.51.100.0/24-24 AS64497  0"]);
    assert_eq!(aspas(&set), [(1234, vec![1, 2], None)]);
    assert_eq!(seconds(set.generated), Some(1_764_126_000));
}

#[test]
fn json_of_rpki_client_and_stayrtr() {
    let set = parse(
        br#"{
  "metadata": { "buildmachine": "rpki.example", "buildtime": "2025-11-26T03:00:00Z", "elapsedtime": 612, "roas": 2,
    "tals": ["apnic.tal", "ripe.tal"], "vrps": 2 },
  "roas": [
    { "asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "apnic", "expires": 1764200000 },
    { "asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "apnic", "expires": 1764300000 },
    { "asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "ripe", "expires": 1764300000 }
  ],
  "bgpsec_keys": [],
  "aspas": [ { "customer_asid": 64496, "expires": 1764200000, "providers": [ 64500, 64497 ] },
             { "customer_asid": 64496, "expires": 1764100000, "providers": [ 64501 ] } ]
}"#,
    )
    .unwrap();
    assert_eq!(texts(&set), ["192.0.2.0/24-24 AS64496 apnic 1764300000", "192.0.2.0/24-24 AS64496 ripe 1764300000"]);
    assert_eq!(aspas(&set), [(64496, vec![64497, 64500, 64501], Some(1_764_100_000))]);
    assert_eq!(seconds(set.generated), Some(1_764_126_000));
    let of_families = parse(
        br#"{"metadata": {"generated": 1764126000, "valid": 1764147600, "counts": 1},
        "roas": [{"prefix": "2001:db8::/32", "asn": "as64496", "maxLength": 32, "ta": null, "expires": null}],
        "provider_authorizations": {"ipv4": [{"customer_asid": 1, "providers": [2], "expires": 1764200000}],
                                    "ipv6": [{"customer_asid": 1, "providers": [3], "expires": 1764200000}]}}"#,
    )
    .unwrap();
    assert_eq!(texts(&of_families), ["2001:db8::/32-32 AS64496  0"]);
    assert_eq!(aspas(&of_families), [(1, vec![2, 3], Some(1_764_200_000))]);
    assert_eq!(seconds(of_families.valid_until), Some(1_764_147_600));
}

#[test]
fn the_bare_array_and_csv() {
    let bare = parse(
        br#" [{"prefix": "192.0.2.0/24", "asn": 64496, "maxLength": 24}, {"prefix": "10.0.0.0/8", "asn": "64497"}]"#,
    );
    assert_eq!(texts(&bare.unwrap()), ["10.0.0.0/8-8 AS64497  0", "192.0.2.0/24-24 AS64496  0"]);
    let cases: [(&str, &str); 5] = [
        (
            "ASN,IP Prefix,Max Length,Trust Anchor\nAS64496,192.0.2.0/24,24,ripe\nAS64497,2001:db8::/32,48,ripe\n",
            "192.0.2.0/24-24 AS64496 ripe 0",
        ),
        (
            "\"ASN\",\"IP Prefix\",\"Max Length\",\"Trust Anchor\"\n\"64496\",\"192.0.2.0/24\",\"24\",\"ripe\"\n",
            "192.0.2.0/24-24 AS64496 ripe 0",
        ),
        (
            "ASN,IP Prefix,Max Length,Trust Anchor,Expires\r\nAS64496,192.0.2.0/24,24,apnic,1764200000\r\n",
            "192.0.2.0/24-24 AS64496 apnic 1764200000",
        ),
        (
            "URI,ASN,IP Prefix,Max Length,Not Before,Not After\nrsync://rpki.example/a.roa,AS64496,192.0.2.0/24,24,2025-01-01 00:00:00,2025-11-26 23:33:20\n",
            "192.0.2.0/24-24 AS64496  1764200000",
        ),
        ("\u{feff}ASN,IP Prefix,Max Length\nAS64496,192.0.2.0/24,\n", "192.0.2.0/24-24 AS64496  0"),
    ];
    for (text, first) in cases {
        assert_eq!(texts(&parse(text.as_bytes()).unwrap())[0], first, "{text}");
    }
}

#[test]
fn what_no_validator_writes_is_refused() {
    let roa = |text: &str| format!(r#"{{"roas": [{{"prefix": "10.0.0.0/8", "asn": 1, "maxLength": 8}}, {text}]}}"#);
    let deep = format!("{{\"roas\": {}", "[".repeat(100_000));
    let cases = [
        (String::new(), "is empty"),
        ("  \n".to_owned(), "is empty"),
        ("{}".to_owned(), "has no roas"),
        (r#"{"roas": []}"#.to_owned(), "has no VRPs"),
        ("[]".to_owned(), "has no VRPs"),
        ("ASN,IP Prefix,Max Length\n".to_owned(), "has no VRPs"),
        ("<html>502 Bad Gateway</html>".to_owned(), "is a web page"),
        ("no such file".to_owned(), "it was cut short"),
        ("no such file\n".to_owned(), "is neither JSON nor CSV"),
        (r#"{"roas": [{"prefix": "10.0.0.0/8", "asn": 1, "maxLe"#.to_owned(), "cut short"),
        (r#"{"roas": [{"prefix": "10.0.0.0/8", "asn": 1}]"#.to_owned(), "cut short"),
        (r#"{"roas": [{"prefix": "10.0.0.0/8", "asn": 1}]} {}"#.to_owned(), "trailing characters"),
        (r#"{"roas": [{"prefix": "10.0.0.0/8", "asn": 1}], "roas": []}"#.to_owned(), "has roas twice"),
        (r#"{"roas": {"prefix": "10.0.0.0/8"}}"#.to_owned(), "roas as a list"),
        (deep, "invalid type: sequence"),
        (format!("{{\"x\": {}", "[".repeat(100_000)), "cut short"),
        (roa(r#"{"prefix": "192.0.2.0/24", "asn": 1, "maxLength": "<b>24</b>"}"#), "invalid type: string"),
        (
            roa(r#"{"prefix": "192.0.2.0/24", "asn": 1, "maxLength": 23}"#),
            "roas[1]: maxLength 23 is shorter than the prefix 192.0.2.0/24",
        ),
        (
            roa(r#"{"prefix": "192.0.2.0/24", "asn": 1, "maxLength": 33}"#),
            "roas[1]: maxLength 33 of 192.0.2.0/24 is longer than 32",
        ),
        (roa(r#"{"prefix": "2001:db8::/32", "asn": 1, "maxLength": 129}"#), "longer than 128"),
        (roa(r#"{"prefix": "192.0.2.0/24", "asn": 1, "maxLength": -1}"#), "maxLength -1 is shorter"),
        (roa(r#"{"prefix": "192.0.2.1/24", "asn": 1}"#), "roas[1]: 192.0.2.1/24: bits are set after the prefix length"),
        (roa(r#"{"prefix": "192.0.2.0/33", "asn": 1}"#), "prefix length 33 is too long"),
        (roa(r#"{"prefix": "192.0.2.0", "asn": 1}"#), "\"192.0.2.0\" is not a prefix"),
        (roa(r#"{"prefix": "192.0.2.0/24", "asn": 4294967296}"#), "4294967296 is not an AS number"),
        (roa(r#"{"prefix": "192.0.2.0/24", "asn": "AS+1"}"#), "\"AS+1\" is not an AS number"),
        (roa(r#"{"prefix": "192.0.2.0/24", "asn": -1}"#), "expected an AS number"),
        (roa(r#"{"prefix": "192.0.2.0/24"}"#), "missing field `asn`"),
        (
            roa(r#"{"prefix": "192.0.2.0/24", "asn": 1, "ta": "<script>alert(1)</script>"}"#),
            "the name of a trust anchor",
        ),
        (roa(r#"{"prefix": "192.0.2.0/24", "asn": 1, "expires": 1e300}"#), "expected a time"),
        (roa(r#"{"prefix": "192.0.2.0/24", "asn": 1, "expires": "soon"}"#), "\"soon\" is not a time"),
        (roa(r#"{"prefix": "192.0.2.0/24", "asn": 1, "expires": 18446744073709551615}"#), "too late"),
        (
            r#"{"roas": [{"prefix": "10.0.0.0/8", "asn": 1}], "aspas": [{"customer": "ASx", "providers": []}]}"#
                .to_owned(),
            "aspas[0]: \"ASx\" is not",
        ),
        ("ASN,IP Prefix,Max Length\nAS1,10.0.0.0/8,8\nAS1,10.0.0.0/8,7\n".to_owned(), "line 3: maxLength 7 is shorter"),
        ("ASN,IP Prefix,Max Length\nAS1,10.0.0.0/8\n".to_owned(), "line 2: "),
        ("ASN,IP Prefix,Max Length\nAS1,10.0.0.0/8,2".to_owned(), "it was cut short"),
    ];
    for (text, want) in &cases {
        let error = parse(text.as_bytes()).expect_err(want);
        assert!(error.contains(want) && !error.contains(['<', '>']), "{want}: {error}");
    }
}
