//! Families whose NLRI are not prefixes, as `decode` prints them: each type of their RFCs, announced and withdrawn, with
//! path identifiers, malformed, and cut or changed anywhere.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use rib_ingester::cli::decode;
use serde_json::{Value, json};

use crate::common::bmp::{self as made, Open, Peer, attribute, end_of_rib, route_monitoring};
use crate::recordings::checks::nlri as checks;

type Family = (u16, u8);

const EVPN: Family = (25, 70);
pub(crate) const RD: &str = "0000fde800000001";
const ESI: &str = "00112233445566778899";

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|digit| *digit != b' ').collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// MP_REACH_NLRI (14) with a next hop, or MP_UNREACH_NLRI (15), around a field of NLRI.
fn mp(code: u8, (afi, safi): Family, field: &[u8]) -> Vec<u8> {
    let [high, low] = afi.to_be_bytes();
    let before = if code == 14 { &[high, low, safi, 4, 192, 0, 2, 1, 0][..] } else { &[high, low, safi] };
    attribute(0x80, code, &[before, field].concat())
}

/// The line of an UPDATE of these attributes, of a peer with these families under Add-Path.
fn line(add_path: &[Family], attributes: &[u8]) -> Value {
    let peer = Peer::global_instance("192.0.2.7", 65_000);
    let open = Open { add_path: add_path.to_vec(), ..Open::of(65_000, "192.0.2.7") };
    let monitoring = route_monitoring(peer, &made::update(&[], attributes, &[]));
    let mut out = Vec::new();
    decode::run(&[made::peer_up(peer, &open, None), monitoring].concat()[..], &mut out, 1 << 20).unwrap();
    let line: Value = serde_json::from_str(String::from_utf8(out).unwrap().lines().last().unwrap()).unwrap();
    assert!(line.get("error").is_none(), "{line}");
    line
}

pub(crate) fn announced(family: Family, field: &str) -> Vec<Value> {
    let origin = attribute(0x40, 1, &[0]);
    line(&[], &[origin, mp(14, family, &octets(field))].concat())["announced"].as_array().unwrap().clone()
}

/// One NLRI, announced and withdrawn: the same fields and key.
pub(crate) fn check(family: Family, field: &str, nlri: &Value, key: &str) {
    let all = announced(family, field);
    let hex = field.replace(' ', "");
    let want = json!([{
        "afi": family.0, "safi": family.1, "next_hop": "192.0.2.1", "hex": hex, "nlri": nlri, "nlri_key": key,
    }]);
    assert_eq!(Value::Array(all), want);
    let withdrawn = &line(&[], &mp(15, family, &octets(field)))["withdrawn"];
    assert_eq!(withdrawn, &json!([{ "afi": family.0, "safi": family.1, "hex": hex, "nlri": nlri, "nlri_key": key }]));
}

/// The error of the only NLRI of a field, by its distance from the beginning of the field.
pub(crate) fn check_malformed(family: Family, field: &str, at: u64, message: &str) {
    let all = announced(family, field);
    assert_eq!(all.len(), 1, "{all:?}");
    // The field is the end of its message.
    let end = line(&[], &[attribute(0x40, 1, &[0]), mp(14, family, &octets(field))].concat());
    let begin = end["offset"].as_u64().unwrap() + end["length"].as_u64().unwrap() - octets(field).len() as u64;
    let error = &all[0]["error"];
    assert_eq!(
        (error["offset"].as_u64().unwrap() - begin, error["message"].as_str().unwrap()),
        (at, message),
        "{all:?}"
    );
    assert!(all[0].get("nlri").is_none() && all[0]["hex"] == field.replace(' ', ""));
}

fn key_of(family: Family, field: &str) -> String {
    announced(family, field)[0]["nlri_key"].as_str().unwrap().to_owned()
}

