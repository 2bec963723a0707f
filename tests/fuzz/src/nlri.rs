//! The NLRI of one family that is not prefixes: every octet is in one NLRI, keys are bounded and the same when an NLRI is
//! read alone, and the fields are no longer than a multiple of the octets.

use std::collections::HashSet;

use rib_ingester::model::{AfiSafi, OtherFamily};
use rib_ingester::wire::bgp::add_path::AddPath;
use rib_ingester::wire::bgp::nlri::opaque::OpaqueNlri;
use rib_ingester::wire::reader::Reader;

/// The families that are decoded.
pub const FAMILIES: [(u16, u8); 14] = [
    (25, 70),
    (1, 133),
    (2, 133),
    (1, 134),
    (2, 134),
    (16_388, 71),
    (16_388, 72),
    (1, 73),
    (2, 73),
    (1, 132),
    (1, 5),
    (2, 5),
    (16_388, 80),
    (25, 65),
];

/// The longest key.
const KEY_MAX: usize = 1_000;

/// The first octet chooses the family and whether path identifiers were announced; the rest is the field.
pub fn check(input: &[u8]) {
    let [control, rest @ ..] = input else { return };
    let (afi, safi) = FAMILIES[usize::from(control >> 1) % FAMILIES.len()];
    let add_path = if control & 1 == 0 { AddPath::Plain } else { AddPath::WithPathIds };
    check_field(&OpaqueNlri::new(Reader::new(rest, 0), add_path), AfiSafi { afi, safi });
}

/// Checks a field, and returns its number of octets.
pub fn check_field(field: &OpaqueNlri<'_>, family: AfiSafi) -> usize {
    let size = field.octets().len();
    let Some(kind) = OtherFamily::of(family) else {
        assert!(field.decode(family).is_none());
        return size;
    };
    let all = match field.decode(family).expect("the family is decoded") {
        Ok(all) => all,
        Err(error) => {
            assert!(!error.field.is_empty());
            return size;
        }
    };
    let mut read = 0;
    let mut keys = HashSet::new();
    for nlri in &all {
        read += nlri.octets.len() + nlri.path_id.map_or(0, |_| 4);
        let Ok(fields) = &nlri.fields else { continue };
        let key = fields.key();
        assert!(key.starts_with(kind.name()) && key.is_ascii() && key.len() <= KEY_MAX, "{key}");
        assert!(!key.contains(['\0', '\n', ' ']), "{key}");
        let text = serde_json::to_string(fields.json()).unwrap();
        assert!(text.len() <= 64 * nlri.octets.len() + 256, "{} octets make {text}", nlri.octets.len());
        assert!(!text.contains("null"), "{text}");
        // PostgreSQL stores no NUL.
        assert!(!text.contains("\\u0000"), "{text}");
        if keys.insert(key.clone()) && keys.len() <= 32 {
            let alone = OpaqueNlri::new(Reader::new(nlri.octets, 0), AddPath::Plain);
            let alone = alone.decode(family).unwrap().unwrap();
            // An NLRI of a known type is clean alone, so its own reading is the one that is used.
            assert!(fields.is_unknown() || alone[0].fields.as_ref().is_ok_and(|fields| fields.key() == key), "{key}");
        }
    }
    assert_eq!(read, size, "every octet is in one NLRI");
    size
}
