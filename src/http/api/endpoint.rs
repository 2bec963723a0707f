//! One path of the API with its method: the parameters it takes and the fields of its answer.

use super::call::Call;
use super::parameter::Parameter;
use crate::http::reply::Outcome;
use crate::http::request::Method;
use crate::http::service::Service;

/// One path with one method.
pub(in crate::http) struct Endpoint {
    /// GET (which answers HEAD too), POST or DELETE; the last two need a token of scope write.
    pub(in crate::http) method: Method,
    /// The path below `/api/v1`; a segment in braces is a parameter.
    pub(in crate::http) path: &'static str,
    /// One sentence without a full stop.
    pub(in crate::http) summary: &'static str,
    /// The parameters of the query.
    pub(in crate::http) parameters: &'static [Parameter],
    /// The fields of the body, if it has one.
    pub(in crate::http) body: &'static [Field],
    /// The answer of status 200.
    pub(in crate::http) shape: Shape,
    /// True if a list is also given whole, a line each.
    pub(in crate::http) has_lines: bool,
    /// Makes the answer.
    pub(in crate::http) answer: fn(&Service, &Call<'_>) -> Outcome,
}

/// The answer of an endpoint.
pub(in crate::http) enum Shape {
    /// One object.
    Object(&'static [Field]),
    /// A list of objects: `rows`, `truncated` and `next`; and what else these fields say, beside them.
    List(&'static [Field], &'static [Field]),
    /// Server-sent events.
    Events,
    /// A document that describes itself.
    Document,
}

/// One field of an object.
pub(in crate::http) struct Field {
    /// The name: of columns, that of the column.
    pub(in crate::http) name: &'static str,
    /// Its type.
    pub(in crate::http) kind: FieldKind,
    /// True if it may be null.
    pub(in crate::http) is_nullable: bool,
    /// One sentence without a full stop.
    pub(in crate::http) about: &'static str,
}

/// The type of a field.
pub(in crate::http) enum FieldKind {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A time (RFC 3339, UTC).
    Time,
    /// A list of texts.
    Texts,
    /// A list of whole numbers.
    Integers,
    /// Any JSON.
    Json,
    /// A list of objects.
    Objects(&'static [Field]),
}

impl Endpoint {
    /// Returns the names and values of the parameters in a path, if it is this one's.
    pub(super) fn captures<'a>(&self, segments: &'a [String]) -> Option<Vec<(&'static str, &'a str)>> {
        let path: &'static str = self.path;
        let parts = path.split('/').skip(1);
        if parts.clone().count() != segments.len() {
            return None;
        }
        let mut captured = Vec::new();
        for (part, segment) in parts.zip(segments) {
            match parameter_name(part) {
                Some(name) if !segment.is_empty() => captured.push((name, segment.as_str())),
                None if part == segment => {}
                Some(_) | None => return None,
            }
        }
        Some(captured)
    }

    /// Returns the names of the parameters in the path.
    pub(super) fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        let path: &'static str = self.path;
        path.split('/').filter_map(parameter_name)
    }
}

/// Returns the name of a parameter, if this segment of an endpoint's path is one.
fn parameter_name(part: &'static str) -> Option<&'static str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

/// Returns a field that is never null.
pub(in crate::http) const fn field(name: &'static str, kind: FieldKind, about: &'static str) -> Field {
    Field { name, kind, is_nullable: false, about }
}

/// Returns a field that may be null.
pub(in crate::http) const fn nullable(name: &'static str, kind: FieldKind, about: &'static str) -> Field {
    Field { name, kind, is_nullable: true, about }
}