#[test]
fn evpn_types_1_to_5() {
    check(
        EVPN,
        &format!("01 19 {RD} {ESI} 00000005 000641"),
        &json!({ "type": 1, "name": "ethernet_auto_discovery", "rd": "0:65000:1", "esi": "00:11:22:33:44:55:66:77:88:99",
            "ethernet_tag": 5, "labels": [100], "vnis": [1601] }),
        "evpn:1:rd=0:65000:1:esi=00:11:22:33:44:55:66:77:88:99:ethernet_tag=5",
    );
    let mac = "02 25 00010a0000010007 00000000000000000000 00000000 30 020000000001 20 c0000209 0003e8";
    check(
        EVPN,
        mac,
        &json!({ "type": 2, "name": "mac_ip_advertisement", "rd": "1:10.0.0.1:7", "esi": "00:00:00:00:00:00:00:00:00:00",
            "ethernet_tag": 0, "mac": "02:00:00:00:00:01", "ip": "192.0.2.9", "labels": [62], "vnis": [1000] }),
        "evpn:2:rd=1:10.0.0.1:7:ethernet_tag=0:mac=02:00:00:00:00:01:ip=192.0.2.9",
    );
    let v6 = format!("02 34 {RD} {ESI} 00000000 30 020000000001 80 20010db8000000000000000000000001 000641 000651");
    let all = announced(EVPN, &v6);
    assert_eq!((&all[0]["nlri"]["ip"], &all[0]["nlri"]["labels"]), (&json!("2001:db8::1"), &json!([100, 101])));
    let mac_only = announced(EVPN, &format!("02 21 {RD} {ESI} 00000000 30 020000000001 00 000641"));
    assert_eq!(mac_only[0]["nlri"].get("ip"), None);
    check(
        EVPN,
        &format!("03 11 {RD} 00000000 20 c0000201"),
        &json!({ "type": 3, "name": "inclusive_multicast_ethernet_tag", "rd": "0:65000:1", "ethernet_tag": 0,
            "originator": "192.0.2.1" }),
        "evpn:3:rd=0:65000:1:ethernet_tag=0:originator=192.0.2.1",
    );
    check(
        EVPN,
        &format!("04 23 {RD} {ESI} 80 20010db8000000000000000000000001"),
        &json!({ "type": 4, "name": "ethernet_segment", "rd": "0:65000:1", "esi": "00:11:22:33:44:55:66:77:88:99",
            "originator": "2001:db8::1" }),
        "evpn:4:rd=0:65000:1:esi=00:11:22:33:44:55:66:77:88:99:originator=2001:db8::1",
    );
    check(
        EVPN,
        &format!("05 22 {RD} 00000000000000000000 00000000 18 c6336400 00000000 002329"),
        &json!({ "type": 5, "name": "ip_prefix", "rd": "0:65000:1", "esi": "00:00:00:00:00:00:00:00:00:00",
            "ethernet_tag": 0, "prefix": "198.51.100.0/24", "labels": [562], "vnis": [9001] }),
        "evpn:5:rd=0:65000:1:ethernet_tag=0:prefix=198.51.100.0/24",
    );
    let v6 = format!(
        "05 3a {RD} {ESI} 00000000 20 20010db8000000000000000000000000 20010db8000000000000000000000009 000011"
    );
    let all = announced(EVPN, &v6);
    assert_eq!(
        (&all[0]["nlri"]["prefix"], &all[0]["nlri"]["gateway"]),
        (&json!("2001:db8::/32"), &json!("2001:db8::9"))
    );
}

