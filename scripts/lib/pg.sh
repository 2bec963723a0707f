# Sourced by the other scripts: a private PostgreSQL cluster in a folder of its own.
#
#   pg_start FOLDER durable|disposable   sets PG_URL (of the role that owns the database rib), PG_READER_URL, PG_PORT,
#                                        and PG_STARTED unless it ran already
#   pg_stop FOLDER                       does nothing when it is not running
#   pg_super FOLDER ARGUMENTS            psql as the superuser, over the socket in the folder
#
# PG_BIN: the folder of the server's programs, to run another version than the newest that is installed:
# PG_BIN=/usr/lib/postgresql/17/bin scripts/test. Its client programs come first in PATH, if it has any.
# RIB_INGESTER_PG_OPTIONS: more options for a server that is started, such as `-c ssl=on`.
#
# The server listens on a Unix socket inside the folder and on one free port of 127.0.0.1. The folder
# belongs to the user that runs the server and nobody else may enter it: the superuser comes in through the
# socket only; over TCP a password is asked, which is made once per cluster.
# PostgreSQL refuses to run as root: then the server runs as the user `postgres`.
# PG_OPTIONS: more settings for the server, as `-c name=value`.
# `disposable` clusters are for tests: they do not wait for the disk, and their time zone is far from UTC, so
# that a day taken in the wrong zone shows.

PG_OLDEST=15

# The folder of the server's programs, in PG_BIN; installs Debian's PostgreSQL when there is none.
pg_find() {
    if [ -n "${PG_BIN:-}" ]; then
        pg_is_usable "$PG_BIN" || die "PG_BIN=$PG_BIN has no PostgreSQL >= $PG_OLDEST with the extension btree_gist"
        [[ :$PATH: == *:$PG_BIN:* ]] || export PATH=$PG_BIN:$PATH
        return
    fi
    pg_newest_installed && return
    pg_install
    pg_newest_installed || die "no PostgreSQL >= $PG_OLDEST found after the installation"
}

pg_is_usable() {
    local folder=$1 version share
    version=$("$folder/postgres" --version 2>/dev/null | sed -E 's/.* ([0-9]+)[.a-z].*/\1/')
    [ "${version:-0}" -ge "$PG_OLDEST" ] || return 1
    for share in "$folder/../share" "$folder/../share/postgresql" "/usr/share/postgresql/$version"; do
        [ ! -e "$share/extension/btree_gist.control" ] || return 0
    done
    return 1
}

pg_newest_installed() {
    local folder
    while read -r folder; do
        if pg_is_usable "$folder"; then
            PG_BIN=$folder
            return 0
        fi
    done < <(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV; pg_config --bindir 2>/dev/null)
    return 1
}

# Debian's package makes a cluster "main" and starts it, now and at every boot. Nobody asked for that one.
pg_install() {
    local folder=/etc/postgresql-common/createcluster.d file as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    file=$folder/zz-rib-ingester.conf
    need_packages postgresql-common
    $as_root mkdir -p "$folder"
    echo 'create_main_cluster = false' | $as_root tee "$file" >/dev/null
    need_packages postgresql
    $as_root rm -f "$file"
}

# pg_as COMMAND: as the user that owns the cluster.
pg_as() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && runuser -u postgres -- "$@")
    else
        "$@"
    fi
}

pg_super() {
    local folder=$1
    shift
    pg_as env PGHOST="$folder/socket" PGPORT="$(pg_port "$folder")" PGUSER=postgres PGDATABASE=postgres \
        "$PG_BIN/psql" -qXAt -v ON_ERROR_STOP=1 "$@"
}

pg_port() {
    sed -n 4p "$1/data/postmaster.pid" 2>/dev/null
}

pg_start() {
    local folder=$1 kind=$2
    pg_find
    if [ "$(id -u)" = 0 ] && ! id postgres >/dev/null 2>&1; then
        die "PostgreSQL does not run as root and there is no user postgres: please make one"
    fi
    mkdir -p "$folder"
    folder=$(cd "$folder" && pwd)
    [ "$(id -u)" != 0 ] || chown postgres: "$folder"
    chmod 700 "$folder"
    pg_as test -w "$folder" ||
        die "the user postgres cannot reach $folder: please name another folder, one whose parents everybody may enter"
    [ "${#folder}" -lt 80 ] || die "$folder: a Unix socket's path must be shorter than that"
    [ -s "$folder/data/PG_VERSION" ] || pg_create "$folder"
    pg_as mkdir -p "$folder/socket"
    PG_STARTED=
    if ! pg_as "$PG_BIN/pg_ctl" -s -D "$folder/data" status >/dev/null 2>&1; then
        pg_launch "$folder" "$kind"
        PG_STARTED=yes
    fi
    PG_PORT=$(pg_port "$folder")
    local secret
    secret=$(pg_as cat "$folder/password")
    pg_super "$folder" -c "SELECT 1" >/dev/null || die "PostgreSQL in $folder does not answer"
    PG_URL="postgresql://rib:$secret@127.0.0.1:$PG_PORT/rib"
    PG_READER_URL="postgresql://rib_reader:$secret@127.0.0.1:$PG_PORT/rib"
}

