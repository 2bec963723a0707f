//! Statistics Report (RFC 7854 section 4.8, RFC 8671 section 6.2, RFC 9069 section 5.5, RFC 9972).

use super::information::InformationList;
use super::peer::PerPeerHeader;
use crate::model::AfiSafi;
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// The top bit of a type in version 4: a Private Enterprise Number precedes the value (draft-ietf-grow-bmp-tlv-20
/// section 4.2).
const ENTERPRISE_BIT: u16 = 0x8000;

/// A Statistics Report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticsReport<'a> {
    /// The peer, or Loc-RIB instance, that the statistics are about.
    pub peer: PerPeerHeader,
    /// The statistics, in order.
    pub statistics: Vec<Statistic<'a>>,
    /// Version 4: the TLVs after the statistics.
    pub information: InformationList<'a>,
}

/// One statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistic<'a> {
    /// The type, by the IANA registry of BMP statistics types.
    pub type_code: u16,
    /// The decoded value.
    pub value: StatisticValue<'a>,
}

/// A value; its length determines its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatisticValue<'a> {
    /// A counter of 4 octets or a gauge of 8.
    Number(u64),
    /// A gauge for one address family, 11 octets.
    PerFamily(AfiSafi, u64),
    /// Anything else, as sent.
    Opaque(&'a [u8]),
}

