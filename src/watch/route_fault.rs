//! Faults of a peer's number of routes, and their words.

use crate::model::Afi;

/// A fault, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteFault {
    /// 90 % of the largest number or more.
    NearMax,
    /// Far more than usual.
    Up,
    /// Far fewer than usual.
    Down,
    /// More than the largest number.
    TooMany,
    /// Fewer than the least number.
    TooFew,
    /// None, although the session is up.
    NoRoutes,
}

impl RouteFault {
    /// Every fault.
    const ALL: [RouteFault; 6] = [
        RouteFault::NearMax,
        RouteFault::Up,
        RouteFault::Down,
        RouteFault::TooMany,
        RouteFault::TooFew,
        RouteFault::NoRoutes,
    ];

    /// Returns its text in `conditions.detail`.
    pub fn as_str(self) -> &'static str {
        match self {
            RouteFault::NearMax => "near_max",
            RouteFault::Up => "up",
            RouteFault::Down => "down",
            RouteFault::TooMany => "too_many",
            RouteFault::TooFew => "too_few",
            RouteFault::NoRoutes => "no_routes",
        }
    }

    /// Returns the fault with this text.
    pub fn parse(text: &str) -> Option<RouteFault> {
        RouteFault::ALL.into_iter().find(|fault| fault.as_str() == text)
    }

    /// Returns the words that begin a line, and those behind the peer. `against`: the bound, or the usual number;
    /// `percent`: how much of it the number is.
    pub fn words(self, number: &str, against: Option<&str>, percent: i64, family: Option<Afi>) -> (String, String) {
        let bound = against.unwrap_or("an unknown number");
        let family = match family {
            Some(Afi::Ipv4) => " IPv4",
            Some(Afi::Ipv6) => " IPv6",
            None => "",
        };
        let usually = format!("{number}{family} routes, usually {bound}");
        let (head, tail) = match self {
            RouteFault::NearMax => ("NEAR MAX ROUTES", format!("{number} routes, {percent} % of at most {bound}")),
            RouteFault::Up => return (format!("ROUTES UP {} %", percent.saturating_sub(100)), usually),
            RouteFault::Down => return (format!("ROUTES DOWN {} %", 100_i64.saturating_sub(percent)), usually),
            RouteFault::TooMany => ("TOO MANY ROUTES", format!("{number} routes, at most {bound} expected")),
            RouteFault::TooFew => ("TOO FEW ROUTES", format!("{number} routes, at least {bound} expected")),
            RouteFault::NoRoutes => {
                let usually = against.map(|usual| format!(", usually {usual}")).unwrap_or_default();
                ("NO ROUTES", format!("session up, no routes{usually}"))
            }
        };
        (head.to_owned(), tail)
    }
}
