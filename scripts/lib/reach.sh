# Sourced by the other scripts: how the collector that they started is reached.

# say_how_to_reach BMP_ADDRESS HTTP_ADDRESS ALLOW: the last lines of a script that leaves a collector running. ALLOW is
# empty where only this machine may connect.
say_how_to_reach() {
    local bmp=$1 http=$2 allow=$3
    if [ "$http" = off ]; then
        say "status page: off (RIB_INGESTER_HTTP_LISTEN)"
    else
        say "status page: http://$http/"
    fi
    case $bmp in
    127.* | '[::1]'*) say "routers: only on this machine, RIB_INGESTER_BMP_LISTEN=$bmp" ;;
    *)
        say "routers: send BMP to port ${bmp##*:} of this machine"
        if [ -n "$allow" ]; then
            say "allowed: RIB_INGESTER_ALLOW=$allow"
        else
            say "allowed: this machine alone; for other routers start with RIB_INGESTER_ALLOW=127.0.0.0/8,192.0.2.0/24," \
                "their addresses in place of 192.0.2.0/24"
        fi
        ;;
    esac
}