#[test]
fn evpn_types_6_to_11() {
    let s_g = "20 c0000205 20 e8010101";
    check(
        EVPN,
        &format!("06 1c {RD} 00000001 {s_g} 20 c0000201 04"),
        &json!({ "type": 6, "name": "selective_multicast_ethernet_tag", "rd": "0:65000:1", "ethernet_tag": 1,
            "source": "192.0.2.5", "group": "232.1.1.1", "originator": "192.0.2.1", "flags": 4 }),
        "evpn:6:rd=0:65000:1:ethernet_tag=1:source=192.0.2.5:group=232.1.1.1:originator=192.0.2.1",
    );
    check(
        EVPN,
        &format!("07 22 {RD} {ESI} 00000001 00 20 e8010101 20 c0000201 04"),
        &json!({ "type": 7, "name": "multicast_membership_report_synch", "rd": "0:65000:1",
            "esi": "00:11:22:33:44:55:66:77:88:99", "ethernet_tag": 1, "group": "232.1.1.1", "originator": "192.0.2.1",
            "flags": 4 }),
        "evpn:7:rd=0:65000:1:esi=00:11:22:33:44:55:66:77:88:99:ethernet_tag=1:group=232.1.1.1:originator=192.0.2.1",
    );
    check(
        EVPN,
        &format!("08 2b {RD} {ESI} 00000001 {s_g} 20 c0000201 00000000 0a 04"),
        &json!({ "type": 8, "name": "multicast_leave_synch", "rd": "0:65000:1",
            "esi": "00:11:22:33:44:55:66:77:88:99", "ethernet_tag": 1, "source": "192.0.2.5", "group": "232.1.1.1",
            "originator": "192.0.2.1", "maximum_response_time": 10, "flags": 4 }),
        "evpn:8:rd=0:65000:1:esi=00:11:22:33:44:55:66:77:88:99:ethernet_tag=1:source=192.0.2.5:group=232.1.1.1\
         :originator=192.0.2.1",
    );
    check(
        EVPN,
        &format!("09 14 {RD} 00000001 0009fde800000064"),
        &json!({ "type": 9, "name": "per_region_i_pmsi_a_d", "rd": "0:65000:1", "ethernet_tag": 1,
            "region_id": "0009fde800000064" }),
        "evpn:9:rd=0:65000:1:ethernet_tag=1:region_id=0009fde800000064",
    );
    check(
        EVPN,
        &format!("0a 1b {RD} 00000001 {s_g} 20 c0000201"),
        &json!({ "type": 10, "name": "s_pmsi_a_d", "rd": "0:65000:1", "ethernet_tag": 1, "source": "192.0.2.5",
            "group": "232.1.1.1", "originator": "192.0.2.1" }),
        "evpn:10:rd=0:65000:1:ethernet_tag=1:source=192.0.2.5:group=232.1.1.1:originator=192.0.2.1",
    );
    check(
        EVPN,
        &format!("0b 1b 09 14 {RD} 00000001 0009fde800000064 20 c0000202"),
        &json!({ "type": 11, "name": "leaf_a_d", "route_key": format!("0914{RD}000000010009fde800000064"),
            "route": { "type": 9, "name": "per_region_i_pmsi_a_d", "rd": "0:65000:1", "ethernet_tag": 1,
                "region_id": "0009fde800000064" },
            "originator": "192.0.2.2" }),
        &format!("evpn:11:route_key=0914{RD}000000010009fde800000064:originator=192.0.2.2"),
    );
}

#[test]
fn route_attributes_are_not_in_the_key_of_evpn() {
    let mac = |esi: &str, tail: &str, length: &str, labels: &str| {
        key_of(EVPN, &format!("02 {length} {RD} {esi} 00000000 30 0200000000{tail} 00 {labels}"))
    };
    let key = mac(ESI, "01", "21", "000641");
    assert_eq!(mac("00000000000000000000", "01", "24", "000651 000661"), key);
    assert_ne!(mac(ESI, "02", "21", "000641"), key);
    let prefix =
        |esi: &str, gateway: &str| key_of(EVPN, &format!("05 22 {RD} {esi} 00000000 18 c6336400 {gateway} 002329"));
    assert_eq!(prefix(ESI, "00000000"), prefix("00000000000000000000", "c0000201"));
    let smet = |flags: &str| key_of(EVPN, &format!("06 18 {RD} 00000001 00 20 e8010101 20 c0000201 {flags}"));
    assert_eq!(smet("04"), smet("0a"));
}

