//! Contradictions within a router's messages or with the standards: each kind has its own counter and is logged once
//! per session.

macro_rules! anomalies {
    ($($(#[$meta:meta])* $kind:ident = $label:literal, $meaning:literal;)*) => {
        /// One kind of deviation from the standards or from the router's own announcements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Anomaly {
            $($(#[$meta])* $kind,)*
        }

        impl Anomaly {
            /// Every kind.
            pub const ALL: [Anomaly; [$($label),*].len()] = [$(Anomaly::$kind),*];

            /// Returns its label in metrics.
            pub fn label(self) -> &'static str {
                match self {
                    $(Anomaly::$kind => $label,)*
                }
            }

            /// Returns its text in the log.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Anomaly::$kind => $meaning,)*
                }
            }
        }
    };
}

// Each kind with its label in metrics and its text in the log, in the order of the last line of a session.
anomalies! {
    /// Add-Path was announced, but the NLRI carry no path identifiers.
    AddPathMissing = "add_path_missing", "announced Add-Path, sends no path identifiers";
    /// The NLRI carry path identifiers that were not announced.
    AddPathUnannounced = "add_path_unannounced", "sends path identifiers it did not announce";
    /// NLRI that can be read with and without path identifiers, where no earlier message of the session decides.
    AddPathAmbiguous = "add_path_ambiguous",
        "NLRI valid both with and without path identifiers, kept until another message decides";
    /// NLRI had been misread, with path identifiers or without.
    AddPathReread = "add_path_reread",
        "NLRI decoded the wrong way (with or without path identifiers), decoded again";
    /// The AS_PATH has another AS number width than the OPENs and the per-peer header indicate.
    AsWidthOther = "as_width_other", "size of AS numbers in AS_PATH contradicts the OPENs and the A flag";
    /// NLRI carry several labels, but the Multiple Labels Capability is not in both OPENs.
    LabelsUnannounced = "labels_unannounced",
        "sends several labels for a prefix without the Multiple Labels Capability";
    /// Bytes follow the BGP message inside a Route Monitoring message.
    TrailingBytes = "trailing_bytes", "bytes after the BGP message ignored";
    /// Malformed path attributes were handled as RFC 7606 requires.
    AttributeErrors = "attribute_errors", "malformed path attributes handled by RFC 7606";
    /// NLRI of a stored family that are malformed are discarded.
    MalformedNlri = "malformed_nlri", "malformed NLRI discarded by RFC 7606";
    /// A message was rejected; its bytes are kept.
    Rejected = "rejected", "messages rejected, bytes kept";
    /// The last TLV of an Initiation, Peer Up, Peer Down or Termination extends past its end.
    TlvCutShort = "tlv_cut_short", "TLVs that run past the end ignored";
    /// A capability or optional parameter of an OPEN extends past its end.
    CapabilityCutShort = "capability_cut_short", "capabilities that run past the end of an OPEN ignored";
    /// A BMP message type that the collector does not know.
    UnknownMessage = "unknown_message", "unknown BMP message types skipped";
    /// Loc-RIB routes, which `STORED_RIBS` excludes.
    LocRibNotStored = "loc_rib_not_stored", "peer type not stored: Loc-RIB routes are counted only";
    /// Pre-policy Adj-RIB-In routes, which `STORED_RIBS` excludes.
    AdjRibInPreNotStored = "adj_rib_in_pre_not_stored",
        "peer type not stored: Adj-RIB-In routes before policy are counted only";
    /// Post-policy Adj-RIB-In routes, which `STORED_RIBS` excludes.
    AdjRibInPostNotStored = "adj_rib_in_post_not_stored",
        "peer type not stored: Adj-RIB-In routes after policy are counted only";
    /// Pre-policy Adj-RIB-Out routes, which `STORED_RIBS` excludes.
    AdjRibOutPreNotStored = "adj_rib_out_pre_not_stored",
        "peer type not stored: Adj-RIB-Out routes before policy are counted only";
    /// Post-policy Adj-RIB-Out routes, which `STORED_RIBS` excludes.
    AdjRibOutPostNotStored = "adj_rib_out_post_not_stored",
        "peer type not stored: Adj-RIB-Out routes after policy are counted only";
    /// Families other than unicast, labeled unicast and VPN of IPv4 and IPv6.
    FamilyNotStored = "family_not_stored",
        "families other than unicast, labeled unicast and VPN of IPv4 and IPv6, and those in \
         RIB_INGESTER_STORED_FAMILIES, are counted only";
    /// Routes of tables beyond the limit of a session.
    TableNotStored = "table_not_stored", "routes of tables beyond the limit of a session are counted only";
    /// Loc-RIB routes without an earlier Loc-RIB Peer Up.
    LocRibWithoutPeerUp = "loc_rib_without_peer_up", "Loc-RIB routes without a Loc-RIB Peer Up";
    /// Routes of a peer that is not up, after input that is lost.
    PeerUpMissing = "peer_up_missing",
        "routes of peers whose Peer Up may be among lost messages are counted only";
    /// The session did not begin with an Initiation.
    NoInitiation = "no_initiation", "no Initiation before the first other message";
    /// Text that is not UTF-8 or contains NUL.
    TextReplaced = "text_replaced", "text that is not UTF-8 or contains NUL replaced";
    /// Text that is longer than the stored length.
    TextCut = "text_cut", "text that is too long cut: a name to 255 characters, other text to 1,024 octets";
    /// A Peer Up or per-peer header names another router identifier than the session's.
    OtherIdentifier = "other_identifier", "router identifier changed within the session, keeping the first";
    /// The global Loc-RIB's per-peer header or an OPEN has identifier 0.0.0.0.
    ZeroIdentifier = "zero_identifier", "BGP identifier 0.0.0.0 in a Peer Up";
    /// Another Peer Up for a peer that is up.
    RepeatedPeerUp = "repeated_peer_up", "further Peer Up for a peer that is up, capabilities merged";
    /// A Loc-RIB with the F flag set.
    FilteredLocRib = "filtered_loc_rib", "Loc-RIB is filtered (F flag): rows are not the whole table";
    /// An OPEN of a Peer Up that is only a header, 19 octets.
    DummyOpen = "dummy_open", "OPEN with a header only: no identifier, AS or capabilities";
    /// A dump that became idle without an End-of-RIB.
    EndOfRibMissing = "end_of_rib_missing",
        "dump without an End-of-RIB, considered complete after a quiet time";
    /// Another End-of-RIB of a table and family.
    EndOfRibRepeated = "end_of_rib_repeated", "further End-of-RIB of a table, ignored";
    /// TLVs of a version 4 message are numbered inconsistently.
    TlvNumbering = "tlv_numbering", "TLVs of BMP version 4 whose numbering contradicts itself ignored";
    /// A TLV of a version 4 message that the collector does not know.
    TlvUnknown = "tlv_unknown", "unknown TLVs of BMP version 4 ignored";
    /// Sequence Numbers of version 4 messages are missing or repeated.
    SequenceHole = "sequence_hole", "gap in the Sequence Numbers of BMP version 4: messages are missing";
    /// A ROUTE-REFRESH in place of an UPDATE, including the markers of Enhanced Route Refresh.
    RouteRefresh = "route_refresh", "ROUTE-REFRESH in Route Monitoring, which changes no route";
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
