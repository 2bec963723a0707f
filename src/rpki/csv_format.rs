//! CSV: `csv`, `csvcompat` and `csvext` of Routinator, and that of rpki-client, told apart by their headers.

use super::parsed::{ENTRIES_MAX, ParsedSet, VrpReader, parse_asn, parse_time};

/// The columns that are read, by their places.
struct Columns {
    asn: usize,
    prefix: usize,
    max_length: Option<usize>,
    trust_anchor: Option<usize>,
    expires: Option<usize>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<ParsedSet, String> {
    // The last line of a set that was cut may look whole.
    if !bytes.ends_with(b"\n") {
        return Err("ends inside a line: it was cut short".to_owned());
    }
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(|error| format!("is not CSV: {error}"))?;
    let place =
        |names: &[&str]| header.iter().position(|column| names.iter().any(|name| column.eq_ignore_ascii_case(name)));
    let (Some(asn), Some(prefix)) = (place(&["ASN"]), place(&["IP Prefix", "Prefix"])) else {
        return Err("is neither JSON nor CSV with the columns ASN and IP Prefix".to_owned());
    };
    let columns = Columns {
        asn,
        prefix,
        max_length: place(&["Max Length", "MaxLength"]),
        trust_anchor: place(&["Trust Anchor", "TA"]),
        expires: place(&["Expires", "Not After"]),
    };
    let mut vrps = VrpReader::default();
    let mut set = ParsedSet::default();
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(set),
            Err(error) => return Err(format!("line {line}: {error}")),
        }
        if set.vrps.len() >= ENTRIES_MAX {
            return Err(format!("has more than {ENTRIES_MAX} VRPs"));
        }
        set.vrps.push(row(&mut vrps, &columns, &record).map_err(|why| format!("line {line}: {why}"))?);
    }
}

fn row(vrps: &mut VrpReader, columns: &Columns, record: &csv::StringRecord) -> Result<crate::model::rpki::Vrp, String> {
    let at = |place: Option<usize>| place.and_then(|place| record.get(place)).filter(|text| !text.is_empty());
    let asn = parse_asn(&record[columns.asn])?;
    let number = |text: &str| text.parse::<i64>().map_err(|_| "maxLength is not a number".to_owned());
    let max_length = at(columns.max_length).map(number).transpose()?;
    let expires = at(columns.expires).map(parse_time).transpose()?;
    vrps.vrp(&record[columns.prefix], max_length, asn, at(columns.trust_anchor), expires)
}
