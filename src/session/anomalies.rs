//! Where a session's messages are not as they should be: counted, and logged once a session for each kind.

use log::{Level, log};

use super::anomaly::Anomaly;
use super::monitor::Session;
use crate::model::Text;
use crate::wire::bgp::update::Deviations;
use crate::wire::bmp::Information;

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

    /// Counts what has to be done to the texts of a message to store them; those of type `key` are part of a key.
    pub(super) fn odd_information(&mut self, information: &[Information<'_>], key: u16) {
        let text = |tlv: &Information<'_>| if tlv.type_code == key { tlv.key() } else { tlv.note() };
        self.odd_texts(&information.iter().map(text).collect::<Vec<_>>());
    }

    /// Counts what had to be done to texts to store them.
    pub(super) fn odd_texts(&mut self, texts: &[Text]) {
        self.note_anomalies([
            (texts.iter().any(Text::was_replaced), Anomaly::TextReplaced),
            (texts.iter().any(Text::was_cut), Anomaly::TextCut),
        ]);
    }

    /// Counts those that were met.
    pub(super) fn note_anomalies<const N: usize>(&mut self, kinds: [(bool, Anomaly); N]) {
        kinds.into_iter().filter(|(met, _)| *met).for_each(|(_, anomaly)| self.note_anomaly(anomaly));
    }

    /// Counts one; whether it is the session's first of its kind.
    pub(super) fn count(&mut self, anomaly: Anomaly) -> bool {
        if let Some(settled) = &self.settled {
            settled.meter.anomalies.count(anomaly.label());
        }
        self.anomalies.count(anomaly)
    }

    /// Counts so many of a kind.
    pub(super) fn odd_times(&mut self, anomaly: Anomaly, times: usize) {
        (0..times).for_each(|_| self.note_anomaly(anomaly));
    }

    pub(super) fn note_anomaly(&mut self, anomaly: Anomaly) {
        if !self.count(anomaly) {
            return;
        }
        // Routers that do everything right send such NLRI too: nobody has to act.
        let level = if anomaly == Anomaly::AddPathAmbiguous { Level::Debug } else { Level::Warn };
        log!(level, "{}: {}", self.subject(), anomaly.meaning());
    }
}
