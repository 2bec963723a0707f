//! NLRI of families other than prefixes: kept as octets, and decoded on demand.

use super::bgp_ls::LinkState;
use super::fields::{Fields, Framed, Scope};
use super::{bgp_ls, evpn, flowspec, mvpn, rtc, sr_policy, vpls};
use crate::model::{Afi, AfiSafi, OtherFamily, PathId};
use crate::wire::DecodeError;
use crate::wire::bgp::add_path::AddPath;
use crate::wire::reader::Reader;

/// The NLRI of one family in one UPDATE, as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpaqueNlri<'a> {
    octets: &'a [u8],
    /// Of the first octet in the message.
    offset: usize,
    /// The reading that the capabilities announce.
    add_path: AddPath,
}

/// One NLRI of such a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherNlri<'a> {
    /// The path identifier (RFC 7911 section 3), if there is one.
    pub path_id: Option<PathId>,
    /// The NLRI as sent, without the path identifier.
    pub octets: &'a [u8],
    /// The fields, or the reason for which the NLRI is malformed. Such an NLRI is discarded and the others are kept
    /// (RFC 7606 section 5.4, RFC 9552 section 8.2.2).
    pub fields: Result<Fields, DecodeError>,
}

impl<'a> OpaqueNlri<'a> {
    /// Returns the rest of `octets` as NLRI.
    #[inline(always)]
    pub fn new(mut octets: Reader<'a>, add_path: AddPath) -> OpaqueNlri<'a> {
        let offset = octets.offset();
        OpaqueNlri { octets: octets.rest(), offset, add_path }
    }

    /// Returns whether there are no octets.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Returns the field as sent.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// Decodes the NLRI; `None` if the family is not one that is decoded.
    ///
    /// The reading of Add-Path is the one that the capabilities announce, unless only the other one decodes each NLRI
    /// to a known type.
    ///
    /// # Errors
    /// The NLRI do not fill the field exactly: where each begins is not known.
    pub fn decode(&self, family: AfiSafi) -> Option<Result<Vec<OtherNlri<'a>>, DecodeError>> {
        let form = Form::of(family)?;
        let announced = self.read(form, self.add_path);
        if is_clean(&announced) {
            return Some(announced);
        }
        let other = self.read(form, self.add_path.other());
        Some(if is_clean(&other) { other } else { announced })
    }

    fn read(&self, form: Form, add_path: AddPath) -> Result<Vec<OtherNlri<'a>>, DecodeError> {
        let mut reader = Reader::new(self.octets, self.offset);
        let mut all = Vec::new();
        while !reader.is_empty() {
            let path_id = match add_path {
                AddPath::Plain => None,
                AddPath::WithPathIds => Some(PathId(reader.u32("path identifier")?)),
            };
            let mut before = reader;
            let fields = form.read(&mut reader)?;
            let octets = before.take(before.remaining() - reader.remaining(), "NLRI")?;
            all.push(OtherNlri { path_id, octets, fields });
        }
        Ok(all)
    }
}

/// Returns whether each NLRI is of a known type and well-formed.
fn is_clean(read: &Result<Vec<OtherNlri<'_>>, DecodeError>) -> bool {
    let is_known = |nlri: &OtherNlri<'_>| nlri.fields.as_ref().is_ok_and(|fields| !fields.is_unknown());
    read.as_ref().is_ok_and(|all| all.iter().all(is_known))
}

/// The encoding of a family's NLRI.
#[derive(Clone, Copy)]
enum Form {
    Evpn,
    FlowSpec(Afi, Scope),
    BgpLs(LinkState),
    SrPolicy(Afi),
    Rtc,
    Mvpn(Afi),
    Vpls,
}

impl Form {
    fn of(family: AfiSafi) -> Option<Form> {
        let afi = if family.afi == 2 { Afi::Ipv6 } else { Afi::Ipv4 };
        let scope = if family.safi == 134 { Scope::Vpn } else { Scope::Global };
        Some(match OtherFamily::of(family)? {
            OtherFamily::Evpn => Form::Evpn,
            OtherFamily::FlowSpec => Form::FlowSpec(afi, scope),
            OtherFamily::BgpLs if family.safi == 72 => Form::BgpLs(LinkState::Vpn),
            OtherFamily::BgpLs => Form::BgpLs(LinkState::Global),
            OtherFamily::BgpLsSpf => Form::BgpLs(LinkState::Spf),
            OtherFamily::SrPolicy => Form::SrPolicy(afi),
            OtherFamily::Rtc => Form::Rtc,
            OtherFamily::Mvpn => Form::Mvpn(afi),
            OtherFamily::Vpls => Form::Vpls,
        })
    }

    fn read(self, reader: &mut Reader<'_>) -> Framed {
        match self {
            Form::Evpn => evpn::read(reader),
            Form::FlowSpec(afi, scope) => flowspec::read(reader, afi, scope),
            Form::BgpLs(of) => bgp_ls::read(reader, of),
            Form::SrPolicy(afi) => sr_policy::read(reader, afi),
            Form::Rtc => rtc::read(reader),
            Form::Mvpn(afi) => mvpn::read(reader, afi),
            Form::Vpls => vpls::read(reader),
        }
    }
}
