//! NLRI of flow specifications (RFC 8955 section 4, RFC 8956 section 3), with a distinguisher for VPNs (RFC 8955 section
//! 8).

use std::net::Ipv6Addr;

use super::fields::{Fields, Framed, Scope, rd};
use crate::model::write_text::hex;
use crate::model::{Afi, Prefix};
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// Reads one NLRI: length in octets, components.
///
/// The length has one octet below 240, else two whose first four bits are set (RFC 8955 section 4.1).
pub(super) fn read(reader: &mut Reader<'_>, afi: Afi, scope: Scope) -> Framed {
    let first = reader.u8("flow specification length")?;
    let length = if first < 0xf0 {
        u16::from(first)
    } else {
        u16::from_be_bytes([first & 0x0f, reader.u8("flow specification length")?])
    };
    let body = reader.sub(length.into(), "flow specification")?;
    let read = flow(body, afi, scope, Pattern::FromOffset);
    Ok(match (&read, afi) {
        (Err(_), Afi::Ipv6) => flow(body, afi, scope, Pattern::Whole).or(read),
        _ => read,
    })
}

/// The octets of an IPv6 prefix with an offset.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pattern {
    /// Those of the bits from the offset on (RFC 8956 section 3.1).
    FromOffset,
    /// Those of the whole prefix, as in drafts of that RFC: GoBGP 3.10.
    Whole,
}

/// The key is the text of the rule. It names the octets too if they are not the shortest encoding of that text: an
/// NLRI is an opaque bit string to BGP (RFC 8955 section 4.2 has no rule for equal ones).
fn flow(mut body: Reader<'_>, afi: Afi, scope: Scope, pattern: Pattern) -> Result<Fields, DecodeError> {
    let mut fields = Fields::new(format!("flowspec:{}", afi.column()));
    if scope == Scope::Vpn {
        rd(&mut fields, &mut body)?;
    }
    let octets = { body }.rest();
    let mut rule = Rule { text: String::new(), is_shortest: true, pattern };
    let mut last_type = 0;
    if body.is_empty() {
        return Err(DecodeError::new(body.offset(), "flow specification", "has no component"));
    }
    while !body.is_empty() {
        let at = body.offset();
        let kind = body.u8("component type")?;
        // Each type once at most, ascending (RFC 8955 section 4.2).
        if kind <= last_type {
            return Err(DecodeError::new(at, "component type", format!("{kind} after {last_type} is out of order")));
        }
        last_type = kind;
        rule.component(&mut fields, kind, at, &mut body, afi)?;
    }
    fields.key_only(&rule.text);
    if !rule.is_shortest {
        fields.key_only(hex(octets));
    }
    fields.add("rule", rule.text);
    Ok(fields)
}

/// The text of a flow specification, as routers print it.
struct Rule {
    text: String,
    /// False once a component has an encoding that is longer than it must be, or sets a bit that has no meaning.
    is_shortest: bool,
    pattern: Pattern,
}

/// The values of a component.
#[derive(Clone, Copy)]
enum Values {
    Prefix,
    Numbers,
    TcpFlags,
    Fragment,
}

impl Rule {
    /// Reads a component (RFC 8955 section 4.2.2, RFC 8956 section 3).
    fn component(
        &mut self,
        fields: &mut Fields,
        kind: u8,
        at: usize,
        body: &mut Reader<'_>,
        afi: Afi,
    ) -> Result<(), DecodeError> {
        let (name, label, values) = match (kind, afi) {
            (1, _) => ("destination_prefix", "Dest", Values::Prefix),
            (2, _) => ("source_prefix", "Source", Values::Prefix),
            (3, Afi::Ipv4) => ("ip_protocol", "Proto", Values::Numbers),
            (3, Afi::Ipv6) => ("upper_layer_protocol", "Proto", Values::Numbers),
            (4, _) => ("port", "Port", Values::Numbers),
            (5, _) => ("destination_port", "DPort", Values::Numbers),
            (6, _) => ("source_port", "SPort", Values::Numbers),
            (7, _) => ("icmp_type", "ICMPType", Values::Numbers),
            (8, _) => ("icmp_code", "ICMPCode", Values::Numbers),
            (9, _) => ("tcp_flags", "TCPFlags", Values::TcpFlags),
            (10, _) => ("packet_length", "Length", Values::Numbers),
            (11, _) => ("dscp", "DSCP", Values::Numbers),
            (12, _) => ("fragment", "Frag", Values::Fragment),
            (13, Afi::Ipv6) => ("flow_label", "FlowLabel", Values::Numbers),
            _ => return Err(DecodeError::new(at, "component type", format!("{kind} is not known"))),
        };
        let text = match (values, afi) {
            (Values::Prefix, Afi::Ipv4) => self.ipv4_prefix(body)?,
            (Values::Prefix, Afi::Ipv6) => self.ipv6_prefix(body)?,
            (Values::Numbers, _) => self.list(body, number)?,
            (Values::TcpFlags, _) => self.list(body, tcp_flags)?,
            (Values::Fragment, _) => self.list(body, fragment)?,
        };
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(label);
        self.text.push(':');
        self.text.push_str(&text);
        fields.add(name, text);
        Ok(())
    }

