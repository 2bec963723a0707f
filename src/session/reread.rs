//! Learns from messages whether NLRI contain path identifiers, keeps ambiguous messages, and decodes those again that
//! turn out to have been read the wrong way.

use std::collections::HashSet;
use std::sync::Arc;

use log::Level;

use super::add_path::{Kept, KeptMessage, News, Of};
use super::anomaly::Anomaly;
use super::changes::{Changes, FamilyTable, PathIds};
use super::end::{Cause, SessionEnd};
use super::messages::{IdentifiedRouter, Session};
use super::peers::Peers;
use super::rib_source::RibSource;
use super::rules::Stamp;
use super::shared::RawBytes;
use super::table_names::TableName;
use super::tables::{RouterTables, key_of};
use crate::model::{AfiSafi, Nlri, Prefix, Timestamp};
use crate::pipeline::{StateOp, WithdrawReason};
use crate::wire::bgp::add_path::AddPath;
use crate::wire::bgp::routes::Routes;
use crate::wire::bgp::update::{DecodeContext, Decoded, Update};
use crate::wire::bmp::{self, Frame, Message, RouteMonitoring};

/// A message that was read the wrong way, with its wrong and its right decoding.
struct Reread<'a> {
    monitoring: RouteMonitoring<'a>,
    kept: &'a KeptMessage,
    wrong: Changes<'a>,
    right: Changes<'a>,
}

impl Session {
    /// Learns what a message shows of path identifiers, before it is applied itself. `negotiated` is the decoding
    /// context by the peer's capabilities.
    ///
    /// # Errors
    /// The session cannot continue, or has to be closed so that a new dump is decoded by what was learned.
    #[inline]
    pub(super) fn learn_add_path(
        &mut self,
        frame: &Frame<'_>,
        source: &RibSource,
        negotiated: DecodeContext,
        monitoring: &RouteMonitoring<'_>,
        decoded: &Decoded<'_, '_>,
        received_at: Timestamp,
    ) -> Result<(), SessionEnd> {
        let (shown, ambiguous) = (decoded.add_path_shown, decoded.add_path_ambiguous);
        if self.evidence.is_settled(Of::from(source), negotiated.add_path, shown, ambiguous) {
            return Ok(());
        }
        self.learn(frame, source, negotiated, monitoring, decoded, received_at)
    }

    #[cold]
    fn learn(
        &mut self,
        frame: &Frame<'_>,
        source: &RibSource,
        negotiated: DecodeContext,
        monitoring: &RouteMonitoring<'_>,
        decoded: &Decoded<'_, '_>,
        received_at: Timestamp,
    ) -> Result<(), SessionEnd> {
        let of = Of::from(source);
        let announced = monitoring.context(negotiated).add_path;
        for news in self.evidence.learn(of, negotiated.add_path, announced, decoded.add_path_shown) {
            self.take_news(source, news, received_at)?;
        }
        let Update::Routes(routes) = &decoded.update else { return Ok(()) };
        for (family, used) in decoded.add_path_ambiguous.iter() {
            if !self.evidence.is_open(of, negotiated.add_path, family) {
                continue;
            }
            let nlri = nlri_of(routes, family);
            self.odd_times(Anomaly::AddPathAmbiguous, nlri);
            // Multicast routes are not stored.
            if family.safi != 2 {
                let context = self.evidence.context(of, negotiated);
                let message = || KeptMessage { bytes: frame.bytes.into(), received_at, context, used };
                self.evidence.keep(of, family, nlri, message);
            }
        }
        Ok(())
    }

    fn take_news(&mut self, source: &RibSource, news: News, received_at: Timestamp) -> Result<(), SessionEnd> {
        let News { family, wrong, remember } = news;
        let of = Of::from(source);
        let Some(identified) = &mut self.identified else { return Ok(()) };
        if let Some(remember) = remember {
            let (subject, peer, shown) = (&identified.subject, source.peer, in_words(remember.shown));
            self.host.say(Level::Debug, format_args!("{subject}: {peer}, {family}: {shown}"));
            identified.tables.outbox().op(StateOp::AddPathSeen(remember.record(&of, family)))?;
        }
        let Some(kept) = wrong else { return Ok(()) };
        if kept.is_over {
            // Replayed input has no connection that could be closed.
            let close = if self.resumed.is_none() { self.evidence.close_once(of, family) } else { None };
            if let Some(remember) = close {
                identified.tables.outbox().op(StateOp::AddPathSeen(remember.record(&of, family)))?;
                let what = format!("{}, {family}: {}", source.peer, in_words(remember.shown));
                return Err(SessionEnd::new(Cause::AddPath, what));
            }
            let (subject, peer) = (&identified.subject, source.peer);
            let text = format_args!(
                "{subject}: {peer}, {family}: too many routes were decoded the wrong way to correct all: the others \
                 stay until they change"
            );
            self.host.say(Level::Warn, text);
        }
        let count = self.reread(source, family, &kept, received_at)?;
        let messages = kept.messages.len();
        let (subject, peer) = (self.subject(), source.peer);
        let text =
            format_args!("{subject}: {peer}, {family}: {messages} messages read again, {count} routes withdrawn");
        self.host.say(Level::Info, text);
        self.odd_times(Anomaly::AddPathReread, count);
        Ok(())
    }

