# Sourced by scripts/run for its examples: a router in a few lines of shell. Messages are made as hex digits and sent
# over a connection that stays open as long as the script runs.
#
#   router_connect edge1 192.0.2.1 64496            a router: its name, BGP Identifier and AS
#   router_peer_up edge1 198.51.100.7 64500         a peer of it comes up
#   router_announce edge1 198.51.100.7 64500 '64500 64501' 203.0.113.0/24 ...
#   router_withdraw edge1 198.51.100.7 64500 203.0.113.0/24 ...
#   router_end_of_rib edge1 198.51.100.7 64500
#   router_peer_down edge1 198.51.100.7 64500 6 2 'maintenance until 06:00 UTC'
#
# Routes are those before the policy of the router, IPv4 or IPv6, of unicast.

declare -A ROUTER_FD ROUTER_ID ROUTER_AS

# router_connect NAME BGP_ID ASN: opens the BMP session and sends the Initiation.
router_connect() {
    local fd
    exec {fd}<>"/dev/tcp/127.0.0.1/$port"
    ROUTER_FD[$1]=$fd ROUTER_ID[$1]=$2 ROUTER_AS[$1]=$3
    router_send "$1" 4 "$(bmp_tlv 1 "example router")$(bmp_tlv 2 "$1")"
}

# router_peer_up NAME PEER ASN
router_peer_up() {
    local sent received
    sent=$(bgp_open "${ROUTER_AS[$1]}" "${ROUTER_ID[$1]}")
    received=$(bgp_open "$3" "$(bgp_id_of "$2")")
    router_send "$1" 3 "$(bmp_peer "$2" "$3")$(printf '%032x%04x%04x' 0 179 50000)$sent$received"
}

# router_peer_down NAME PEER ASN CODE SUBCODE [TEXT]: by a NOTIFICATION of the peer, with the text of RFC 9003.
router_peer_down() {
    local text=
    [ -z "${6:-}" ] || text=$(printf '%02x' "$(printf %s "$6" | wc -c)")$(hex_of "$6")
    router_send "$1" 2 "$(bmp_peer "$2" "$3")03$(bgp_message 3 "$(printf '%02x%02x' "$4" "$5")$text")"
}

# router_announce NAME PEER ASN PATH PREFIX...
router_announce() {
    local name=$1 peer=$2 asn=$3 path=$4 hops= count=0 hop prefix attributes
    shift 4
    for hop in $path; do
        hops+=$(printf %08x "$hop") count=$((count + 1))
    done
    attributes=40010100$(bgp_attribute 40 2 "$(printf '02%02x' "$count")$hops")
    for prefix; do
        case $prefix in
        *:*)
            router_update "$name" "$peer" "$asn" '' \
                "$attributes$(bgp_attribute 80 14 "00020110$(address_hex 2001:db8::1)00$(prefix_hex "$prefix")")" '' ;;
        *)
            router_update "$name" "$peer" "$asn" '' \
                "$attributes$(bgp_attribute 40 3 "$(address_hex 192.0.2.254 | tail -c 8)")" "$(prefix_hex "$prefix")" ;;
        esac
    done
}

# router_withdraw NAME PEER ASN PREFIX...
router_withdraw() {
    local name=$1 peer=$2 asn=$3 prefix
    shift 3
    for prefix; do
        case $prefix in
        *:*) router_update "$name" "$peer" "$asn" '' "$(bgp_attribute 80 15 "000201$(prefix_hex "$prefix")")" '' ;;
        *) router_update "$name" "$peer" "$asn" "$(prefix_hex "$prefix")" '' '' ;;
        esac
    done
}

# router_end_of_rib NAME PEER ASN: of IPv4 and IPv6 unicast (RFC 4724).
router_end_of_rib() {
    router_update "$1" "$2" "$3" '' '' ''
    router_update "$1" "$2" "$3" '' "$(bgp_attribute 80 15 000201)" ''
}

# router_disconnect NAME: as a router that is cut off.
router_disconnect() {
    local fd=${ROUTER_FD[$1]}
    exec {fd}>&-
}

# router_update NAME PEER ASN WITHDRAWN ATTRIBUTES NLRI: the parts of an UPDATE in hex (RFC 4271 section 4.3).
router_update() {
    router_send "$1" 0 "$(bmp_peer "$2" "$3")$(bgp_message 2 "$(printf '%04x%s%04x%s%s' $((${#4} / 2)) "$4" $((${#5} / 2)) "$5" "$6")")"
}

# router_send NAME TYPE BODY: a BMP message (RFC 7854 section 4.1).
router_send() {
    local hex
    hex=$(printf '03%08x%02x%s' $((${#3} / 2 + 6)) "$2" "$3")
    # The format is the message: each octet as an escape.
    # shellcheck disable=SC2059
    printf "$(sed 's/../\\x&/g' <<<"$hex")" >&"${ROUTER_FD[$1]}"
}

# bmp_peer ADDRESS ASN: the per-peer header of an Adj-RIB-In before policy (RFC 7854 section 4.2).
bmp_peer() {
    local flags=00
    case $1 in *:*) flags=80 ;; esac
    printf '00%s%016x%s%08x%s%08x%08x' "$flags" 0 "$(address_hex "$1")" "$2" "$(address_hex "$(bgp_id_of "$1")" | tail -c 8)" "$(date +%s)" 0
}

bmp_tlv() {
    printf '%04x%04x%s' "$1" "$(printf %s "$2" | wc -c)" "$(hex_of "$2")"
}

# bgp_open ASN BGP_ID: with IPv4 and IPv6 unicast, and AS numbers of four octets.
bgp_open() {
    local short=$(($1 > 65535 ? 23456 : $1))
    bgp_message 1 "04$(printf %04x $short)00b4$(address_hex "$2" | tail -c 8)1402120104000100010104000200014104$(printf %08x "$1")"
}

bgp_message() {
    printf '%s%04x%02x%s' ffffffffffffffffffffffffffffffff $((${#2} / 2 + 19)) "$1" "$2"
}

bgp_attribute() {
    printf '%s%02x%02x%s' "$1" "$2" $((${#3} / 2)) "$3"
}

# bgp_id_of ADDRESS: the address itself, or one made of the last group of an IPv6 address.
bgp_id_of() {
    case $1 in
    *:*) echo "198.51.100.$((0x0${1##*:} % 250 + 1))" ;;
    *) echo "$1" ;;
    esac
}

# address_hex ADDRESS: 16 octets; those of IPv4 are the last four.
address_hex() {
    local head tail groups gap
    case $1 in
    *:*)
        head=${1%%::*} tail=
        [ "$head" = "$1" ] || tail=${1##*::}
        groups="${head//:/ } ${tail//:/ }"
        # shellcheck disable=SC2086
        set -- $groups
        gap=$(printf '%*s' $((8 - $#)) '')
        # shellcheck disable=SC2086
        set -- ${head//:/ } ${gap// /0 } ${tail//:/ }
        while [ $# -gt 0 ]; do
            printf %04x $((0x$1))
            shift
        done ;;
    *) printf '%024x%02x%02x%02x%02x' 0 ${1//./ } ;;
    esac
}

# prefix_hex PREFIX: its length and as many octets as it needs.
prefix_hex() {
    local length=${1##*/} hex
    hex=$(address_hex "${1%/*}")
    case $1 in *:*) ;; *) hex=${hex:24} ;; esac
    printf '%02x%s' "$length" "${hex:0:$(((length + 7) / 8 * 2))}"
}

hex_of() {
    printf %s "$1" | od -An -v -tx1 | tr -d ' \n'
}
