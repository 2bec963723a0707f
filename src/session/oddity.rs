//! Where a router contradicts itself or the standard: each kind counted under its own name, logged once a session.

/// One kind of router lie or leftover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// Add-Path was announced, the NLRI carry no path identifiers.
    AddPathMissing,
    /// The NLRI carry path identifiers that were not announced.
    AddPathUnannounced,
    /// NLRI can be read with and without path identifiers, and nothing that the session has shown decides.
    AddPathAmbiguous,
    /// NLRI had been read the wrong way, with path identifiers or without.
    AddPathReread,
    /// The AS_PATH has another width than the OPENs and the per-peer header say.
    AsWidthOther,
    /// NLRI carry several labels, and the Multiple Labels Capability is not in both OPENs.
    LabelsUnannounced,
    /// Bytes follow the BGP message inside a Route Monitoring message.
    TrailingBytes,
    /// An RFC 7606 action was taken.
    AttributeErrors,
    /// A message was rejected; its bytes are kept.
    Rejected,
    /// The last TLV of an Initiation, Peer Up, Peer Down or Termination runs over its end.
    TlvCutShort,
    /// A capability or optional parameter of an OPEN runs over its end.
    CapabilityCutShort,
    /// A BMP message type that we do not know.
    UnknownMessage,
    /// Loc-RIB routes, which `STORE` leaves out.
    LocRibNotStored,
    /// Adj-RIB-In routes before policy, which it leaves out.
    AdjRibInPreNotStored,
    /// Adj-RIB-In routes after policy, which it leaves out.
    AdjRibInPostNotStored,
    /// Adj-RIB-Out routes before policy, which it leaves out.
    AdjRibOutPreNotStored,
    /// Adj-RIB-Out routes after policy, which it leaves out.
    AdjRibOutPostNotStored,
    /// Families other than IPv4 and IPv6 unicast.
    FamilyNotStored,
    /// Loc-RIB routes without a Loc-RIB Peer Up before them.
    LocRibWithoutPeerUp,
    /// No Initiation came first.
    NoInitiation,
    /// Text that is not UTF-8 or holds NUL.
    TextReplaced,
    /// Text that is longer than what is stored of it.
    TextCut,
    /// A Peer Up or per-peer header names another router identifier than the settled one.
    OtherIdentifier,
    /// The global Loc-RIB's per-peer header or an OPEN has identifier 0.0.0.0.
    ZeroIdentifier,
    /// A further Peer Up for a peer that is up.
    RepeatedPeerUp,
    /// A Loc-RIB with the F flag set.
    FilteredLocRib,
    /// An OPEN of a Peer Up that is a header alone, 19 octets.
    DummyOpen,
    /// A dump that fell silent without an End-of-RIB.
    EndOfRibMissing,
    /// A further End-of-RIB of a table and family.
    EndOfRibRepeated,
    /// TLVs of a version 4 message contradict each other in how they are numbered.
    TlvNumbering,
    /// A TLV of a version 4 message that we do not know.
    TlvUnknown,
    /// Sequence Numbers of version 4 messages are missing, or come again.
    SequenceHole,
    /// A ROUTE-REFRESH where an UPDATE belongs, the markers of Enhanced Route Refresh among them.
    RouteRefresh,
}