#[test]
fn flow_specifications() {
    let v4: Family = (1, 133);
    // RFC 8955 sections 4.3.1 to 4.3.3.
    check(
        v4,
        "0b 01 18 c00002 03 81 06 04 81 19",
        &json!({ "destination_prefix": "192.0.2.0/24", "ip_protocol": "=6", "port": "=25",
            "rule": "Dest:192.0.2.0/24,Proto:=6,Port:=25" }),
        "flowspec:4:Dest:192.0.2.0/24,Proto:=6,Port:=25",
    );
    check(
        v4,
        "12 01 18 c00002 02 18 cb0071 04 03 89 45 8b 91 1f90",
        &json!({ "destination_prefix": "192.0.2.0/24", "source_prefix": "203.0.113.0/24", "port": ">=137&<=139|=8080",
            "rule": "Dest:192.0.2.0/24,Source:203.0.113.0/24,Port:>=137&<=139|=8080" }),
        "flowspec:4:Dest:192.0.2.0/24,Source:203.0.113.0/24,Port:>=137&<=139|=8080",
    );
    check(
        v4,
        "09 01 20 c0000201 0c 80 05",
        &json!({ "destination_prefix": "192.0.2.1/32", "fragment": "DF+FF", "rule": "Dest:192.0.2.1/32,Frag:DF+FF" }),
        "flowspec:4:Dest:192.0.2.1/32,Frag:DF+FF",
    );
    let rest = "1c 05 92 03e8 06 84 0a 07 81 08 08 86 03 09 01 12 c3 02 0a 95 05dc 0b 83 2e 0c 82 02";
    let all = announced(v4, rest);
    let want =
        "DPort:>1000,SPort:<10,ICMPType:=8,ICMPCode:!=3,TCPFlags:=SYN+ACK&!=SYN,Length:<=1500,DSCP:>=46,Frag:!IsF";
    assert_eq!(all[0]["nlri"]["rule"], want);
    // With a distinguisher (RFC 8955 section 8), and a length of two octets (section 4.1).
    check(
        (1, 134),
        &format!("f00b {RD} 03 81 11"),
        &json!({ "rd": "0:65000:1", "ip_protocol": "=17", "rule": "Proto:=17" }),
        "flowspec:4:rd=0:65000:1:Proto:=17",
    );
    // RFC 8956 sections 3.8.1 and 3.8.2.
    check(
        (2, 133),
        "12 01 20 00 20010db8 02 68 40 123456789a 03 81 06",
        &json!({ "destination_prefix": "2001:db8::/32", "source_prefix": "::1234:5678:9a00:0/64-104",
            "upper_layer_protocol": "=6", "rule": "Dest:2001:db8::/32,Source:::1234:5678:9a00:0/64-104,Proto:=6" }),
        "flowspec:6:Dest:2001:db8::/32,Source:::1234:5678:9a00:0/64-104,Proto:=6",
    );
    let bit_offset = announced((2, 133), "0f 01 20 00 20010db8 02 68 41 2468acf134");
    assert_eq!(bit_offset[0]["nlri"]["source_prefix"], "::1234:5678:9a00:0/65-104");
    let label = announced((2, 134), &format!("11 {RD} 01 00 00 0d a1 0001e240"));
    assert_eq!(label[0]["nlri"]["rule"], "Dest:::/0,FlowLabel:=123456");
}

#[test]
fn other_encodings_of_a_rule_have_other_keys() {
    let v4: Family = (1, 133);
    let short = key_of(v4, "03 03 81 06");
    assert_eq!(short, "flowspec:4:Proto:=6");
    // A longer value, the AND bit of the first operator, an unused bit, host bits.
    for (field, key) in [
        ("04 03 91 0006", "flowspec:4:Proto:=6:03910006"),
        ("03 03 c1 06", "flowspec:4:Proto:=6:03c106"),
        ("03 03 89 06", "flowspec:4:Proto:=6:038906"),
        ("04 01 0c 0aff", "flowspec:4:Dest:10.240.0.0/12:010c0aff"),
    ] {
        assert_eq!(key_of(v4, field), key);
    }
}

