//! Contradictions within a router's messages or with the standards: each kind has its own counter and is logged once
//! per session.

/// One kind of deviation from the standards or from the router's own announcements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anomaly {
    /// Add-Path was announced, but the NLRI carry no path identifiers.
    AddPathMissing,
    /// The NLRI carry path identifiers that were not announced.
    AddPathUnannounced,
    /// NLRI that can be read with and without path identifiers, where no earlier message of the session decides.
    AddPathAmbiguous,
    /// NLRI had been misread, with path identifiers or without.
    AddPathReread,
    /// The AS_PATH has another AS number width than the OPENs and the per-peer header indicate.
    AsWidthOther,
    /// NLRI carry several labels, but the Multiple Labels Capability is not in both OPENs.
    LabelsUnannounced,
    /// Bytes follow the BGP message inside a Route Monitoring message.
    TrailingBytes,
    /// Malformed path attributes were handled as RFC 7606 requires.
    AttributeErrors,
    /// NLRI of a stored family that are malformed are discarded.
    MalformedNlri,
    /// A message was rejected; its bytes are kept.
    Rejected,
    /// The last TLV of an Initiation, Peer Up, Peer Down or Termination extends past its end.
    TlvCutShort,
    /// A capability or optional parameter of an OPEN extends past its end.
    CapabilityCutShort,
    /// A BMP message type that the collector does not know.
    UnknownMessage,
    /// Loc-RIB routes, which `STORED_RIBS` excludes.
    LocRibNotStored,
    /// Pre-policy Adj-RIB-In routes, which `STORED_RIBS` excludes.
    AdjRibInPreNotStored,
    /// Post-policy Adj-RIB-In routes, which `STORED_RIBS` excludes.
    AdjRibInPostNotStored,
    /// Pre-policy Adj-RIB-Out routes, which `STORED_RIBS` excludes.
    AdjRibOutPreNotStored,
    /// Post-policy Adj-RIB-Out routes, which `STORED_RIBS` excludes.
    AdjRibOutPostNotStored,
    /// Families other than unicast, labeled unicast and VPN of IPv4 and IPv6.
    FamilyNotStored,
    /// Routes of tables beyond the limit of a session.
    TableNotStored,
    /// Loc-RIB routes without an earlier Loc-RIB Peer Up.
    LocRibWithoutPeerUp,
    /// The session did not begin with an Initiation.
    NoInitiation,
    /// Text that is not UTF-8 or contains NUL.
    TextReplaced,
    /// Text that is longer than the stored length.
    TextCut,
    /// A Peer Up or per-peer header names another router identifier than the session's.
    OtherIdentifier,
    /// The global Loc-RIB's per-peer header or an OPEN has identifier 0.0.0.0.
    ZeroIdentifier,
    /// Another Peer Up for a peer that is up.
    RepeatedPeerUp,
    /// A Loc-RIB with the F flag set.
    FilteredLocRib,
    /// An OPEN of a Peer Up that is only a header, 19 octets.
    DummyOpen,
    /// A dump that became idle without an End-of-RIB.
    EndOfRibMissing,
    /// Another End-of-RIB of a table and family.
    EndOfRibRepeated,
    /// TLVs of a version 4 message are numbered inconsistently.
    TlvNumbering,
    /// A TLV of a version 4 message that the collector does not know.
    TlvUnknown,
    /// Sequence Numbers of version 4 messages are missing or repeated.
    SequenceHole,
    /// A ROUTE-REFRESH in place of an UPDATE, including the markers of Enhanced Route Refresh.
    RouteRefresh,
}