impl Oddity {
    /// Every kind.
    pub const ALL: [Oddity; 33] = [
        Oddity::AddPathMissing,
        Oddity::AddPathUnannounced,
        Oddity::AddPathAmbiguous,
        Oddity::AddPathReread,
        Oddity::AsWidthOther,
        Oddity::LabelsUnannounced,
        Oddity::TrailingBytes,
        Oddity::AttributeErrors,
        Oddity::Rejected,
        Oddity::TlvCutShort,
        Oddity::CapabilityCutShort,
        Oddity::UnknownMessage,
        Oddity::LocRibNotStored,
        Oddity::AdjRibInPreNotStored,
        Oddity::AdjRibInPostNotStored,
        Oddity::AdjRibOutPreNotStored,
        Oddity::AdjRibOutPostNotStored,
        Oddity::FamilyNotStored,
        Oddity::LocRibWithoutPeerUp,
        Oddity::NoInitiation,
        Oddity::TextReplaced,
        Oddity::TextCut,
        Oddity::OtherIdentifier,
        Oddity::ZeroIdentifier,
        Oddity::RepeatedPeerUp,
        Oddity::FilteredLocRib,
        Oddity::DummyOpen,
        Oddity::EndOfRibMissing,
        Oddity::EndOfRibRepeated,
        Oddity::TlvNumbering,
        Oddity::TlvUnknown,
        Oddity::SequenceHole,
        Oddity::RouteRefresh,
    ];

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Oddity::AddPathMissing => "add_path_missing",
            Oddity::AddPathUnannounced => "add_path_unannounced",
            Oddity::AddPathAmbiguous => "add_path_ambiguous",
            Oddity::AddPathReread => "add_path_reread",
            Oddity::AsWidthOther => "as_width_other",
            Oddity::LabelsUnannounced => "labels_unannounced",
            Oddity::TrailingBytes => "trailing_bytes",
            Oddity::AttributeErrors => "attribute_errors",
            Oddity::Rejected => "rejected",
            Oddity::TlvCutShort => "tlv_cut_short",
            Oddity::CapabilityCutShort => "capability_cut_short",
            Oddity::UnknownMessage => "unknown_message",
            Oddity::LocRibNotStored => "loc_rib_not_stored",
            Oddity::AdjRibInPreNotStored => "adj_rib_in_pre_not_stored",
            Oddity::AdjRibInPostNotStored => "adj_rib_in_post_not_stored",
            Oddity::AdjRibOutPreNotStored => "adj_rib_out_pre_not_stored",
            Oddity::AdjRibOutPostNotStored => "adj_rib_out_post_not_stored",
            Oddity::FamilyNotStored => "family_not_stored",
            Oddity::LocRibWithoutPeerUp => "loc_rib_without_peer_up",
            Oddity::NoInitiation => "no_initiation",
            Oddity::TextReplaced => "text_replaced",
            Oddity::TextCut => "text_cut",
            Oddity::OtherIdentifier => "other_identifier",
            Oddity::ZeroIdentifier => "zero_identifier",
            Oddity::RepeatedPeerUp => "repeated_peer_up",
            Oddity::FilteredLocRib => "filtered_loc_rib",
            Oddity::DummyOpen => "dummy_open",
            Oddity::EndOfRibMissing => "end_of_rib_missing",
            Oddity::EndOfRibRepeated => "end_of_rib_repeated",
            Oddity::TlvNumbering => "tlv_numbering",
            Oddity::TlvUnknown => "tlv_unknown",
            Oddity::SequenceHole => "sequence_hole",
            Oddity::RouteRefresh => "route_refresh",
        }
    }

    /// What the log says of it.
    pub fn meaning(self) -> &'static str {
        match self {
            Oddity::AddPathMissing => "announced Add-Path, sends no path identifiers",
            Oddity::AddPathUnannounced => "sends path identifiers it did not announce",
            Oddity::AddPathAmbiguous => "NLRI that fit with and without path identifiers, kept until a message decides",
            Oddity::AddPathReread => "NLRI that were read with path identifiers, or without, by mistake: read again",
            Oddity::AsWidthOther => "AS_PATH is not as wide as the OPENs and the A flag say",
            Oddity::LabelsUnannounced => "sends several labels for a prefix without the Multiple Labels Capability",
            Oddity::TrailingBytes => "bytes behind the BGP message ignored",
            Oddity::AttributeErrors => "malformed path attributes handled by RFC 7606",
            Oddity::Rejected => "messages rejected, bytes kept",
            Oddity::TlvCutShort => "TLVs that run over their end ignored",
            Oddity::CapabilityCutShort => "capabilities of an OPEN that run over their end ignored",
            Oddity::UnknownMessage => "unknown BMP message types skipped",
            Oddity::LocRibNotStored => "peer type not stored: Loc-RIB routes are counted only",
            Oddity::AdjRibInPreNotStored => "peer type not stored: Adj-RIB-In routes before policy are counted only",
            Oddity::AdjRibInPostNotStored => "peer type not stored: Adj-RIB-In routes after policy are counted only",
            Oddity::AdjRibOutPreNotStored => "peer type not stored: Adj-RIB-Out routes before policy are counted only",
            Oddity::AdjRibOutPostNotStored => "peer type not stored: Adj-RIB-Out routes after policy are counted only",
            Oddity::FamilyNotStored => {
                "families other than unicast, labelled unicast and VPN of IPv4 and IPv6 are counted only"
            }
            Oddity::LocRibWithoutPeerUp => "Loc-RIB routes without a Loc-RIB Peer Up",
            Oddity::NoInitiation => "no Initiation before the first other message",
            Oddity::TextReplaced => "text that is not UTF-8 or holds NUL replaced",
            Oddity::TextCut => "text that is too long cut: a name to 255 characters, other text to 1,024 octets",
            Oddity::OtherIdentifier => "names another router identifier than before, keeping the first",
            Oddity::ZeroIdentifier => "BGP identifier 0.0.0.0 in a Peer Up",
            Oddity::RepeatedPeerUp => "further Peer Up for a peer that is up, capabilities merged",
            Oddity::FilteredLocRib => "Loc-RIB is filtered (F flag): rows are not the whole table",
            Oddity::DummyOpen => "an OPEN that is a header alone: no identifier, AS or capabilities in it",
            Oddity::EndOfRibMissing => "dump without an End-of-RIB, taken as complete when it fell quiet",
            Oddity::EndOfRibRepeated => "further End-of-RIB of a table, ignored",
            Oddity::TlvNumbering => "TLVs of BMP version 4 whose numbering contradicts itself ignored",
            Oddity::TlvUnknown => "unknown TLVs of BMP version 4 ignored",
            Oddity::SequenceHole => "Sequence Numbers of BMP version 4 with a hole: messages are missing",
            Oddity::RouteRefresh => "ROUTE-REFRESH in Route Monitoring, which changes no route",
        }
    }
}

