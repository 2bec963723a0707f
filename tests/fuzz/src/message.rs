//! One BMP message of any octets: what is read is inside it, errors name a place inside it, text is text.

use rib_ingester::wire::bmp::{self, Frame, Information, Message, Mirrored, PerPeerHeader, StatisticValue};

/// The first octet chooses version and type; the rest is the body.
pub fn check(input: &[u8]) {
    let Some((control, body)) = input.split_first() else { return };
    let (version, type_code) = (3 + (control >> 7), control & 0x07);
    let bytes = framed(version, type_code, body);
    check_frame(&Frame { version, type_code, bytes: &bytes });
}

/// A BMP message around its body.
pub fn framed(version: u8, type_code: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + bmp::COMMON_HEADER_SIZE).unwrap().to_be_bytes();
    [&[version][..], &length, &[type_code], body].concat()
}

pub fn check_frame(frame: &Frame<'_>) {
    let header = bmp::decode_peer(frame);
    let message = match bmp::decode(frame) {
        Ok(message) => message,
        Err(error) => {
            assert!(error.offset <= frame.bytes.len() && !error.field.is_empty(), "{error:?}");
            return;
        }
    };
    if let Some(defect) = message.defect() {
        assert!(defect.offset <= frame.bytes.len() && !defect.field.is_empty(), "{defect:?}");
    }
    let is_of = |peer: &PerPeerHeader| assert_eq!(header.as_ref(), Some(peer));
    match &message {
        Message::RouteMonitoring(monitoring) => {
            is_of(&monitoring.peer);
            let at = monitoring.update_offset;
            assert_eq!(&frame.bytes[at..at + monitoring.update.len()], monitoring.update);
            monitoring.tlvs.iter().for_each(|tlv| assert_inside(frame, tlv.value));
            if let Some(name) = monitoring.table_name() {
                assert!(!name.as_str().contains('\0'));
            }
        }
        Message::StatisticsReport(report) => {
            is_of(&report.peer);
            for statistic in &report.statistics {
                if let StatisticValue::Opaque(value) = statistic.value {
                    assert_inside(frame, value);
                }
            }
        }
        Message::PeerDown(down) => {
            is_of(&down.peer);
            assert!(!down.to_string().is_empty() && !down.to_string().contains('\0'));
            check_information(frame, &down.information);
        }
        Message::PeerUp(up) => {
            is_of(&up.peer);
            check_information(frame, &up.information);
        }
        Message::Initiation(list) | Message::Termination(list) => check_information(frame, list),
        Message::RouteMirroring(mirroring) => {
            is_of(&mirroring.peer);
            for item in &mirroring.items {
                match item {
                    Mirrored::Bgp(value) | Mirrored::Unknown { value, .. } => assert_inside(frame, value),
                    Mirrored::Information(_) => {}
                }
            }
        }
        Message::Unknown { type_code } => assert_eq!(*type_code, frame.type_code),
    }
}

fn check_information(frame: &Frame<'_>, list: &[Information<'_>]) {
    for tlv in list {
        assert_inside(frame, tlv.value);
        for text in [tlv.key(), tlv.note()] {
            assert!(!text.as_str().contains('\0'));
            assert!(text.was_replaced() || text.was_cut() || text.as_str().as_bytes() == tlv.value);
        }
    }
}

fn assert_inside(frame: &Frame<'_>, value: &[u8]) {
    let (all, part) = (frame.bytes.as_ptr_range(), value.as_ptr_range());
    assert!(all.start <= part.start && part.end <= all.end, "a value is inside its message");
}
