//! Where a session's messages are not as they should be: counted, and logged once a session for each kind.

use log::{Level, log};

use super::monitor::Monitor;
use super::oddity::Oddity;
use crate::model::Text;
use crate::wire::bgp::update::Lies;
use crate::wire::bmp::Information;

impl Monitor {
    pub(super) fn lies(&mut self, lies: Lies) {
        self.odd_where([
            (lies.add_path_missing, Oddity::AddPathMissing),
            (lies.add_path_unannounced, Oddity::AddPathUnannounced),
            (lies.as_width_other, Oddity::AsWidthOther),
            (lies.labels_unannounced, Oddity::LabelsUnannounced),
            (lies.trailing_bytes, Oddity::TrailingBytes),
        ]);
    }

    /// Counts what has to be done to the texts of a message to store them; those of type `key` are part of a key.
    pub(super) fn odd_information(&mut self, information: &[Information<'_>], key: u16) {
        let text = |tlv: &Information<'_>| if tlv.type_code == key { tlv.key() } else { tlv.note() };
        self.odd_texts(&information.iter().map(text).collect::<Vec<_>>());
    }

    /// Counts what had to be done to texts to store them.
    pub(super) fn odd_texts(&mut self, texts: &[Text]) {
        self.odd_where([
            (texts.iter().any(Text::was_replaced), Oddity::TextReplaced),
            (texts.iter().any(Text::was_cut), Oddity::TextCut),
        ]);
    }

    /// Counts those that were met.
    pub(super) fn odd_where<const N: usize>(&mut self, kinds: [(bool, Oddity); N]) {
        kinds.into_iter().filter(|(met, _)| *met).for_each(|(_, oddity)| self.odd(oddity));
    }

    /// Counts one; whether it is the session's first of its kind.
    pub(super) fn count(&mut self, oddity: Oddity) -> bool {
        if let Some(settled) = &self.settled {
            settled.meter.oddities.count(oddity.label());
        }
        self.oddities.count(oddity)
    }

    /// Counts so many of a kind.
    pub(super) fn odd_times(&mut self, oddity: Oddity, times: usize) {
        (0..times).for_each(|_| self.odd(oddity));
    }

    pub(super) fn odd(&mut self, oddity: Oddity) {
        if !self.count(oddity) {
            return;
        }
        // Routers that do everything right send such NLRI too: nobody has to act.
        let level = if oddity == Oddity::AddPathAmbiguous { Level::Debug } else { Level::Warn };
        log!(level, "{}: {}", self.subject(), oddity.meaning());
    }
}
