//! The sections of the manual page that are derived neither from the commands nor from the settings.

use std::io;

use clap_mangen::roff::{Roff, bold, roman};

/// A list with a heading: each item is a term in bold letters and its text.
type Section = (&'static str, &'static [(&'static str, &'static str)]);

/// The sections, in the order that `man-pages(7)` prescribes.
const SECTIONS: &[Section] = &[
    (
        "EXIT STATUS",
        &[
            ("0", "Done. For serve: stopped cleanly; what was read is stored or in the journal."),
            (
                "1",
                "Failed, or nothing found: the database does not answer, lookup has no match, decode meets a stream that \
                 breaks, doctor finds a fault. Of serve: input was given up at the stop, or a thread ended; another start \
                 is worth a try.",
            ),
            ("2", "Wrong usage or configuration. Nothing was done; retrying does not help."),
            ("3", "Of compare and change: what was compared is different, or worse than before."),
            (
                "4",
                "Of compare and change: nobody can tell, because a router is not in sync or the history is not complete.",
            ),
        ],
    ),
    (
        "FILES",
        &[
            (
                "/etc/rib-ingester/rib-ingester.env",
                "The settings, as systemd reads them for the service; commands run as root read it too.",
            ),
            (
                "/var/lib/rib-ingester",
                "The state folder of the service: the journal, what an earlier process had set aside, and in rejected/ \
                 messages and rows that were refused.",
            ),
            ("/usr/share/doc/rib-ingester", "README and the pages of the documentation, where a package put them."),
            ("/usr/share/rib-ingester", "Prometheus alert rules and a Grafana dashboard, likewise."),
        ],
    ),
    (
        "EXAMPLES",
        &[
            ("rib-ingester doctor", "Checks settings, host and database."),
            ("rib-ingester status --watch", "Shows the routers, refreshed continuously."),
            ("rib-ingester lookup 192.0.2.1", "Shows the route that each router takes to this address."),
            (
                "rib-ingester decode --port 11019 bmp.pcap | jq 'select(.type == \"peer_up\")'",
                "Shows the Peer Ups in a packet capture.",
            ),
            ("rib-ingester export mrt --router edge1 rib.bz2", "Writes the Loc-RIB of a router as an MRT file."),
            (
                "rib-ingester replay latest-bview.gz --to 127.0.0.1:11019 --hold 3600",
                "Plays the routes of a file of RIS to a collector, and keeps them for an hour.",
            ),
            (
                "rib-ingester record --listen 0.0.0.0:11019 --out edge1.bmp",
                "Stores what a router sends, for a bug report.",
            ),
        ],
    ),
    (
        "SEE ALSO",
        &[
            ("systemctl(1), journalctl(1), systemd.exec(5), psql(1), tcpdump(8)", ""),
            ("RFC 7854, RFC 8671, RFC 9069", "The BGP Monitoring Protocol, Adj-RIB-Out and Loc-RIB in it."),
        ],
    ),
];

/// Writes the sections.
pub(super) fn sections(out: &mut impl io::Write) -> io::Result<()> {
    let mut roff = Roff::default();
    for (heading, items) in SECTIONS {
        roff.control("SH", [*heading]);
        for (term, text) in *items {
            roff.control("TP", []);
            roff.text([bold(*term)]);
            roff.text([roman(*text)]);
        }
    }
    roff.to_writer(out)
}