impl Anomaly {
    /// Every kind.
    pub const ALL: [Anomaly; 35] = [
        Anomaly::AddPathMissing,
        Anomaly::AddPathUnannounced,
        Anomaly::AddPathAmbiguous,
        Anomaly::AddPathReread,
        Anomaly::AsWidthOther,
        Anomaly::LabelsUnannounced,
        Anomaly::TrailingBytes,
        Anomaly::AttributeErrors,
        Anomaly::MalformedNlri,
        Anomaly::Rejected,
        Anomaly::TlvCutShort,
        Anomaly::CapabilityCutShort,
        Anomaly::UnknownMessage,
        Anomaly::LocRibNotStored,
        Anomaly::AdjRibInPreNotStored,
        Anomaly::AdjRibInPostNotStored,
        Anomaly::AdjRibOutPreNotStored,
        Anomaly::AdjRibOutPostNotStored,
        Anomaly::FamilyNotStored,
        Anomaly::TableNotStored,
        Anomaly::LocRibWithoutPeerUp,
        Anomaly::NoInitiation,
        Anomaly::TextReplaced,
        Anomaly::TextCut,
        Anomaly::OtherIdentifier,
        Anomaly::ZeroIdentifier,
        Anomaly::RepeatedPeerUp,
        Anomaly::FilteredLocRib,
        Anomaly::DummyOpen,
        Anomaly::EndOfRibMissing,
        Anomaly::EndOfRibRepeated,
        Anomaly::TlvNumbering,
        Anomaly::TlvUnknown,
        Anomaly::SequenceHole,
        Anomaly::RouteRefresh,
    ];

    /// Returns its label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Anomaly::AddPathMissing => "add_path_missing",
            Anomaly::AddPathUnannounced => "add_path_unannounced",
            Anomaly::AddPathAmbiguous => "add_path_ambiguous",
            Anomaly::AddPathReread => "add_path_reread",
            Anomaly::AsWidthOther => "as_width_other",
            Anomaly::LabelsUnannounced => "labels_unannounced",
            Anomaly::TrailingBytes => "trailing_bytes",
            Anomaly::AttributeErrors => "attribute_errors",
            Anomaly::MalformedNlri => "malformed_nlri",
            Anomaly::Rejected => "rejected",
            Anomaly::TlvCutShort => "tlv_cut_short",
            Anomaly::CapabilityCutShort => "capability_cut_short",
            Anomaly::UnknownMessage => "unknown_message",
            Anomaly::LocRibNotStored => "loc_rib_not_stored",
            Anomaly::AdjRibInPreNotStored => "adj_rib_in_pre_not_stored",
            Anomaly::AdjRibInPostNotStored => "adj_rib_in_post_not_stored",
            Anomaly::AdjRibOutPreNotStored => "adj_rib_out_pre_not_stored",
            Anomaly::AdjRibOutPostNotStored => "adj_rib_out_post_not_stored",
            Anomaly::FamilyNotStored => "family_not_stored",
            Anomaly::TableNotStored => "table_not_stored",
            Anomaly::LocRibWithoutPeerUp => "loc_rib_without_peer_up",
            Anomaly::NoInitiation => "no_initiation",
            Anomaly::TextReplaced => "text_replaced",
            Anomaly::TextCut => "text_cut",
            Anomaly::OtherIdentifier => "other_identifier",
            Anomaly::ZeroIdentifier => "zero_identifier",
            Anomaly::RepeatedPeerUp => "repeated_peer_up",
            Anomaly::FilteredLocRib => "filtered_loc_rib",
            Anomaly::DummyOpen => "dummy_open",
            Anomaly::EndOfRibMissing => "end_of_rib_missing",
            Anomaly::EndOfRibRepeated => "end_of_rib_repeated",
            Anomaly::TlvNumbering => "tlv_numbering",
            Anomaly::TlvUnknown => "tlv_unknown",
            Anomaly::SequenceHole => "sequence_hole",
            Anomaly::RouteRefresh => "route_refresh",
        }
    }

    /// Returns its text in the log.
    pub fn meaning(self) -> &'static str {
        match self {
            Anomaly::AddPathMissing => "announced Add-Path, sends no path identifiers",
            Anomaly::AddPathUnannounced => "sends path identifiers it did not announce",
            Anomaly::AddPathAmbiguous => {
                "NLRI valid both with and without path identifiers, kept until another message decides"
            }
            Anomaly::AddPathReread => "NLRI decoded the wrong way (with or without path identifiers), decoded again",
            Anomaly::AsWidthOther => "size of AS numbers in AS_PATH contradicts the OPENs and the A flag",
            Anomaly::LabelsUnannounced => "sends several labels for a prefix without the Multiple Labels Capability",
            Anomaly::TrailingBytes => "bytes after the BGP message ignored",
            Anomaly::AttributeErrors => "malformed path attributes handled by RFC 7606",
            Anomaly::MalformedNlri => "malformed NLRI discarded by RFC 7606",
            Anomaly::Rejected => "messages rejected, bytes kept",
            Anomaly::TlvCutShort => "TLVs that run past the end ignored",
            Anomaly::CapabilityCutShort => "capabilities that run past the end of an OPEN ignored",
            Anomaly::UnknownMessage => "unknown BMP message types skipped",
            Anomaly::LocRibNotStored => "peer type not stored: Loc-RIB routes are counted only",
            Anomaly::AdjRibInPreNotStored => "peer type not stored: Adj-RIB-In routes before policy are counted only",
            Anomaly::AdjRibInPostNotStored => "peer type not stored: Adj-RIB-In routes after policy are counted only",
            Anomaly::AdjRibOutPreNotStored => "peer type not stored: Adj-RIB-Out routes before policy are counted only",
            Anomaly::AdjRibOutPostNotStored => "peer type not stored: Adj-RIB-Out routes after policy are counted only",
            Anomaly::FamilyNotStored => {
                "families other than unicast, labeled unicast and VPN of IPv4 and IPv6, and those in \
                 RIB_INGESTER_STORED_FAMILIES, are counted only"
            }
            Anomaly::TableNotStored => "routes of tables beyond the limit of a session are counted only",
            Anomaly::LocRibWithoutPeerUp => "Loc-RIB routes without a Loc-RIB Peer Up",
            Anomaly::NoInitiation => "no Initiation before the first other message",
            Anomaly::TextReplaced => "text that is not UTF-8 or contains NUL replaced",
            Anomaly::TextCut => "text that is too long cut: a name to 255 characters, other text to 1,024 octets",
            Anomaly::OtherIdentifier => "router identifier changed within the session, keeping the first",
            Anomaly::ZeroIdentifier => "BGP identifier 0.0.0.0 in a Peer Up",
            Anomaly::RepeatedPeerUp => "further Peer Up for a peer that is up, capabilities merged",
            Anomaly::FilteredLocRib => "Loc-RIB is filtered (F flag): rows are not the whole table",
            Anomaly::DummyOpen => "OPEN with a header only: no identifier, AS or capabilities",
            Anomaly::EndOfRibMissing => "dump without an End-of-RIB, considered complete after a quiet time",
            Anomaly::EndOfRibRepeated => "further End-of-RIB of a table, ignored",
            Anomaly::TlvNumbering => "TLVs of BMP version 4 whose numbering contradicts itself ignored",
            Anomaly::TlvUnknown => "unknown TLVs of BMP version 4 ignored",
            Anomaly::SequenceHole => "gap in the Sequence Numbers of BMP version 4: messages are missing",
            Anomaly::RouteRefresh => "ROUTE-REFRESH in Route Monitoring, which changes no route",
        }
    }
}

