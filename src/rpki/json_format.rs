//! JSON: an object with `roas`, or the bare array. Entries become VRPs as they are read: a set has half a million.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::parsed::{ENTRIES_MAX, ParsedSet, VrpReader, parse_asn, parse_time, time_of_seconds};
use crate::model::rpki::{Aspa, Vrp};
use crate::model::{Asn, Timestamp};

pub(super) fn parse(bytes: &[u8]) -> Result<ParsedSet, String> {
    let describe = |error: serde_json::Error| match error.classify() {
        serde_json::error::Category::Eof => format!("is JSON that was cut short: {error}"),
        serde_json::error::Category::Data => error.to_string(),
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => format!("is not JSON: {error}"),
    };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let set = (&mut json).deserialize_any(SetVisitor).map_err(describe)?;
    json.end().map_err(describe)?;
    Ok(set)
}

/// The whole set.
struct SetVisitor;

impl<'de> Visitor<'de> for SetVisitor {
    type Value = ParsedSet;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with roas, or an array of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<ParsedSet, A::Error> {
        let vrps = read_list(list, "roas", &mut RoaReader::default())?;
        Ok(ParsedSet { vrps, ..ParsedSet::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ParsedSet, A::Error> {
        let mut set = ParsedSet::default();
        let seen = Cell::new(false);
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match &*name {
                "roas" => {
                    if seen.replace(true) {
                        return Err(de::Error::custom("has roas twice"));
                    }
                    set.vrps = map.next_value_seed(List { name: "roas", reader: &mut RoaReader::default() })?;
                }
                "aspas" => {
                    let list: Vec<Aspa> = map.next_value_seed(List { name: "aspas", reader: &mut AspaReader })?;
                    set.aspas.extend(list);
                }
                "provider_authorizations" => {
                    let both: ProviderAuthorizations = map.next_value()?;
                    set.aspas.extend(both.ipv4.0.into_iter().chain(both.ipv6.0));
                }
                "metadata" => {
                    let metadata: Metadata = map.next_value()?;
                    let times = [&metadata.generated, &metadata.buildtime, &metadata.generated_time];
                    set.generated = times.into_iter().flatten().find_map(|time| time.0);
                    set.valid_until = metadata.valid.and_then(|time| time.0);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if seen.get() { Ok(set) } else { Err(de::Error::custom("has no roas")) }
    }
}

/// Makes an item of what an entry of a list says.
trait ItemReader {
    type Entry<'de>: Deserialize<'de>;
    type Item;
    fn item(&mut self, entry: Self::Entry<'_>) -> Result<Self::Item, String>;
}

fn read_list<'de, R: ItemReader, A: SeqAccess<'de>>(
    mut list: A,
    name: &str,
    reader: &mut R,
) -> Result<Vec<R::Item>, A::Error> {
    let mut items = Vec::new();
    while let Some(entry) = list.next_element::<R::Entry<'de>>()? {
        if items.len() >= ENTRIES_MAX {
            return Err(de::Error::custom(format!("has more than {ENTRIES_MAX} {name}")));
        }
        let item = reader.item(entry).map_err(|why| de::Error::custom(format!("{name}[{}]: {why}", items.len())))?;
        items.push(item);
    }
    Ok(items)
}

struct List<'a, R> {
    name: &'static str,
    reader: &'a mut R,
}

impl<'de, R: ItemReader> DeserializeSeed<'de> for List<'_, R> {
    type Value = Vec<R::Item>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<R::Item>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, R: ItemReader> Visitor<'de> for List<'_, R> {
    type Value = Vec<R::Item>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as a list", self.name)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<R::Item>, A::Error> {
        read_list(list, self.name, self.reader)
    }
}

#[derive(Default)]
struct RoaReader(VrpReader);

impl ItemReader for RoaReader {
    type Entry<'de> = Roa<'de>;
    type Item = Vrp;

    fn item(&mut self, roa: Roa<'_>) -> Result<Vrp, String> {
        let asn = roa.asn.0?;
        // jsonext of Routinator names the ROAs instead: the VRP lasts as long as any of them does.
        let trust_anchor = roa.ta.as_deref().or_else(|| roa.source.iter().find_map(|source| source.tal.as_deref()));
        let ends = roa.source.iter().map(Source::expires);
        let of_sources = ends.reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))).flatten();
        let expires = roa.expires.and_then(|time| time.0).or(of_sources);
        self.0.vrp(&roa.prefix, roa.max_length, asn, trust_anchor, expires)
    }
}

