//! Statistics Report (RFC 7854 section 4.8, RFC 8671 section 6.2, RFC 9069 section 5.5).

use super::PerPeerHeader;
use crate::model::AfiSafi;
use crate::wire::Error;
use crate::wire::reader::Reader;

/// A Statistics Report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticsReport<'a> {
    /// Whose.
    pub peer: PerPeerHeader,
    /// The statistics, in order.
    pub statistics: Vec<Statistic<'a>>,
}

/// One statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistic<'a> {
    /// The type.
    pub type_code: u16,
    /// The value.
    pub value: StatisticValue<'a>,
}

/// A value; its form is told by its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatisticValue<'a> {
    /// A counter of 4 or a gauge of 8 octets.
    Number(u64),
    /// A gauge for one family.
    PerFamily(AfiSafi, u64),
    /// Anything else, as sent.
    Opaque(&'a [u8]),
}

impl<'a> StatisticsReport<'a> {
    /// Reads the message. The count is not trusted: TLVs are read to the message's end.
    ///
    /// # Errors
    /// The header is short or a TLV runs over the end.
    pub fn decode(reader: &mut Reader<'a>) -> Result<StatisticsReport<'a>, Error> {
        let peer = PerPeerHeader::decode(reader)?;
        reader.u32("stats count")?;
        let mut statistics = Vec::new();
        while !reader.is_empty() {
            let type_code = reader.u16("stat type")?;
            let length = usize::from(reader.u16("stat length")?);
            let value = reader.sub(length, "stat data")?;
            statistics.push(Statistic { type_code, value: read_value(value)? });
        }
        Ok(StatisticsReport { peer, statistics })
    }
}

fn read_value(mut reader: Reader<'_>) -> Result<StatisticValue<'_>, Error> {
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

/// The statistic's name, after the IANA registry of BMP statistics types.
pub fn statistic_name(type_code: u16) -> Option<&'static str> {
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
        _ => return None,
    })
}