    /// Withdraws the routes stored from messages that were read the wrong way, and decodes and applies the messages
    /// again, in their order. Returns the number of routes withdrawn.
    fn reread(
        &mut self,
        source: &RibSource,
        family: AfiSafi,
        kept: &Kept,
        received_at: Timestamp,
    ) -> Result<usize, SessionEnd> {
        let Session { path_ids, identified, host, .. } = self;
        let Some(IdentifiedRouter { tables, .. }) = identified else { return Ok(0) };
        let name = |peers: &Peers, of: &Reread<'_>, slot: FamilyTable| peers.table_of(&of.monitoring, slot.family());
        let mut all: Vec<Reread<'_>> =
            kept.messages.iter().filter_map(|message| Reread::of(message, family, *path_ids)).collect();
        // A message whose table was removed in the meantime belongs to a peer or name that is gone.
        all.retain(|message| {
            message.wrong.slots().all(|slot| tables.has(source, &name(&tables.peers, message, slot), slot))
        });
        let mut right: HashSet<(Arc<str>, Prefix, u32)> = HashSet::new();
        let stored = |peers: &Peers, of: &Reread<'_>, slot: FamilyTable| slot.name(name(peers, of, slot).stored);
        let key = |name: &Arc<str>, nlri: Nlri| (Arc::clone(name), nlri.prefix, nlri.path_id_column());
        for message in &all {
            for (slot, nlri) in &message.right.withdrawn {
                let name = stored(&tables.peers, message, *slot);
                for nlri in nlri {
                    right.remove(&key(&name, nlri));
                }
            }
            for (slot, routes) in &message.right.announced {
                let name = stored(&tables.peers, message, *slot);
                routes.for_each_key(|nlri| {
                    right.insert(key(&name, nlri));
                });
            }
        }
        let mut count = 0;
        for message in &all {
            for (slot, routes) in &message.wrong.announced {
                let stored = stored(&tables.peers, message, *slot);
                let mut wrong = Vec::with_capacity(routes.len());
                routes.for_each_key(|nlri| wrong.push(nlri));
                // A route that the right decoding contains too is announced again, so it is not withdrawn before.
                wrong.retain(|nlri| !right.contains(&key(&stored, *nlri)));
                let place = key_of(source, &name(&tables.peers, message, *slot), *slot);
                let RouterTables { tables, outbox, ids, .. } = &mut *tables;
                // A route that never existed, since its NLRI was read the wrong way.
                if let Some(table) = tables.get_mut(&place) {
                    count += table.withdraw_each(&wrong, WithdrawReason::Reread, outbox, ids, received_at)?;
                }
            }
        }
        for message in &all {
            let raw = match host.options().raw {
                RawBytes::Dropped => None,
                RawBytes::Stored => Some((*message.kept.bytes).into()),
            };
            let router_time = message.monitoring.time();
            let stamp = Stamp { received_at: message.kept.received_at, router_time, raw };
            tables.apply(source, |peers, slot| name(peers, message, slot), &message.right, stamp)?;
        }
        Ok(count)
    }
}

impl RouterTables {
    /// Returns whether this session has begun the table.
    fn has(&self, source: &RibSource, name: &TableName, slot: FamilyTable) -> bool {
        self.tables.contains_key(&key_of(source, name, slot))
    }
}

impl<'a> Reread<'a> {
    /// Decodes a kept message both ways; `None` if that fails, although it succeeded when the message was received.
    fn of(kept: &'a KeptMessage, family: AfiSafi, path_ids: PathIds) -> Option<Reread<'a>> {
        let frame = bmp::next_frame(&kept.bytes, kept.bytes.len()).ok()??;
        let Ok(Message::RouteMonitoring(monitoring)) = bmp::decode(&frame) else { return None };
        let read = |add_path| {
            let mut context = kept.context;
            context.add_path_seen.note(family, add_path);
            let mut routes = Routes::default();
            monitoring.decode_update(context, &mut routes).ok()?;
            routes.announced.retain(|field| field.family == family);
            routes.withdrawn.retain(|field| field.family == family);
            Some(Changes::of(&routes, path_ids))
        };
        let (wrong, right) = (read(kept.used)?, read(kept.used.other())?);
        Some(Reread { monitoring, kept, wrong, right })
    }
}

/// Returns the number of NLRI of a family in a message.
fn nlri_of(routes: &Routes<'_>, family: AfiSafi) -> usize {
    let announced = routes.announced.iter().filter(|field| field.family == family).map(|field| field.nlri.len());
    let withdrawn = routes.withdrawn.iter().filter(|field| field.family == family).map(|field| field.nlri.len());
    announced.chain(withdrawn).sum()
}

fn in_words(shown: AddPath) -> &'static str {
    match shown {
        AddPath::Plain => "path identifiers are not sent",
        AddPath::WithPathIds => "path identifiers are sent",
    }
}
