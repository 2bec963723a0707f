//! ROUTE-REFRESH (RFC 2918 section 3) with the markers of Enhanced Route Refresh (RFC 7313 section 3.2).
//!
//! BMP has no message for it: Route Monitoring carries UPDATEs. Routers that mirror the messages they receive put it
//! there anyway.

use crate::model::AfiSafi;
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// A ROUTE-REFRESH message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRefresh {
    /// The family whose routes are refreshed.
    pub family: AfiSafi,
    /// The message subtype.
    pub subtype: Subtype,
}

/// The Message Subtype, the reserved octet of RFC 2918.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subtype {
    /// 0: a request for the routes; outbound route filters may follow (RFC 5291 section 4).
    Request,
    /// 1, BoRR: the beginning of a refresh of the routes.
    Begin,
    /// 2, EoRR: the refresh is complete.
    End,
    /// Any other; it is ignored (RFC 7313 section 5).
    Other(u8),
}

impl RouteRefresh {
    /// Decodes the message from the octets after its header.
    ///
    /// # Errors
    /// The message is shorter than four octets, or is a BoRR or EoRR marker that is longer (RFC 7313 section 5).
    pub fn decode(mut body: Reader<'_>) -> Result<RouteRefresh, DecodeError> {
        let afi = body.u16("ROUTE-REFRESH AFI")?;
        let at = body.offset();
        let code = body.u8("ROUTE-REFRESH subtype")?;
        let safi = body.u8("ROUTE-REFRESH SAFI")?;
        let subtype = match code {
            0 => Subtype::Request,
            1 => Subtype::Begin,
            2 => Subtype::End,
            code => Subtype::Other(code),
        };
        if matches!(subtype, Subtype::Begin | Subtype::End) && !body.is_empty() {
            let why = format!("{} octets follow a marker (RFC 7313 section 5)", body.remaining());
            return Err(DecodeError::new(at, "ROUTE-REFRESH subtype", why));
        }
        Ok(RouteRefresh { family: AfiSafi { afi, safi }, subtype })
    }

    /// Returns the subtype's number.
    pub fn code(&self) -> u8 {
        match self.subtype {
            Subtype::Request => 0,
            Subtype::Begin => 1,
            Subtype::End => 2,
            Subtype::Other(code) => code,
        }
    }

    /// Returns the subtype's name, if it has one.
    pub fn name(&self) -> Option<&'static str> {
        match self.subtype {
            Subtype::Request => Some("request"),
            Subtype::Begin => Some("begin"),
            Subtype::End => Some("end"),
            Subtype::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_have_four_octets_and_requests_no_fewer() {
        let decode = |body: &[u8]| RouteRefresh::decode(Reader::new(body, 19));
        let check = |body: &[u8], subtype, code| {
            let refresh = decode(body).unwrap();
            assert_eq!((refresh.family, refresh.subtype, refresh.code()), (AfiSafi::IPV6_UNICAST, subtype, code));
        };
        check(&[0, 2, 0, 1], Subtype::Request, 0);
        check(&[0, 2, 0, 1, 1, 64, 0, 0], Subtype::Request, 0);
        check(&[0, 2, 1, 1], Subtype::Begin, 1);
        check(&[0, 2, 2, 1], Subtype::End, 2);
        check(&[0, 2, 255, 1], Subtype::Other(255), 255);
        let error = decode(&[0, 2, 1, 1, 0]).unwrap_err();
        assert_eq!((error.offset, error.field), (21, "ROUTE-REFRESH subtype"));
        let error = decode(&[0, 2, 1]).unwrap_err();
        assert_eq!((error.offset, error.field), (22, "ROUTE-REFRESH SAFI"));
    }
}
