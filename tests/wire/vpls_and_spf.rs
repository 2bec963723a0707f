//! VPLS (RFC 4761, RFC 6074) and BGP-LS SPF (RFC 9815), as `decode` prints them.

use serde_json::json;

use crate::other_families::{RD, announced, check, check_malformed};

const VPLS: (u16, u8) = (25, 65);
const SPF: (u16, u8) = (16_388, 80);

#[test]
fn vpls_blocks_and_pes() {
    check(
        VPLS,
        &format!("0011 {RD} 0003 0001 0008 186a01"),
        &json!({ "name": "label_block", "rd": "0:65000:1", "ve_id": 3, "ve_block_offset": 1, "ve_block_size": 8,
            "label_base": 100_000 }),
        "vpls:label_block:rd=0:65000:1:ve_id=3:ve_block_offset=1",
    );
    check(
        VPLS,
        &format!("000c {RD} c0000201"),
        &json!({ "name": "auto_discovery", "rd": "0:65000:1", "pe_address": "192.0.2.1" }),
        "vpls:auto_discovery:rd=0:65000:1:pe_address=192.0.2.1",
    );
    // A layer 2 VPN of RFC 6624, with a circuit status vector.
    let l2vpn = format!("0013 {RD} 0001 0001 186a01 01 0001 80");
    check(VPLS, &l2vpn, &json!({}), &format!("vpls:{}", l2vpn[5..].replace(' ', "")));
    let both = announced(VPLS, &format!("000c {RD} c0000201 0011 {RD} 0003 0001 0008 186a01"));
    assert_eq!(both.len(), 2);
}

#[test]
fn spf_links_and_prefixes() {
    let node = "0200 0004 0000fde8 0204 0004 c0000201";
    let fields = json!({ "asn": 65000, "bgp_router_id": "192.0.2.1" });
    check(
        SPF,
        &format!("0002 002e 04 0000000000000000 0100 0010 {node} 0102 0008 0000000100000002 04a1 0001 02"),
        &json!({ "type": 2, "name": "link", "protocol_id": 4, "protocol": "direct", "identifier": 0, "local_node": fields,
            "local_id": 1, "remote_id": 2, "address_family": 2 }),
        "bgp-ls-spf:2:protocol_id=4:identifier=0:local_node=(asn=65000,bgp_router_id=192.0.2.1):local_id=1:remote_id=2\
         :address_family=2",
    );
    check(
        SPF,
        &format!("0003 0025 04 0000000000000000 0100 0010 {node} 0109 0004 18 c63364"),
        &json!({ "type": 3, "name": "ipv4_prefix", "protocol_id": 4, "protocol": "direct", "identifier": 0,
            "local_node": fields, "prefix": "198.51.100.0/24" }),
        "bgp-ls-spf:3:protocol_id=4:identifier=0:local_node=(asn=65000,bgp_router_id=192.0.2.1):prefix=198.51.100.0/24",
    );
    let unknown = announced(SPF, "0009 0003 010203");
    assert_eq!((&unknown[0]["nlri"], &unknown[0]["nlri_key"]), (&json!({ "type": 9 }), &json!("bgp-ls-spf:9:010203")));
}

#[test]
fn malformed_vpls_and_spf_cost_themselves_only() {
    check_malformed(VPLS, &format!("000b {RD} c00002"), 0, "11 is neither 12 nor 17");
    check_malformed(VPLS, "0000", 0, "0 is neither 12 nor 17");
    check_malformed(VPLS, &format!("0011 {RD} 0003 0001 0008 186a"), 2, "needs 17 octets, 16 are left");
    let all = announced(VPLS, &format!("0001 00 000c {RD} c0000201"));
    let keys: Vec<Option<&str>> = all.iter().map(|nlri| nlri["nlri_key"].as_str()).collect();
    assert_eq!(keys, [None, Some("vpls:auto_discovery:rd=0:65000:1:pe_address=192.0.2.1")]);
    check_malformed(SPF, "0001 0004 00000000", 5, "needs 8 octets, 3 are left");
    // Reserved values and another length of the address family (RFC 9815 section 7.1); in BGP-LS they are kept.
    for (octets, length) in [("00", "01"), ("ff", "01"), ("0102", "02"), ("", "00")] {
        let size = 13 + octets.len() / 2;
        let link = format!("0002 00{size:02x} 04 0000000000000000 04a1 00{length} {octets}");
        check_malformed(SPF, &link, 17, &format!("{octets} is no address family"));
        assert!(announced((16_388, 71), &link)[0].get("error").is_none());
    }
}
