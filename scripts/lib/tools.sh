# Sourced by scripts/test: other people's programs that some tests run. Each is beside the tree, neither installed nor
# started as a service; where one is missing, the tests that need it say that they were skipped.
#
#   fetch_tools      fetches those that are not there, which takes a minute the first time
#   use_tools        puts what was fetched where the tests look for it

AXE_VERSION=4.14.1

fetch_tools() {
    local state
    state=$(state_folder .)
    # Real routers for the end-to-end tests.
    "$here/lab-root" bookworm >/dev/null && "$here/lab-root" trixie >/dev/null || say_missing routers
    # Prometheus and its promtool try the alert rules and the dashboard's queries.
    has promtool || unpack "$state/prometheus" usr/bin/promtool prometheus || say_missing Prometheus
    # A receiver of callbacks.
    has prometheus-alertmanager ||
        unpack "$state/alertmanager" usr/bin/prometheus-alertmanager prometheus-alertmanager || say_missing Alertmanager
    # Reads the MRT files that are exported.
    has bgpdump || unpack "$state/bgpdump" usr/bin/bgpdump bgpdump || say_missing bgpdump
    has_pgbouncer || unpack "$state/pgbouncer" usr/sbin/pgbouncer pgbouncer libevent-2.1-7 libc-ares2 || say_missing pgbouncer
    # A browser draws the pages. It is installed: it needs many libraries.
    (need_command chromium chromium) || say_missing Chromium
    [ -n "${RIB_INGESTER_TEST_AXE:-}" ] || fetch_axe "$state/axe-core/$AXE_VERSION" || say_missing axe-core
}

# axe-core looks for what keeps people from using a page. It is one file, which npm fetches (Debian's npm would bring
# hundreds of packages, so it is not installed for it).
fetch_axe() {
    local folder=$1
    [ ! -s "$folder/package/axe.min.js" ] || return 0
    has npm || return 1
    mkdir -p "$folder"
    (cd "$folder" && npm pack --silent "axe-core@$AXE_VERSION" >/dev/null && tar -xzf "axe-core-$AXE_VERSION.tgz") ||
        { rm -rf "$folder" && return 1; }
}

# unpack FOLDER PROGRAM PACKAGE...: Debian's packages, unless the program is in the folder already.
unpack() {
    local folder=$1 program=$2 package
    shift 2
    [ ! -x "$folder/$program" ] || return 0
    mkdir -p "$folder"
    (cd "$folder" && apt-get -qq download "$@" && for package in *.deb; do dpkg -x "$package" .; done && rm -f ./*.deb)
}

use_tools() {
    local state
    state=$(state_folder .)
    has promtool || PATH=$state/prometheus/usr/bin:$PATH
    has prometheus-alertmanager || PATH=$state/alertmanager/usr/bin:$PATH
    has bgpdump || PATH=$state/bgpdump/usr/bin:$PATH
    if ! has_pgbouncer; then
        PATH=$state/pgbouncer/usr/sbin:$PATH
        LD_LIBRARY_PATH=$(echo "$state"/pgbouncer/usr/lib/*-linux-gnu):${LD_LIBRARY_PATH:-}
        export LD_LIBRARY_PATH
    fi
    local axe=$state/axe-core/$AXE_VERSION/package/axe.min.js
    if [ -z "${RIB_INGESTER_TEST_AXE:-}" ] && [ -s "$axe" ]; then
        export RIB_INGESTER_TEST_AXE=$axe
    fi
}

has() {
    command -v "$1" >/dev/null
}

has_pgbouncer() {
    has pgbouncer || [ -x /usr/sbin/pgbouncer ]
}

say_missing() {
    say "no $1 here: the tests that need it will say that they were skipped"
}