#[test]
fn link_state() {
    let family: Family = (16_388, 71);
    let node = "0200 0004 0000fde8 0201 0004 00000000 0203 0006 000000000001";
    check(
        family,
        &format!("0001 0027 02 0000000000000000 0100 001a {node}"),
        &json!({ "type": 1, "name": "node", "protocol_id": 2, "protocol": "isis_level_2", "identifier": 0,
            "local_node": { "asn": 65000, "bgp_ls_id": 0, "igp_router_id": "0000.0000.0001" } }),
        "bgp-ls:1:protocol_id=2:identifier=0:local_node=(asn=65000,bgp_ls_id=0,igp_router_id=0000.0000.0001)",
    );
    let ospf = "0202 0004 00000001 0203 0008 c0000201c6336401";
    check(
        family,
        &format!(
            "0002 0066 03 0000000000000007 0100 001a {node} 0101 0014 {ospf} \
             0102 0008 0000000100000002 0103 0004 c0000201 0104 0004 c0000202 0107 0002 f002 2710 0001 ff"
        ),
        &json!({ "type": 2, "name": "link", "protocol_id": 3, "protocol": "ospfv2", "identifier": 7,
            "local_node": { "asn": 65000, "bgp_ls_id": 0, "igp_router_id": "0000.0000.0001" },
            "remote_node": { "ospf_area_id": "0.0.0.1", "igp_router_id": "192.0.2.1:198.51.100.1" },
            "local_id": 1, "remote_id": 2, "ipv4_interface_address": "192.0.2.1", "ipv4_neighbor_address": "192.0.2.2",
            "multi_topology_ids": [2], "tlvs": [{ "type": 10000, "hex": "ff" }] }),
        "bgp-ls:2:protocol_id=3:identifier=7:local_node=(asn=65000,bgp_ls_id=0,igp_router_id=0000.0000.0001)\
         :remote_node=(ospf_area_id=0.0.0.1,igp_router_id=192.0.2.1:198.51.100.1):local_id=1:remote_id=2\
         :ipv4_interface_address=192.0.2.1:ipv4_neighbor_address=192.0.2.2:multi_topology_ids=[2]:10000=ff",
    );
    check(
        family,
        "0003 0022 03 0000000000000000 0100 0008 0203 0004 c0000201 0108 0001 01 0109 0004 18 c63364",
        &json!({ "type": 3, "name": "ipv4_prefix", "protocol_id": 3, "protocol": "ospfv2", "identifier": 0,
            "local_node": { "igp_router_id": "192.0.2.1" }, "ospf_route_type": 1, "prefix": "198.51.100.0/24" }),
        "bgp-ls:3:protocol_id=3:identifier=0:local_node=(igp_router_id=192.0.2.1):ospf_route_type=1\
         :prefix=198.51.100.0/24",
    );
    check(
        (16_388, 72),
        &format!("0004 0026 {RD} 06 0000000000000000 0100 0008 0203 0004 c0000201 0109 0005 20 20010db8"),
        &json!({ "type": 4, "name": "ipv6_prefix", "rd": "0:65000:1", "protocol_id": 6, "protocol": "ospfv3",
            "identifier": 0, "local_node": { "igp_router_id": "192.0.2.1" }, "prefix": "2001:db8::/32" }),
        "bgp-ls:4:rd=0:65000:1:protocol_id=6:identifier=0:local_node=(igp_router_id=192.0.2.1):prefix=2001:db8::/32",
    );
    let sid = "0006 002c 02 0000000000000000 0100 000b 0203 0007 00000000000102 \
               0206 0010 20010db8000000000000000000000001";
    let sid = announced(family, sid);
    assert_eq!(sid[0]["nlri"]["sid"], "2001:db8::1");
    assert_eq!(sid[0]["nlri"]["local_node"], json!({ "igp_router_id": "0000.0000.0001.02" }));
    let unknown = announced(family, "0005 0003 010203");
    assert_eq!((&unknown[0]["nlri"], &unknown[0]["nlri_key"]), (&json!({ "type": 5 }), &json!("bgp-ls:5:010203")));
}