#[derive(Deserialize)]
struct Roa<'a> {
    #[serde(borrow)]
    prefix: Cow<'a, str>,
    #[serde(rename = "maxLength")]
    max_length: Option<i64>,
    asn: AsnField,
    #[serde(borrow)]
    ta: Option<Cow<'a, str>>,
    expires: Option<TimeField>,
    #[serde(borrow, default)]
    source: Vec<Source<'a>>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    tal: Option<Cow<'a, str>>,
    validity: Option<Validity>,
    #[serde(rename = "chainValidity")]
    chain_validity: Option<Validity>,
    stale: Option<TimeField>,
}

#[derive(Deserialize)]
struct Validity {
    #[serde(rename = "notAfter")]
    not_after: Option<TimeField>,
}

impl Source<'_> {
    /// The earliest end of the ROA, of the certificates above it, and of their manifests and CRLs.
    fn expires(&self) -> Option<Timestamp> {
        let not_after =
            |validity: &Option<Validity>| validity.as_ref().and_then(|validity| validity.not_after.as_ref()?.0);
        let stale = self.stale.as_ref().and_then(|time| time.0);
        [not_after(&self.validity), not_after(&self.chain_validity), stale].into_iter().flatten().min()
    }
}

struct AspaReader;

impl ItemReader for AspaReader {
    type Entry<'de> = AspaEntry;
    type Item = Aspa;

    fn item(&mut self, entry: AspaEntry) -> Result<Aspa, String> {
        let mut providers = entry.providers.into_iter().map(|asn| asn.0).collect::<Result<Vec<_>, String>>()?;
        providers.sort_unstable();
        Ok(Aspa { customer: entry.customer.0?, providers, expires: entry.expires.and_then(|time| time.0) })
    }
}

#[derive(Deserialize)]
struct AspaEntry {
    #[serde(alias = "customer_asid")]
    customer: AsnField,
    providers: Vec<AsnField>,
    expires: Option<TimeField>,
}

/// The format of rpki-client before version 9: ASPAs per address family.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ProviderAuthorizations {
    ipv4: AspaList,
    ipv6: AspaList,
}

#[derive(Default)]
struct AspaList(Vec<Aspa>);

impl<'de> Deserialize<'de> for AspaList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AspaList, D::Error> {
        List { name: "provider_authorizations", reader: &mut AspaReader }.deserialize(deserializer).map(AspaList)
    }
}

#[derive(Deserialize)]
struct Metadata {
    generated: Option<TimeField>,
    #[serde(rename = "generatedTime")]
    generated_time: Option<TimeField>,
    buildtime: Option<TimeField>,
    #[serde(alias = "expires")]
    valid: Option<TimeField>,
}

/// An AS number as a number or as text, `AS64496`; or what is wrong with it.
struct AsnField(Result<Asn, String>);

impl<'de> Deserialize<'de> for AsnField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AsnField, D::Error> {
        struct AsnVisitor;
        impl Visitor<'_> for AsnVisitor {
            type Value = AsnField;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an AS number")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<AsnField, E> {
                Ok(AsnField(u32::try_from(number).map(Asn).map_err(|_| format!("{number} is not an AS number"))))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AsnField, E> {
                // Providers of ASPA had an address family in earlier drafts: AS64497(v4).
                let number = text.strip_suffix("(v4)").or_else(|| text.strip_suffix("(v6)")).unwrap_or(text);
                Ok(AsnField(parse_asn(number)))
            }
        }
        deserializer.deserialize_any(AsnVisitor)
    }
}

/// A time as seconds since 1970 or as text.
#[derive(Clone, Copy)]
struct TimeField(Option<Timestamp>);

impl<'de> Deserialize<'de> for TimeField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TimeField, D::Error> {
        struct TimeVisitor;
        impl Visitor<'_> for TimeVisitor {
            type Value = TimeField;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<TimeField, E> {
                let seconds = i64::try_from(seconds).map_err(|_| E::custom("a time is too late"))?;
                time_of_seconds(seconds).map(|time| TimeField(Some(time))).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<TimeField, E> {
                time_of_seconds(seconds).map(|time| TimeField(Some(time))).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TimeField, E> {
                parse_time(text).map(|time| TimeField(Some(time))).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(TimeVisitor)
    }
}
