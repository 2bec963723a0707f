//! Anomalies in a session's messages: each is counted, and each kind is logged once per session.

use log::Level;

use super::anomaly::Anomaly;
use super::messages::Session;
use crate::model::Text;
use crate::wire::bgp::update::Deviations;
use crate::wire::bmp::{Frame, Information, Message, Numbering, Revision, RouteMonitoring};

impl Session {
    pub(super) fn deviations(&mut self, deviations: Deviations) {
        self.note_anomalies([
            (deviations.add_path_missing, Anomaly::AddPathMissing),
            (deviations.add_path_unannounced, Anomaly::AddPathUnannounced),
            (deviations.as_width_other, Anomaly::AsWidthOther),
            (deviations.labels_unannounced, Anomaly::LabelsUnannounced),
            (deviations.trailing_bytes, Anomaly::TrailingBytes),
        ]);
    }

    /// Counts texts of a message that had to be changed to be stored; those of type `key` are part of a key.
    pub(super) fn odd_information(&mut self, information: &[Information<'_>], key: u16) {
        let text = |tlv: &Information<'_>| if tlv.type_code == key { tlv.key() } else { tlv.note() };
        self.odd_texts(&information.iter().map(text).collect::<Vec<_>>());
    }

    /// Counts texts that had to be changed to be stored.
    pub(super) fn odd_texts(&mut self, texts: &[Text]) {
        self.note_anomalies([
            (texts.iter().any(Text::was_replaced), Anomaly::TextReplaced),
            (texts.iter().any(Text::was_cut), Anomaly::TextCut),
        ]);
    }

    /// Counts the anomalies whose flag is set.
    pub(super) fn note_anomalies<const N: usize>(&mut self, kinds: [(bool, Anomaly); N]) {
        kinds.into_iter().filter(|(met, _)| *met).for_each(|(_, anomaly)| self.note_anomaly(anomaly));
    }

    /// Counts one anomaly; returns true if it is the session's first of its kind.
    pub(super) fn count(&mut self, anomaly: Anomaly) -> bool {
        if let Some(identified) = &self.identified {
            identified.tables.outbox.count_anomaly(anomaly);
        }
        self.anomalies.count(anomaly)
    }

    /// Counts an anomaly `times` times.
    pub(super) fn odd_times(&mut self, anomaly: Anomaly, times: usize) {
        (0..times).for_each(|_| self.note_anomaly(anomaly));
    }

    pub(super) fn note_anomaly(&mut self, anomaly: Anomaly) {
        if !self.count(anomaly) {
            return;
        }
        // Routers that work correctly send such NLRI too, so no action is needed.
        let level = if anomaly == Anomaly::AddPathAmbiguous { Level::Debug } else { Level::Warn };
        let subject = self.subject();
        self.host.say(level, format_args!("{subject}: {}", anomaly.meaning()));
    }

    /// Checks the Sequence Number of a version 4 message.
    pub(super) fn count_version_4(&mut self, frame: &Frame<'_>, message: &Message<'_>) {
        if frame.version != 4 {
            return;
        }
        let is_hole = self.version_4.is_hole(message.sequence_number());
        // Replayed input begins with messages from earlier in the session, so numbers are missing by design.
        self.note_anomalies([(is_hole && self.resumed.is_none(), Anomaly::SequenceHole)]);
    }

    /// Logs how the TLVs of a Route Monitoring message are numbered, and counts messages with contradictory numbering
    /// or unknown TLVs.
    pub(super) fn note_numbering(&mut self, monitoring: &RouteMonitoring<'_>) {
        if monitoring.tlvs.is_empty() {
            return;
        }
        let is_contradictory = monitoring.numbering == Numbering::Contradictory;
        self.note_anomalies([
            (is_contradictory, Anomaly::TlvNumbering),
            (!is_contradictory && monitoring.has_unknown(), Anomaly::TlvUnknown),
        ]);
        if let Numbering::Told(revision, by) = monitoring.numbering
            && self.version_4.is_news(revision)
        {
            let number = match revision {
                Revision::UpTo19 => "19 or before",
                Revision::Of20 => "20",
                Revision::Of21 => "21",
            };
            let subject = self.subject();
            let text = format_args!(
                "{subject}: TLVs of BMP version 4 are numbered as in draft-ietf-grow-bmp-tlv revision {number}: {by}"
            );
            self.host.say(Level::Info, text);
        }
    }
}
