//! Sets of RPKI validators and exceptions (SLURM): any octets are a set or are refused, with a reason that is plain
//! text.

use rib_ingester::model::rpki::Vrp;
use rib_ingester::rpki::formats;
use rib_ingester::rpki::slurm::Slurm;

/// The longest reason: 256 characters, and which entry it is about.
const REASON_MAX: usize = 320;

/// The input is a file: as a set, and as exceptions.
pub fn check(input: &[u8]) {
    match formats::parse(input) {
        Ok(set) => {
            assert!(!set.vrps.is_empty(), "a set without VRPs is refused");
            check_vrps(&set.vrps);
            let is_sorted = set.aspas.is_sorted_by(|a, b| a.customer < b.customer);
            assert!(is_sorted, "each customer stands once: {:?}", set.aspas);
            if let Ok(exceptions) = Slurm::parse(input) {
                let excepted = exceptions.apply(set.vrps);
                excepted.vrps.iter().chain(&excepted.filtered).for_each(check_vrp);
            }
        }
        Err(reason) => check_reason(&reason),
    }
    if let Err(reason) = Slurm::parse(input) {
        check_reason(&reason);
    }
}

fn check_vrps(vrps: &[Vrp]) {
    vrps.iter().for_each(check_vrp);
    let is_sorted = vrps.is_sorted_by(|a, b| (a.prefix, a.max_length, a.asn) <= (b.prefix, b.max_length, b.asn));
    assert!(is_sorted, "VRPs are sorted");
    let key = |vrp: &Vrp| (vrp.prefix, vrp.max_length, vrp.asn, vrp.trust_anchor.clone());
    assert!(vrps.windows(2).all(|pair| key(&pair[0]) != key(&pair[1])), "each VRP stands once");
}

fn check_vrp(vrp: &Vrp) {
    let length = vrp.prefix.length();
    assert!(length <= vrp.max_length && vrp.max_length <= vrp.prefix.afi().max_prefix_length(), "{vrp:?}");
    assert!(!vrp.trust_anchor.chars().any(|c| c.is_control()), "{vrp:?}");
}

/// A reason is shown on pages and in the log.
fn check_reason(reason: &str) {
    let is_plain = !reason.chars().any(|c| c.is_control() || matches!(c, '<' | '>'));
    assert!(is_plain && reason.chars().count() <= REASON_MAX, "{reason:?}");
}

/// Files of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let files = [
        r#"{"metadata":{"generated":1790000000,"generatedTime":"2026-09-21T13:33:20Z"},"roas":[
            {"asn":"AS64496","prefix":"192.0.2.0/24","maxLength":24,"ta":"ripe"},
            {"asn":64497,"prefix":"2001:db8::/32","maxLength":48,"ta":"apnic","expires":1790003600}],
            "aspas":[{"customer_asid":64496,"providers":[64497,"AS64498"]}]}"#,
        r#"{"roas":[{"asn":"AS64496","prefix":"198.51.100.0/24","maxLength":26,
            "source":[{"type":"roa","tal":"arin","validity":{"notBefore":"2026-01-01T00:00:00Z","notAfter":"2027-01-01T00:00:00Z"}}]}]}"#,
        r#"[{"asn":"AS0","prefix":"203.0.113.0/24","maxLength":24}]"#,
        "ASN,IP Prefix,Max Length,Trust Anchor,Expires\nAS64496,192.0.2.0/24,24,ripe,1790003600\nAS64497,2001:db8::/32,48,apnic,\n",
        r#"{"slurmVersion":1,"validationOutputFilters":{"prefixFilters":[{"prefix":"192.0.2.0/24","comment":"a"},{"asn":64496}],"bgpsecFilters":[]},
            "locallyAddedAssertions":{"prefixAssertions":[{"asn":64496,"prefix":"198.51.100.0/24","maxPrefixLength":25}],"bgpsecAssertions":[]}}"#,
    ];
    files.into_iter().map(|file| file.as_bytes().to_vec()).collect()
}