#[test]
fn policies_and_route_targets() {
    check(
        (1, 73),
        "60 00000001 00000064 c0000201",
        &json!({ "distinguisher": 1, "color": 100, "endpoint": "192.0.2.1" }),
        "sr-policy:4:distinguisher=1:color=100:endpoint=192.0.2.1",
    );
    check(
        (2, 73),
        "c0 00000001 00000064 20010db8000000000000000000000001",
        &json!({ "distinguisher": 1, "color": 100, "endpoint": "2001:db8::1" }),
        "sr-policy:6:distinguisher=1:color=100:endpoint=2001:db8::1",
    );
    let rtc: Family = (1, 132);
    check(
        rtc,
        "60 0000fde8 0002fde800000064",
        &json!({ "prefix_length": 96, "origin_as": 65000, "route_target": "RT:65000:100" }),
        "rtc:prefix_length=96:origin_as=65000:route_target=RT:65000:100",
    );
    check(rtc, "00", &json!({ "prefix_length": 0 }), "rtc:prefix_length=0");
    check(
        rtc,
        "20 0000fde8",
        &json!({ "prefix_length": 32, "origin_as": 65000 }),
        "rtc:prefix_length=32:origin_as=65000",
    );
    // Bits after the length do not count.
    check(
        rtc,
        "3c 0000fde8 0002fdef",
        &json!({ "prefix_length": 60, "origin_as": 65000, "route_target": "0002fde0" }),
        "rtc:prefix_length=60:origin_as=65000:route_target=0002fde0",
    );
}

#[test]
fn multicast_vpn() {
    let v4: Family = (1, 5);
    let s_g = "20 c0000205 20 e8010101";
    check(
        v4,
        &format!("01 0c {RD} c0000201"),
        &json!({ "type": 1, "name": "intra_as_i_pmsi_a_d", "rd": "0:65000:1", "originator": "192.0.2.1" }),
        "mvpn:4:1:rd=0:65000:1:originator=192.0.2.1",
    );
    check(
        v4,
        &format!("02 0c {RD} 0000fde8"),
        &json!({ "type": 2, "name": "inter_as_i_pmsi_a_d", "rd": "0:65000:1", "source_as": 65000 }),
        "mvpn:4:2:rd=0:65000:1:source_as=65000",
    );
    check(
        v4,
        &format!("03 16 {RD} {s_g} c0000201"),
        &json!({ "type": 3, "name": "s_pmsi_a_d", "rd": "0:65000:1", "source": "192.0.2.5", "group": "232.1.1.1",
            "originator": "192.0.2.1" }),
        "mvpn:4:3:rd=0:65000:1:source=192.0.2.5:group=232.1.1.1:originator=192.0.2.1",
    );
    let key = format!("0316{RD}20c000020520e8010101c0000201");
    check(
        v4,
        &format!("04 1c {key} c0000202"),
        &json!({ "type": 4, "name": "leaf_a_d", "route_key": key,
            "route": { "type": 3, "name": "s_pmsi_a_d", "rd": "0:65000:1", "source": "192.0.2.5",
                "group": "232.1.1.1", "originator": "192.0.2.1" },
            "originator": "192.0.2.2" }),
        &format!("mvpn:4:4:route_key={key}:originator=192.0.2.2"),
    );
    check(
        v4,
        &format!("05 12 {RD} {s_g}"),
        &json!({ "type": 5, "name": "source_active_a_d", "rd": "0:65000:1", "source": "192.0.2.5",
            "group": "232.1.1.1" }),
        "mvpn:4:5:rd=0:65000:1:source=192.0.2.5:group=232.1.1.1",
    );
    check(
        v4,
        &format!("06 14 {RD} 0000fde8 20 c0000205 02 abcd"),
        &json!({ "type": 6, "name": "shared_tree_join", "rd": "0:65000:1", "source_as": 65000, "source": "192.0.2.5",
            "group_opaque": "abcd" }),
        "mvpn:4:6:rd=0:65000:1:source_as=65000:source=192.0.2.5:group_opaque=abcd",
    );
    let v6 = format!("07 2e {RD} 0000fde8 80 20010db8000000000000000000000005 80 ff3e0000000000000000000000000001");
    check(
        (2, 5),
        &v6,
        &json!({ "type": 7, "name": "source_tree_join", "rd": "0:65000:1", "source_as": 65000,
            "source": "2001:db8::5", "group": "ff3e::1" }),
        "mvpn:6:7:rd=0:65000:1:source_as=65000:source=2001:db8::5:group=ff3e::1",
    );
}