# The cluster, the two roles and the database. The owner may create databases, as the tests do, and is no superuser.
pg_create() {
    local folder=$1 secret
    secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    pg_as rm -rf "$folder/data"
    pg_as "$PG_BIN/initdb" -D "$folder/data" -U postgres -E UTF8 --locale=C.UTF-8 --auth-local=trust \
        --auth-host=scram-sha-256 >/dev/null || die "initdb failed in $folder"
    pg_as sh -c 'umask 077; echo "$1" >"$2"' sh "$secret" "$folder/password"
    pg_as mkdir -p "$folder/socket"
    pg_launch "$folder" durable
    pg_super "$folder" \
        -c "CREATE ROLE rib LOGIN CREATEDB PASSWORD '$secret'" \
        -c "CREATE ROLE rib_reader LOGIN PASSWORD '$secret'" \
        -c "CREATE DATABASE rib OWNER rib" || die "could not make the roles and the database"
    pg_super "$folder" -d rib -c "GRANT USAGE ON SCHEMA public TO rib_reader" \
        -c "ALTER DEFAULT PRIVILEGES FOR ROLE rib IN SCHEMA public GRANT SELECT ON TABLES TO rib_reader" \
        -c "CREATE SCHEMA watch AUTHORIZATION rib" -c "GRANT USAGE ON SCHEMA watch TO rib_reader" \
        -c "ALTER DEFAULT PRIVILEGES FOR ROLE rib IN SCHEMA watch GRANT SELECT ON TABLES TO rib_reader" \
        -c "CREATE SCHEMA tenant AUTHORIZATION rib" -c "GRANT USAGE ON SCHEMA tenant TO rib_reader" \
        -c "ALTER DEFAULT PRIVILEGES FOR ROLE rib IN SCHEMA tenant GRANT SELECT ON TABLES TO rib_reader" \
        -c "CREATE SCHEMA rpki AUTHORIZATION rib" -c "GRANT USAGE ON SCHEMA rpki TO rib_reader" \
        -c "ALTER DEFAULT PRIVILEGES FOR ROLE rib IN SCHEMA rpki GRANT SELECT ON TABLES TO rib_reader" \
        -c "CREATE SCHEMA inventory AUTHORIZATION rib" -c "GRANT USAGE ON SCHEMA inventory TO rib_reader" \
        -c "ALTER DEFAULT PRIVILEGES FOR ROLE rib IN SCHEMA inventory GRANT SELECT ON TABLES TO rib_reader" \
        -c "CREATE SCHEMA registry AUTHORIZATION rib" -c "GRANT USAGE ON SCHEMA registry TO rib_reader" \
        -c "ALTER DEFAULT PRIVILEGES FOR ROLE rib IN SCHEMA registry GRANT SELECT ON TABLES TO rib_reader" \
        -c "CREATE SCHEMA names AUTHORIZATION rib" -c "GRANT USAGE ON SCHEMA names TO rib_reader" \
        -c "ALTER DEFAULT PRIVILEGES FOR ROLE rib IN SCHEMA names GRANT SELECT ON TABLES TO rib_reader" ||
        die "could not grant to the reader"
    pg_stop "$folder"
}

# pg_copy FOLDER PRIMARY: the files of a streaming replica of the server that runs in PRIMARY, for pg_start.
pg_copy() {
    local folder=$1 primary=$2
    pg_find
    mkdir -p "$folder"
    [ "$(id -u)" != 0 ] || chown postgres: "$folder"
    chmod 700 "$folder"
    pg_as "$PG_BIN/pg_basebackup" -h "$primary/socket" -p "$(pg_port "$primary")" -U postgres -D "$folder/data" \
        --write-recovery-conf --checkpoint=fast || die "could not copy the server in $primary"
    pg_as cp "$primary/password" "$folder/password"
}

# Starts the server on a free port. Another program may take the port in between: then the next one is tried.
pg_launch() {
    local folder=$1 kind=$2 try port options
    for try in 1 2 3 4 5 6 7 8; do
        port=$(free_port)
        options="-c port=$port -c listen_addresses=127.0.0.1 -c unix_socket_directories='$folder/socket'"
        options+=" -c max_connections=200 -c shared_buffers=256MB -c max_wal_size=4GB -c logging_collector=off"
        options+=" ${PG_OPTIONS:-}"
        if [ "$kind" = disposable ]; then
            options+=" -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c timezone=Pacific/Kiritimati"
        else
            options+=" -c timezone=UTC"
        fi
        options+=" ${RIB_INGESTER_PG_OPTIONS:-}"
        # setsid: a Ctrl-C at the terminal is for the script, which then stops the server itself.
        if pg_as setsid "$PG_BIN/pg_ctl" -s -w -t 60 -D "$folder/data" -l "$folder/log" -o "$options" start \
            >/dev/null 2>&1 </dev/null; then
            return
        fi
    done
    pg_as tail -n 20 "$folder/log" >&2
    die "PostgreSQL did not start in $folder"
}

pg_stop() {
    local folder=$1
    [ -e "$folder/data/postmaster.pid" ] || return 0
    pg_as "$PG_BIN/pg_ctl" -s -w -t 60 -m fast -D "$folder/data" stop >/dev/null 2>&1 ||
        pg_as "$PG_BIN/pg_ctl" -s -w -t 60 -m immediate -D "$folder/data" stop >/dev/null 2>&1
}
