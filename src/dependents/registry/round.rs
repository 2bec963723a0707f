//! A round: reads, judges, stores, writes, tells.

use log::{info, warn};

use super::judge::{Judgement, is_news, judge};
use super::settings::{Callback, Settings};
use super::status::{Status, StatusCodes, Written};
use crate::store::registry::sessions::{self, SessionRow, Write};
use crate::store::registry::{settings, watches};
use crate::store::{Client, Error, Result, Transaction};

/// Brings what is observed of all sessions up to date, and their status where the settings allow it.
pub(crate) fn round(client: &mut Client) -> Result<()> {
    let begin = settings::begin(client)?;
    let set = Settings::parse(&begin.settings);
    if begin.has_callbacks && set.callback == Callback::Off {
        sessions::forget_callbacks(client)?;
    }
    if !begin.has_sessions && !begin.has_watches {
        return Ok(());
    }
    let codes = StatusCodes::new(&settings::status_codes(client)?);
    let mut transaction = client.transaction()?;
    let rows = sessions::all(&mut transaction)?;
    let judged: Vec<(&SessionRow, Judgement)> =
        rows.iter().map(|row| (row, judge(row, codes.status(row.status), &set.rules, begin.now))).collect();
    let is_news =
        |(row, judgement): &&(&SessionRow, Judgement)| is_news(row.before.as_ref(), &judgement.observed, begin.now);
    let news = judged.iter().filter(is_news).map(|(row, judgement)| (row.uuid.as_str(), &judgement.observed));
    sessions::observe(&mut transaction, &news.collect::<Vec<_>>())?;
    let misfit = codes.misfit(&rows).filter(|_| set.may_write);
    if set.may_write && misfit.is_none() {
        write(&mut transaction, &judged, &codes, &set)?;
    }
    if set.has_watches || begin.has_watches {
        let (added, removed) = watches::keep(&mut transaction)?;
        if added + removed > 0 {
            info!("registry: watches of sessions changed, added={added}, removed={removed}");
        }
    }
    transaction.commit()?;
    misfit.map_or(Ok(()), |why| Err(Error::Unexpected(why)))
}

/// Writes what is to be written, and tells who wants to know of it.
fn write(
    transaction: &mut Transaction<'_>,
    judged: &[(&SessionRow, Judgement)],
    codes: &StatusCodes,
    set: &Settings,
) -> Result<()> {
    let wanted = judged.iter().filter_map(|(row, judgement)| {
        let (written, error) = judgement.write.clone()?;
        let status = codes.code(written)?;
        let write = Write { uuid: row.uuid.clone(), seen: row.status, seen_at: row.updated_at, status, error };
        Some((*row, written, write))
    });
    let wanted: Vec<(&SessionRow, Written, Write)> = wanted.collect();
    let writes: Vec<Write> = wanted.iter().map(|(.., write)| write.clone()).collect();
    let written = sessions::write(transaction, &writes)?;
    let done = || wanted.iter().filter(|(row, ..)| written.contains(&row.uuid));
    let changed: Vec<(&str, i16)> = done()
        .filter(|(row, _, write)| row.status != write.status)
        .map(|(row, ..)| (row.uuid.as_str(), row.status))
        .collect();
    for (row, to, write) in done().filter(|(row, _, write)| row.status != write.status) {
        let from = codes.status(row.status).map_or("", Status::as_str);
        let to = match to {
            Written::Active => Status::Active.as_str(),
            Written::Error => Status::Error.as_str(),
        };
        let router = row.router_name.as_deref().unwrap_or(&row.router);
        let why = write.error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        info!("registry: session {} of AS{} at {router}: {from} to {to}{why}", row.uuid, row.asn);
    }
    let refused = match &set.callback {
        _ if changed.is_empty() => Vec::new(),
        Callback::Off => Vec::new(),
        Callback::Post => sessions::deliver(transaction, &changed, "registry_post", "")?,
        Callback::Get(path) => sessions::deliver(transaction, &changed, "registry_get", path)?,
    };
    for router in refused {
        warn!("registry: the agent of {router} is not told: its callback_url is no URL that can be sent to");
    }
    sessions::notify(transaction, &written)
}
