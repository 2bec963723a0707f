//! Lists of rows that the database has made JSON of: a page of them in one object, or all of them a line each.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::call::Call;
use super::parameter::{LIMIT, NEXT};
use crate::http::problem::Problem;
use crate::http::reply::{Outcome, Reply, StreamError};
use crate::http::response::{NDJSON, Response};
use crate::http::service::Service;
use crate::http::stream::StreamWriter;
use crate::store::api::ApiRow;
use crate::store::api::list::ListQuery;
use crate::store::{self, Client};

/// Answers with a page of a list, or with all of it where the client wants lines.
pub(super) fn answer(service: &Service, call: &Call<'_>, query: ListQuery) -> Outcome {
    answer_with(service, call, query, &|_| Ok(String::new()))
}

/// The same with further members of the object, each with a comma after it. Lines have no such object.
pub(super) fn answer_with(
    service: &Service,
    call: &Call<'_>,
    query: ListQuery,
    members: &dyn Fn(&mut Client) -> store::Result<String>,
) -> Outcome {
    if call.wants_lines() {
        return lines(service, call, move |client, deliver| query.each(client, deliver));
    }
    let (after, limit) = (call.after()?, call.limit() + 1);
    let (rows, members) = service.read(|client| {
        let rows = query.page(client, after.as_deref(), limit)?;
        Ok((rows, members(client)?))
    })?;
    page_with(call, &rows, &members)
}

/// Takes a row as JSON; it breaks off when nobody wants more.
type Deliver<'a> = &'a mut dyn FnMut(&str) -> ControlFlow<()>;

/// Answers with all rows that `read` delivers, a line each.
pub(super) fn lines(
    service: &Service,
    call: &Call<'_>,
    read: impl FnOnce(&mut Client, Deliver<'_>) -> store::Result<()> + Send + 'static,
) -> Outcome {
    if call.value(LIMIT.name).or(call.value(NEXT.name)).is_some() {
        return Err(Problem::bad_request("limit and next are for pages: lines are all of them"));
    }
    let pool = Arc::clone(&service.pool);
    let production = move |out: &mut StreamWriter<'_>| {
        let mut is_gone = false;
        pool.read_for_api(|client| {
            read(client, &mut |json| match out.line(json) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => {
                    is_gone = true;
                    ControlFlow::Break(())
                }
            })
        })?;
        if is_gone { Err(StreamError::Gone) } else { Ok(()) }
    };
    Ok(Reply::Stream(Response::of(200, NDJSON, Vec::new()), Box::new(production)))
}

/// Answers with the first rows of a list, of which there is one more than the limit if there are more. The rows of a
/// list that has pages have keys.
pub(super) fn page(call: &Call<'_>, rows: &[ApiRow]) -> Outcome {
    page_with(call, rows, "")
}

fn page_with(call: &Call<'_>, rows: &[ApiRow], members: &str) -> Outcome {
    let limit = usize::try_from(call.limit()).unwrap_or(usize::MAX);
    let shown = &rows[..rows.len().min(limit)];
    let is_truncated = rows.len() > shown.len();
    let key = shown.last().filter(|_| is_truncated).and_then(|row| row.key.as_deref());
    let next = key.map(|key| call.next(key));
    let bytes: usize = shown.iter().map(|row| row.json.len() + 2).sum();
    let mut text = String::with_capacity(bytes + members.len() + 200);
    text.push('{');
    text.push_str(members);
    text.push_str("\"rows\":[");
    for (i, row) in shown.iter().enumerate() {
        text.push_str(if i == 0 { "\n" } else { ",\n" });
        text.push_str(&row.json);
    }
    text.push_str(&format!("\n],\"truncated\":{is_truncated},\"next\":{}}}\n", serde_json::json!(next)));
    let response = Response::json(text);
    Ok(Reply::Whole(match next {
        Some(next) => response.with("Link", &format!("<{}>; rel=\"next\"", call.next_target(&next))),
        None => response,
    }))
}

/// Answers with one row.
pub(super) fn object(row: &ApiRow) -> Outcome {
    Ok(Reply::Whole(Response::json(format!("{}\n", row.json))))
}