/// The counts of one session, by kind.
#[derive(Debug)]
pub(crate) struct Anomalies {
    counts: [u64; Anomaly::ALL.len()],
}

impl Default for Anomalies {
    fn default() -> Anomalies {
        Anomalies { counts: [0; Anomaly::ALL.len()] }
    }
}

impl Anomalies {
    /// Counts one anomaly; returns true if it is the session's first of its kind.
    pub fn count(&mut self, anomaly: Anomaly) -> bool {
        let count = &mut self.counts[anomaly as usize];
        *count += 1;
        *count == 1
    }

    /// Returns how many times a kind was met.
    pub fn of(&self, anomaly: Anomaly) -> u64 {
        self.counts[anomaly as usize]
    }

    /// Returns all kinds that were met, in words, for the session's last log line.
    pub fn summary(&self) -> Option<String> {
        let met: Vec<String> = Anomaly::ALL
            .into_iter()
            .filter(|anomaly| self.of(*anomaly) > 0)
            .map(|anomaly| format!("{} times {}", self.of(anomaly), anomaly.meaning()))
            .collect();
        (!met.is_empty()).then(|| met.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_place() {
        let mut anomalies = Anomalies::default();
        for (i, anomaly) in Anomaly::ALL.into_iter().enumerate() {
            assert_eq!(anomaly as usize, i);
            assert!(anomalies.count(anomaly));
        }
        assert!(!anomalies.count(Anomaly::Rejected));
        assert_eq!((anomalies.of(Anomaly::Rejected), anomalies.of(Anomaly::TrailingBytes)), (2, 1));
    }
}