/// The counts of one session.
#[derive(Debug)]
pub struct Oddities {
    counts: [u64; Oddity::ALL.len()],
}

impl Default for Oddities {
    fn default() -> Oddities {
        Oddities { counts: [0; Oddity::ALL.len()] }
    }
}

impl Oddities {
    /// Counts one; whether it is the session's first of its kind.
    pub fn count(&mut self, oddity: Oddity) -> bool {
        let count = &mut self.counts[oddity as usize];
        *count += 1;
        *count == 1
    }

    /// How often a kind was met.
    pub fn of(&self, oddity: Oddity) -> u64 {
        self.counts[oddity as usize]
    }

    /// All that were met, in words, for the session's last line.
    pub fn summary(&self) -> Option<String> {
        let met: Vec<String> = Oddity::ALL
            .into_iter()
            .filter(|oddity| self.of(*oddity) > 0)
            .map(|oddity| format!("{} times {}", self.of(oddity), oddity.meaning()))
            .collect();
        (!met.is_empty()).then(|| met.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_place() {
        let mut oddities = Oddities::default();
        for (i, oddity) in Oddity::ALL.into_iter().enumerate() {
            assert_eq!(oddity as usize, i);
            assert!(oddities.count(oddity));
        }
        assert!(!oddities.count(Oddity::Rejected));
        assert_eq!((oddities.of(Oddity::Rejected), oddities.of(Oddity::TrailingBytes)), (2, 1));
    }
}