    /// A prefix as in an UPDATE (RFC 8955 section 4.2.2.1).
    fn ipv4_prefix(&mut self, body: &mut Reader<'_>) -> Result<String, DecodeError> {
        let at = body.offset();
        let length = body.u8("prefix length")?;
        let octets = body.take(usize::from(length).div_ceil(8), "prefix")?;
        let prefix = Prefix::truncating(Afi::Ipv4, octets, length)
            .map_err(|_| DecodeError::new(at, "prefix length", format!("{length} is too long for IPv4")))?;
        self.is_shortest &= prefix.octets().starts_with(octets);
        Ok(prefix.to_string())
    }

    /// Length, offset, and the pattern of the bits between them, at the top of its octets (RFC 8956 section 3.1).
    fn ipv6_prefix(&mut self, body: &mut Reader<'_>) -> Result<String, DecodeError> {
        let at = body.offset();
        let (length, offset) = (body.u8("prefix length")?, body.u8("prefix offset")?);
        if length > 128 || (offset >= length && (length, offset) != (0, 0)) {
            let why = format!("length {length} and offset {offset} are not in the range offset < length < 129");
            return Err(DecodeError::new(at, "prefix length", why));
        }
        let bits = match self.pattern {
            Pattern::FromOffset => length - offset,
            Pattern::Whole => length,
        };
        let pattern = body.take(usize::from(bits).div_ceil(8), "prefix pattern")?;
        let mut octets = [0; 16];
        octets[..pattern.len()].copy_from_slice(pattern);
        let sent = u128::from_be_bytes(octets);
        let meant = sent & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or_default();
        self.is_shortest &= sent == meant && (self.pattern == Pattern::FromOffset || offset == 0);
        let address = Ipv6Addr::from(match self.pattern {
            Pattern::FromOffset => meant >> offset,
            Pattern::Whole => meant & u128::MAX >> offset,
        });
        Ok(if offset == 0 { format!("{address}/{length}") } else { format!("{address}/{offset}-{length}") })
    }

    /// Reads pairs of an operator and a value up to the one with the end-of-list bit (RFC 8955 section 4.2.1): joined by
    /// `&` if both must match, else by `|`.
    fn list(&mut self, body: &mut Reader<'_>, text: fn(u8, u64) -> String) -> Result<String, DecodeError> {
        const END: u8 = 0x80;
        const AND: u8 = 0x40;
        const UNUSED: u8 = 0x08;
        let mut all = String::new();
        loop {
            let operator = body.u8("operator")?;
            let size = 1_usize << (operator >> 4 & 3);
            let value = body.take(size, "value")?.iter().fold(0, |value, octet| value << 8 | u64::from(*octet));
            let is_and = operator & AND != 0;
            // The bit of the first operator counts as unset.
            match (all.is_empty(), is_and) {
                (true, _) => self.is_shortest &= !is_and,
                (false, true) => all.push('&'),
                (false, false) => all.push('|'),
            }
            let is_short = size == 1 || value >> (size * 4) != 0;
            self.is_shortest &= is_short && operator & UNUSED == 0;
            all.push_str(&text(operator, value));
            if operator & END != 0 {
                return Ok(all);
            }
        }
    }
}

/// Returns a comparison (RFC 8955 section 4.2.1.1).
fn number(operator: u8, value: u64) -> String {
    match operator & 7 {
        0 => format!("false({value})"),
        1 => format!("={value}"),
        2 => format!(">{value}"),
        3 => format!(">={value}"),
        4 => format!("<{value}"),
        5 => format!("<={value}"),
        6 => format!("!={value}"),
        _ => format!("true({value})"),
    }
}

/// Returns a match of bits (RFC 8955 section 4.2.1.2): `=` before them if all have to be set, else any of them is enough;
/// `!` before both if the match is negated. The bits that are not used stay in the text, so that it differs.
fn bits(operator: u8, value: u64, names: &[(u64, &str)]) -> String {
    let mut left = value;
    let mut text: Vec<String> = Vec::new();
    for (bit, name) in names {
        if value & bit != 0 {
            text.push((*name).into());
            left &= !bit;
        }
    }
    if left != 0 || text.is_empty() {
        text.push(format!("{left:#x}"));
    }
    let not = if operator & 2 != 0 { "!" } else { "" };
    let all = if operator & 1 != 0 { "=" } else { "" };
    let unused = if operator & 4 != 0 { "?" } else { "" };
    format!("{unused}{not}{all}{}", text.join("+"))
}

/// TCP's control bits (RFC 9293 section 3.1).
fn tcp_flags(operator: u8, value: u64) -> String {
    const NAMES: [(u64, &str); 8] = [
        (0x01, "FIN"),
        (0x02, "SYN"),
        (0x04, "RST"),
        (0x08, "PSH"),
        (0x10, "ACK"),
        (0x20, "URG"),
        (0x40, "ECE"),
        (0x80, "CWR"),
    ];
    bits(operator, value, &NAMES)
}

/// The kinds of fragments (RFC 8955 section 4.2.2.12).
fn fragment(operator: u8, value: u64) -> String {
    bits(operator, value, &[(0x01, "DF"), (0x02, "IsF"), (0x04, "FF"), (0x08, "LF")])
}