#[test]
fn malformed_nlri_cost_themselves_only() {
    check_malformed(EVPN, &format!("03 11 {RD} 00000000 21 c0000201"), 14, "length 33 is neither 0, 32 nor 128 bits");
    check_malformed(EVPN, &format!("03 0c {RD} 00000000"), 14, "needs 1 octets, 0 are left");
    check_malformed(EVPN, &format!("09 15 {RD} 00000001 0009fde800000064 00"), 22, "1 octets after the last field");
    check_malformed(EVPN, &format!("02 21 {RD} {ESI} 00000000 2f 020000000001 00 000641"), 24, "47 is not 48 bits");
    check_malformed(EVPN, "05 01 00", 2, "1 is neither 34 nor 58");
    check_malformed((1, 133), "06 04 81 19 03 81 06", 4, "3 after 4 is out of order");
    check_malformed((1, 133), "03 0d 81 06", 1, "13 is not known");
    check_malformed((1, 133), "00", 1, "has no component");
    check_malformed((1, 133), "03 03 01 06", 4, "needs 1 octets, 0 are left");
    check_malformed(
        (2, 133),
        "04 01 20 20 00",
        2,
        "length 32 and offset 32 are not in the range offset < length < 129",
    );
    check_malformed((16_388, 71), "0001 0004 00000000", 5, "needs 8 octets, 3 are left");
    check_malformed((1, 73), "c0 000000010000006420010db8000000000000000000000001", 0, "192 is not 96 bits");
    check_malformed((1, 132), "1f 0000fde8", 0, "31 is neither 0 nor 32 to 96");
    check_malformed((1, 5), &format!("01 0b {RD} c00002"), 10, "3 octets are neither 4 nor 16");
    // The ends of these are not known.
    check_malformed(EVPN, &format!("03 12 {RD} 00000000 20 c0000201"), 2, "needs 18 octets, 17 are left");
    check_malformed((1, 132), "61 0000fde80002fde800000064 00", 0, "97 is longer than 96");
    // The NLRI before and after a malformed one are decoded.
    let all = announced(EVPN, &format!("09 14 {RD} 00000001 0009fde800000064 03 02 0000 c8 02 0102"));
    let keys: Vec<Option<&str>> = all.iter().map(|nlri| nlri["nlri_key"].as_str()).collect();
    assert_eq!(
        keys,
        [Some("evpn:9:rd=0:65000:1:ethernet_tag=1:region_id=0009fde800000064"), None, Some("evpn:200:0102")]
    );
}

#[test]
fn path_identifiers_are_read_as_sent() {
    let nlri = format!("09 14 {RD} 00000001 0009fde800000064");
    let with_ids = octets(&format!("00000007 {nlri} 00000000 {nlri}"));
    let ids = |add_path: &[Family], field: &[u8]| {
        let line = line(add_path, &mp(14, EVPN, field));
        let all = line["announced"].as_array().unwrap().clone();
        assert!(all.iter().all(|one| one["hex"] == nlri.replace(' ', "")), "{all:?}");
        all.iter().map(|one| one.get("path_id").and_then(Value::as_u64)).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[EVPN], &with_ids), [Some(7), Some(0)]);
    assert_eq!(ids(&[], &with_ids), [Some(7), Some(0)], "sent, not announced");
    assert_eq!(ids(&[EVPN], &octets(&nlri)), [None], "announced, not sent");
}

