//! Tests of [`decode`]: UPDATEs and their decoded routes.

use super::*;
use crate::model::OtherAttribute;

fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(withdrawn.len()).unwrap().to_be_bytes().to_vec();
    body.extend(withdrawn);
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    let mut out = vec![0xff; 16];
    out.extend(u16::try_from(body.len() + HEADER_SIZE).unwrap().to_be_bytes());
    out.push(2);
    out.extend(body);
    out
}

fn read(bytes: Vec<u8>) -> Result<Decoded<'static, 'static>, DecodeError> {
    decode(bytes.leak(), 0, &DecodeContext::default(), Box::leak(Box::default()))
}

fn decoded(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Result<Decoded<'static, 'static>, DecodeError> {
    read(update(withdrawn, attributes, nlri))
}

const ORIGIN: [u8; 4] = [0x40, 1, 1, 0];

/// Found by fuzzing: taken for an End-of-RIB, the message purged the routes that the dump had not yet confirmed.
#[test]
fn mp_unreach_before_a_cut_attribute_is_not_eor() {
    for cut in [&[0x40][..], &[0x40, 1], &[0x40, 1, 1], &[0x40, 1, 9, 0]] {
        let attributes = [&[0x80, 15, 3, 0, 2, 1], cut].concat();
        let is_eor = decoded(&[], &attributes, &[]).is_ok_and(|d| matches!(d.update, Update::EndOfRib(_)));
        assert!(!is_eor, "{cut:?}");
    }
}

#[test]
fn end_of_rib_is_the_exact_encoding_and_nothing_else() {
    let is_eor = |attributes: &[u8], nlri: &[u8]| match decoded(&[], attributes, nlri).unwrap().update {
        Update::EndOfRib(family) => Some((family.afi, family.safi)),
        Update::Routes(_) | Update::RouteRefresh(_) => None,
    };
    assert_eq!(is_eor(&[], &[]), Some((1, 1)));
    assert_eq!(is_eor(&[0x80, 15, 3, 0, 2, 1], &[]), Some((2, 1)));
    assert_eq!(is_eor(&[0x90, 15, 0, 3, 0, 1, 1], &[]), Some((1, 1)));
    assert_eq!(is_eor(&[0x80, 15, 3, 0, 25, 70], &[]), Some((25, 70)));
    assert_eq!(is_eor(&ORIGIN, &[]), None);
    assert_eq!(is_eor(&[&ORIGIN[..], &[0x80, 15, 3, 0, 2, 1]].concat(), &[]), None);
    assert_eq!(is_eor(&[0x80, 15, 3, 0, 2, 1], &[8, 10]), None);
    assert_eq!(is_eor(&[0x80, 15, 4, 0, 2, 1, 0], &[]), None);
    assert_eq!(is_eor(&[0x80, 14, 5, 0, 2, 1, 0, 0], &[]), None);
}

#[test]
fn as4_path_counts_unless_the_aggregators_disagree() {
    // 64496 AS_TRANS, by a peer of two octets; the AS4_PATH has 65551 at its end.
    let path = [0x40, 2, 6, 2, 2, 0xfb, 0xf0, 0x5b, 0xa0];
    let as4_path = [0xc0, 17, 6, 2, 1, 0, 1, 0, 0x0f];
    let aggregator = |asn: [u8; 2]| [&[0xc0, 7, 6][..], &asn, &[192, 0, 2, 9]].concat();
    let as4_aggregator = [0xc0, 18, 8, 0, 1, 0, 0x10, 192, 0, 2, 10];
    let check = |aggregators: &[u8], want_path: &str, want_aggregator: Option<u32>| {
        let attributes = [&ORIGIN[..], &path, &as4_path, aggregators].concat();
        let bytes = update(&[], &attributes, &[8, 10]);
        let mut routes = Routes::default();
        let context = DecodeContext { as_width: AsWidth::Two, ..DecodeContext::default() };
        decode(&bytes, 0, &context, &mut routes).unwrap();
        let got = routes.attributes.other.iter().find_map(|attribute| match attribute {
            OtherAttribute::Aggregator { asn, .. } => Some(asn.0),
            _ => None,
        });
        assert_eq!(routes.attributes.as_path.unwrap().to_string(), want_path, "{aggregators:?}");
        assert_eq!(got, want_aggregator, "{aggregators:?}");
    };
    let (trans, other) = (aggregator([0x5b, 0xa0]), aggregator([0xfb, 0xf3]));
    check(&[], "64496 65551", None);
    check(&trans, "64496 65551", Some(23_456));
    check(&other, "64496 65551", Some(64_499));
    check(&as4_aggregator, "64496 65551", None);
    check(&[&trans[..], &as4_aggregator].concat(), "64496 65551", Some(65_552));
    check(&[&other[..], &as4_aggregator].concat(), "64496 23456", Some(64_499));
}

#[test]
fn an_unspecified_next_hop_yields_to_link_local() {
    let (none, link_local) = ([0; 16], [&[0xfe, 0x80][..], &[0; 13], &[1]].concat());
    let global = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1]].concat();
    let rd = [0; 8];
    let check = |parts: &[&[u8]], want: &str, beside: Option<&str>| {
        let want = NextHop { address: want.parse().unwrap(), link_local: beside.map(|it| it.parse().unwrap()) };
        assert_eq!(read_next_hop(&parts.concat()), Some(want), "{parts:?}");
    };
    check(&[&none, &link_local], "fe80::1", None);
    check(&[&rd, &none, &rd, &link_local], "fe80::1", None);
    check(&[&global, &link_local], "2001:db8::1", Some("fe80::1"));
    check(&[&rd, &global, &rd, &link_local], "2001:db8::1", Some("fe80::1"));
    check(&[&global, &none], "2001:db8::1", None);
    check(&[&none, &none], "::", None);
}

