# Sourced by the other scripts: finds what they need and installs what is missing with Debian's own packages.
#
# Nothing is installed when the command is there already. Without root and
# without sudo the script says what to install and ends.

# The message on standard error, then the end of the script that sourced this.
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

say() {
    printf '==> %s\n' "$*" >&2
}

# need_packages PACKAGE...: installs those packages, as root or through sudo.
need_packages() {
    local -a as_root=()
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; } ||
            die "not root and no sudo: please run 'apt-get install --no-install-recommends $*' as root, then try again"
        as_root=(sudo)
    fi
    command -v apt-get >/dev/null || die "no apt-get here: please install what Debian calls $*"
    say "installing $*"
    local log
    log=$(mktemp)
    as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
    # A fresh machine has no package lists yet.
    if ! "${as_root[@]}" install -y --no-install-recommends "$@" >"$log" 2>&1 &&
        ! { "${as_root[@]}" update && "${as_root[@]}" install -y --no-install-recommends "$@"; } >>"$log" 2>&1; then
        tail -n 30 "$log" >&2
        rm -f "$log"
        die "apt-get could not install $*"
    fi
    rm -f "$log"
}

# need_command COMMAND PACKAGE: installs PACKAGE unless COMMAND (a name, or the path of a file) is there.
need_command() {
    command -v "$1" >/dev/null || need_packages "$2"
}

# need_rust: a C compiler links Rust programs and builds the zstd library; neither comes with rustup.
need_rust() {
    command -v cargo >/dev/null || [ ! -x "$HOME/.cargo/bin/cargo" ] || PATH="$HOME/.cargo/bin:$PATH"
    command -v cargo >/dev/null || die "no cargo: please install Rust first (https://rustup.rs)"
    command -v cc >/dev/null || need_packages gcc libc6-dev
}

# state_folder TREE: where what lives longer than one run is kept: .state in the tree. A tree below a home folder
# that only root may enter is out of reach for the user postgres: then a folder under /var/tmp, the same each time.
state_folder() {
    local tree
    tree=$(cd "$1" && pwd)
    if [ "$(id -u)" = 0 ] && ! runuser -u nobody -- test -x "$tree" 2>/dev/null; then
        echo "/var/tmp/rib-ingester-$(printf %s "$tree" | cksum | cut -d' ' -f1)"
    else
        echo "$tree/.state"
    fi
}