#[test]
fn end_of_rib_and_bad_attributes_of_other_families() {
    let peer = Peer::global_instance("192.0.2.7", 65_000);
    for (afi, safi) in checks::FAMILIES {
        let mut out = Vec::new();
        decode::run(&route_monitoring(peer, &end_of_rib(afi, safi))[..], &mut out, 1 << 20).unwrap();
        let line: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(line["end_of_rib"], json!({ "afi": afi, "safi": safi }));
    }
    // ORIGIN 9 is malformed: treat as withdraw (RFC 7606 section 7.1).
    let bad = [attribute(0x40, 1, &[9]), mp(14, (1, 132), &[0])].concat();
    let line = line(&[], &bad);
    assert_eq!((&line["announced"], &line["withdrawn"][0]["nlri_key"]), (&json!([]), &json!("rtc:prefix_length=0")));
}

/// GoBGP 3.10 sends all octets of a prefix with an offset.
#[test]
fn a_pattern_with_the_skipped_bits_is_read() {
    let all = announced((2, 133), "1d 01 40 00 20010db800000000 02 60 20 20010db80002000000000000 0d 81 64");
    assert_eq!(all[0]["nlri"]["rule"], "Dest:2001:db8::/64,Source:0:0:2::/32-96,FlowLabel:=100");
    let key = "flowspec:6:Dest:2001:db8::/64,Source:0:0:2::/32-96,FlowLabel:=100\
               :01400020010db80000000002602020010db800020000000000000d8164";
    assert_eq!(all[0]["nlri_key"], key);
}

/// Families that are not decoded stay hex.
#[test]
fn families_that_are_not_decoded_are_hex() {
    let all = announced((1, 66), "60 0000fdf900000068 c0000201 e8010101");
    let want = json!([{ "afi": 1, "safi": 66, "next_hop": "192.0.2.1", "hex": "600000fdf900000068c0000201e8010101" }]);
    assert_eq!(Value::Array(all), want);
}

#[test]
fn any_cut_or_changed_octet_is_survived() {
    let node = "0001 0027 02 0000000000000000 0100 001a 0200 0004 0000fde8 0201 0004 00000000 0203 0006 000000000001";
    let fields = [
        format!("02 25 {RD} {ESI} 00000000 30 020000000001 20 c0000209 0003e8"),
        format!("08 2b {RD} {ESI} 00000001 20 c0000205 20 e8010101 20 c0000201 00000000 0a 04"),
        format!("0b 1b 09 14 {RD} 00000001 0009fde800000064 20 c0000202"),
        "12 01 18 c00002 02 18 cb0071 04 03 89 45 8b 91 1f90".to_owned(),
        "12 01 20 00 20010db8 02 68 40 123456789a 03 81 06".to_owned(),
        node.to_owned(),
        "60 00000001 00000064 c0000201 60 00000001 00000064 c0000201".to_owned(),
        "60 0000fde8 0002fde800000064 00 3c 0000fde8 0002fdef".to_owned(),
        format!("04 1c 0316{RD}20c000020520e8010101c0000201 c0000202"),
    ];
    for field in fields.map(|field| octets(&field)) {
        for control in 0..u8::try_from(2 * checks::FAMILIES.len()).unwrap() {
            let input = [&[control][..], &field].concat();
            for at in 1..input.len() {
                checks::check(&input[..at]);
                for value in [0, 1, 3, 0x20, 0x60, 0x7f, 0x80, 0xf0, 0xff] {
                    let mut changed = input.clone();
                    changed[at] = value;
                    checks::check(&changed);
                }
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_octets_are_survived(input in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        checks::check(&input);
    }
}