#[test]
fn malformed_attributes_cost_what_rfc_7606_says() {
    let check = |attributes: &[u8], announced: usize, actions: &[u8]| {
        let all = [&ORIGIN[..], attributes].concat();
        let Update::Routes(routes) = decoded(&[], &all, &[8, 10]).unwrap().update else { panic!() };
        let got: Vec<u8> = routes.actions.iter().map(|fault| fault.attribute).collect();
        assert_eq!((routes.announced.len(), got.as_slice()), (announced, actions), "{attributes:?}");
        assert_eq!(routes.announced.len() + routes.withdrawn.len(), 1);
    };
    check(&[], 1, &[]);
    check(&[0x40, 1, 1, 9], 1, &[1]); // the second ORIGIN is discarded
    check(&[0x40, 2, 1, 2], 0, &[2]);
    check(&[0x40, 6, 1, 0], 1, &[6]);
    check(&[0x40, 6, 1, 0, 0x80, 4, 1, 0], 0, &[6, 4]);
    check(&[0x80, 5, 4, 0, 0, 0, 1], 0, &[5]); // flags of another kind
    check(&[0x00, 5, 4, 0, 0, 0, 1], 1, &[]); // no flags at all
    check(&[0xff, 5, 0, 4, 0, 0, 0, 1], 1, &[]); // all of them
    check(&[0xc0, 99, 200, 1], 0, &[99]); // runs over the end
    check(&[0x40], 0, &[0]);
}

#[test]
fn labels_beyond_the_receivers_limit_withdraw_routes() {
    let check = |labels: MultipleLabels, announced: usize, unannounced: bool| {
        // 10.1.0.0/16 with labels 16, 17 and 18, the last one at the bottom.
        let nlri = [88, 0, 1, 0, 0, 1, 0x10, 0, 1, 0x21, 10, 1];
        let reach = [&[0x80, 14, 21, 0, 1, 4, 4, 192, 0, 2, 1, 0][..], &nlri].concat();
        let bytes = update(&[], &[&ORIGIN[..], &reach].concat(), &[]);
        let mut routes = Routes::default();
        let decoded = decode(&bytes, 0, &DecodeContext { labels, ..DecodeContext::default() }, &mut routes).unwrap();
        assert_eq!(decoded.deviations.labels_unannounced, unannounced);
        assert_eq!((routes.announced.len(), routes.withdrawn.len()), (announced, 1 - announced));
        let nlri = if announced == 1 { &routes.announced[0].nlri } else { &routes.withdrawn[0].nlri };
        let NlriSet::Labeled(all) = nlri else { panic!("{nlri:?}") };
        assert_eq!(all[0].labels.as_slice(), [16, 17, 18]);
    };
    let most = |count| {
        let mut labels = MultipleLabels::default();
        labels.learn(Some(&[0, 1, 4, count]));
        labels
    };
    check(most(2), 0, false);
    check(most(3), 1, false);
    check(most(255), 1, false);
    check(MultipleLabels::default(), 1, true);
}

#[test]
fn unreadable_nlri_fail_the_message_at_their_offset() {
    let error = decoded(&[], &ORIGIN, &[33, 1, 2, 3, 4, 5]).unwrap_err();
    assert_eq!((error.offset, error.field), (27, "prefix length"));
    let error = decoded(&[], &[0x80, 15, 2, 0, 2], &[]).unwrap_err();
    assert_eq!((error.offset, error.field), (28, "MP_UNREACH_NLRI SAFI"));
    let error = decoded(&[], &[0x80, 14, 5, 0, 2, 1, 9, 0], &[]).unwrap_err();
    assert_eq!((error.offset, error.field), (30, "next hop"));
    let over = [0x40, 1, 1, 0, 0x80, 14, 90, 0, 2, 1, 16];
    let error = decoded(&[8, 10], &over, &[]).unwrap_err();
    assert_eq!((error.offset, error.field), (29, "Path Attributes"));
    let twice = [0x80, 15, 3, 0, 2, 1, 0x80, 15, 3, 0, 2, 1];
    let error = decoded(&[], &twice, &[]).unwrap_err();
    assert_eq!((error.offset, error.field), (29, "Path Attributes"));
    let mut open = update(&[], &[], &[]);
    open[18] = 1;
    assert_eq!(read(open.clone()).unwrap_err().field, "type");
    open[17] = 18;
    open[18] = 2;
    assert_eq!(read(open.clone()).unwrap_err().field, "length");
}