impl<'a> StatisticsReport<'a> {
    /// Decodes the message. The count is not trusted: TLVs are read to the message's end.
    ///
    /// # Errors
    /// The header is short, or a TLV runs past the end of the message.
    pub fn decode(version: u8, reader: &mut Reader<'a>) -> Result<StatisticsReport<'a>, DecodeError> {
        let peer = PerPeerHeader::decode(reader)?;
        let (mut reader, mut behind) = match version {
            4 => container(*reader),
            _ => (*reader, Reader::new(&[], 0)),
        };
        reader.u32("stats count")?;
        let mut statistics = Vec::new();
        while !reader.is_empty() {
            let type_code = reader.u16("stat type")?;
            let length = usize::from(reader.u16("stat length")?);
            let mut value = reader.sub(length, "stat data")?;
            let is_enterprise = version == 4 && type_code & ENTERPRISE_BIT != 0;
            let value = if is_enterprise { StatisticValue::Opaque(value.rest()) } else { read_value(value)? };
            statistics.push(Statistic { type_code, value });
        }
        Ok(StatisticsReport { peer, statistics, information: InformationList::decode(&mut behind) })
    }
}

/// Returns the statistics of a version 4 message, and the octets after them. Since draft-ietf-grow-bmp-tlv-20 section
/// 5.4 the statistics are in a TLV of type 1; earlier revisions encode them as version 3 does.
///
/// Read as a count, that TLV's type and length would mean at least 65,536 statistics of 4 octets or more: longer
/// than any such TLV.
fn container(reader: Reader<'_>) -> (Reader<'_>, Reader<'_>) {
    let mut inner = reader;
    match (inner.u16("TLV type"), inner.u16("TLV length")) {
        (Ok(1), Ok(length)) => match inner.sub(length.into(), "TLV value") {
            Ok(value) => (value, inner),
            Err(_) => (reader, Reader::new(&[], 0)),
        },
        _ => (reader, Reader::new(&[], 0)),
    }
}

fn read_value(mut reader: Reader<'_>) -> Result<StatisticValue<'_>, DecodeError> {
    Ok(match reader.remaining() {
        4 => StatisticValue::Number(reader.u32("stat data")?.into()),
        8 => StatisticValue::Number(reader.u64("stat data")?),
        11 => {
            let family = AfiSafi { afi: reader.u16("stat AFI")?, safi: reader.u8("stat SAFI")? };
            StatisticValue::PerFamily(family, reader.u64("stat data")?)
        }
        _ => StatisticValue::Opaque(reader.rest()),
    })
}

/// Returns the statistic's name, derived from the IANA registry of BMP statistics types.
pub(crate) fn statistic_name(type_code: u16) -> Option<&'static str> {
    Some(match type_code {
        0 => "rejected_prefixes",
        1 => "duplicate_prefix_advertisements",
        2 => "duplicate_withdraws",
        3 => "invalidated_cluster_list_loop",
        4 => "invalidated_as_path_loop",
        5 => "invalidated_originator_id",
        6 => "invalidated_as_confed_loop",
        7 => "adj_rib_in_routes",
        8 => "loc_rib_routes",
        9 => "adj_rib_in_routes_per_family",
        10 => "loc_rib_routes_per_family",
        11 => "updates_treat_as_withdraw",
        12 => "prefixes_treat_as_withdraw",
        13 => "duplicate_updates",
        14 => "adj_rib_out_pre_policy_routes",
        15 => "adj_rib_out_post_policy_routes",
        16 => "adj_rib_out_pre_policy_routes_per_family",
        17 => "adj_rib_out_post_policy_routes_per_family",
        // RFC 9972; 24 and 25 are not assigned.
        18 => "adj_rib_in_pre_policy_routes",
        19 => "adj_rib_in_pre_policy_routes_per_family",
        20 => "adj_rib_in_post_policy_routes",
        21 => "adj_rib_in_post_policy_routes_per_family",
        22 => "adj_rib_in_rejected_by_policy_per_family",
        23 => "adj_rib_in_accepted_by_policy_per_family",
        26 => "routes_suppressed_by_damping_per_family",
        27 => "routes_stale_by_graceful_restart_per_family",
        28 => "routes_stale_by_long_lived_graceful_restart_per_family",
        29 => "adj_rib_in_room_below_threshold",
        30 => "adj_rib_in_room_below_threshold_per_family",
        31 => "room_below_license_threshold",
        32 => "room_below_license_threshold_per_family",
        33 => "adj_rib_in_rejected_as_path_length",
        34 => "adj_rib_in_rejected_as_path_length_per_family",
        35 => "adj_rib_in_origin_invalid_per_family",
        36 => "adj_rib_in_origin_valid_per_family",
        37 => "adj_rib_in_origin_not_found_per_family",
        38 => "adj_rib_out_rejected_by_policy_per_family",
        39 => "adj_rib_out_filtered_as_path_length",
        40 => "adj_rib_out_filtered_as_path_length_per_family",
        41 => "adj_rib_out_origin_invalid_per_family",
        42 => "adj_rib_out_origin_valid_per_family",
        43 => "adj_rib_out_origin_not_found_per_family",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(version: u8, body: &[u8]) -> Result<Vec<Statistic<'static>>, DecodeError> {
        let bytes = [&[0; 42][..], body].concat().leak();
        StatisticsReport::decode(version, &mut Reader::new(bytes, 6)).map(|report| report.statistics)
    }

    #[test]
    fn values_are_told_by_their_length() {
        let body = [
            &[0, 0, 0, 9][..],
            &[0, 0, 0, 4, 0, 0, 0, 5],
            &[0, 7, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0],
            &[0, 9, 0, 11, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 6],
            &[255, 251, 0, 1, 7],
        ]
        .concat();
        let want = [
            Statistic { type_code: 0, value: StatisticValue::Number(5) },
            Statistic { type_code: 7, value: StatisticValue::Number(1 << 32) },
            Statistic { type_code: 9, value: StatisticValue::PerFamily(AfiSafi::IPV6_UNICAST, 6) },
            Statistic { type_code: 65531, value: StatisticValue::Opaque(&[7]) },
        ];
        assert_eq!(report(3, &body).unwrap(), want);
        // In version 4 the last one is an enterprise type.
        let want_4 = want;
        assert_eq!(report(4, &body).unwrap(), want_4);
        let of_enterprise = [0, 0, 0, 1, 0x80, 7, 0, 8, 0, 0, 0x28, 0xaf, 0, 0, 0, 9];
        let opaque = Statistic { type_code: 0x8007, value: StatisticValue::Opaque(&[0, 0, 0x28, 0xaf, 0, 0, 0, 9]) };
        assert_eq!(report(4, &of_enterprise).unwrap(), [opaque]);
        let length = u8::try_from(body.len()).unwrap();
        assert_eq!(report(4, &[&[0, 1, 0, length][..], &body, &[0, 9, 0, 0]].concat()).unwrap(), want_4);
    }

    #[test]
    fn what_is_cut_short_is_named_with_its_place() {
        let check = |body: &[u8], offset, field| {
            let error = report(3, body).unwrap_err();
            assert_eq!((error.offset, error.field), (offset, field));
        };
        check(&[0, 0, 0], 48, "stats count");
        check(&[0, 0, 0, 1, 0], 52, "stat type");
        check(&[0, 0, 0, 1, 0, 7, 0], 54, "stat length");
        check(&[0, 0, 0, 1, 0, 7, 0, 8, 1], 56, "stat data");
    }
}
