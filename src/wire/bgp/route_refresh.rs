//! ROUTE-REFRESH (RFC 2918 section 3) with the markers of Enhanced Route Refresh (RFC 7313 section 3.2).
//!
//! BMP has no place for it: Route Monitoring holds UPDATEs. Routers that mirror what they are sent put it there all the same.

use crate::model::AfiSafi;
use crate::wire::Error;
use crate::wire::reader::Reader;

/// What a ROUTE-REFRESH says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRefresh {
    /// Of which family.
    pub family: AfiSafi,
    /// Its meaning.
    pub subtype: Subtype,
}

/// The Message Subtype, the reserved octet of RFC 2918.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subtype {
    /// 0: the routes are asked for; outbound route filters may follow (RFC 5291 section 4).
    Request,
    /// 1, BoRR: the routes begin to be told again.
    Begin,
    /// 2, EoRR: all have been told.
    End,
    /// Any other, to be ignored (RFC 7313 section 5).
    Other(u8),
}

impl RouteRefresh {
    /// Reads the message behind its header.
    ///
    /// # Errors
    /// It is shorter than four octets, or is a marker of more (RFC 7313 section 5).
    pub fn decode(mut body: Reader<'_>) -> Result<RouteRefresh, Error> {
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
            return Err(Error::new(at, "ROUTE-REFRESH subtype", why));
        }
        Ok(RouteRefresh { family: AfiSafi { afi, safi }, subtype })
    }

    /// The subtype's number.
    pub fn code(&self) -> u8 {
        match self.subtype {
            Subtype::Request => 0,
            Subtype::Begin => 1,
            Subtype::End => 2,
            Subtype::Other(code) => code,
        }
    }

    /// The subtype's name, if it has one.
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
    fn markers_have_four_octets_and_requests_at_least_those() {
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