#[test]
fn bytes_behind_the_message_are_cut_and_told() {
    let mut bytes = update(&[8, 10], &[], &[]);
    bytes.extend([1, 2, 3]);
    let decoded = read(bytes).unwrap();
    assert!(decoded.deviations.trailing_bytes);
    let Update::Routes(routes) = decoded.update else { panic!() };
    assert_eq!(routes.withdrawn.len(), 1);
}

#[test]
fn one_clear_field_decides_the_others_of_its_family() {
    // 198.51.100.0/25, which with identifiers is 0.0.0.0/0; the same of IPv6, with 2001:db8::/32.
    const TIE: [u8; 5] = [25, 198, 51, 100, 0];
    const CLEAR: [u8; 2] = [8, 10];
    let add_path: AddPathFamilies = [AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST].into_iter().collect();
    let context = DecodeContext { add_path, ..DecodeContext::default() };
    let read = |withdrawn: &[u8], attributes: &[u8], nlri: &[u8], context: &DecodeContext| {
        let bytes = update(withdrawn, attributes, nlri).leak();
        let decoded = decode(bytes, 0, context, Box::leak(Box::default())).unwrap();
        let Update::Routes(routes) = &decoded.update else { panic!("{decoded:?}") };
        let nlri = |nlri: &NlriSet<'_>| match nlri {
            NlriSet::Prefixes(all) => all.iter().map(|nlri| nlri.prefix.to_string()).collect::<Vec<_>>().join(" "),
            other => panic!("{other:?}"),
        };
        let withdrawn: Vec<_> = routes.withdrawn.iter().map(|field| nlri(&field.nlri)).collect();
        let announced: Vec<_> = routes.announced.iter().map(|field| nlri(&field.nlri)).collect();
        let ambiguous = decoded.add_path_ambiguous.families();
        (withdrawn.join(", "), announced.join(", "), ambiguous, decoded.deviations.add_path_missing)
    };
    let none = AddPathFamilies::default();
    let v4: AddPathFamilies = [AfiSafi::IPV4_UNICAST].into_iter().collect();
    let text = |withdrawn: &str, announced: &str, ambiguous, missing| {
        (withdrawn.to_owned(), announced.to_owned(), ambiguous, missing)
    };
    assert_eq!(read(&TIE, &ORIGIN, &TIE, &context), text("0.0.0.0/0", "0.0.0.0/0", v4, false));
    let decided = text("198.51.100.0/25", "10.0.0.0/8", none, true);
    assert_eq!(read(&TIE, &ORIGIN, &CLEAR, &context), decided);
    let decided = text("10.0.0.0/8", "198.51.100.0/25", none, true);
    assert_eq!(read(&CLEAR, &ORIGIN, &TIE, &context), decided);
    // MP_UNREACH_NLRI of the same family, and of another one, which decides nothing.
    let unreach = [&[0x80, 15, 5, 0, 1, 1][..], &CLEAR].concat();
    let decided = text("10.0.0.0/8", "198.51.100.0/25", none, true);
    assert_eq!(read(&[], &[&ORIGIN[..], &unreach].concat(), &TIE, &context), decided);
    let unreach = [&[0x80, 15, 8, 0, 2, 1][..], &[32, 0x20, 1, 0xd, 0xb8][..]].concat();
    let (_, announced, ambiguous, _) = read(&[], &[&ORIGIN[..], &unreach].concat(), &TIE, &context);
    assert_eq!((announced.as_str(), ambiguous.contains(AfiSafi::IPV4_UNICAST)), ("0.0.0.0/0", true));
    // The reading that other messages have shown decides the remaining fields; a clear field takes precedence over it.
    let mut seen = context;
    seen.add_path_seen.note(AfiSafi::IPV4_UNICAST, AddPath::Plain);
    assert_eq!(read(&[], &ORIGIN, &TIE, &seen), text("", "198.51.100.0/25", v4, true));
    let with_ids = [0, 0, 0, 1, 8, 10];
    assert_eq!(read(&with_ids, &ORIGIN, &TIE, &seen), text("10.0.0.0/8", "0.0.0.0/0", none, false));
    // An attribute fault that turns the announcements into withdrawals leaves each field its reading.
    let faulty = [&ORIGIN[..], &[0x80, 4, 1, 0]].concat();
    assert_eq!(read(&CLEAR, &faulty, &TIE, &context), text("10.0.0.0/8, 198.51.100.0/25", "", none, true));
}
