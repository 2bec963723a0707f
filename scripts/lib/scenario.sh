# Sourced: what the feeders of the lab (scripts/lab) announce, and what then happens to it.
#
# About 90 prefixes of private and documentation ranges, among them every attribute that has a column of its
# own, AS_SETs, 4-octet AS numbers above 2^31, the largest MED, default and host routes, prefixes that two
# feeders announce, and 10.99.1.0/24 and 10.60.0.0/16, which the FRR routers' policy rejects and colours.

# feed_base LAB: the routes that are there before a collector comes.
feed_base() {
    local lab=$1 i
    for i in $(seq 30); do
        announce "$lab" 1 "10.1.$i.0/24" nexthop 192.0.2.21 aspath "64501,$((64510 + i))" med "$i" origin igp
    done
    for i in $(seq 12); do
        announce "$lab" 1 "2001:db8:1:$i::/64" nexthop 2001:db8::21 aspath 64501 community "65010:$i" origin igp
    done
    for i in $(seq 15); do
        announce "$lab" 2 "10.2.$i.0/24" nexthop 192.0.2.22 aspath "64502,4200000001" community 65010:2 origin egp
    done
    for i in $(seq 8); do
        announce "$lab" 2 "2001:db8:2:$i::/64" nexthop 2001:db8::22 aspath "64502,4200000001" origin incomplete
    done
    for i in $(seq 10); do
        announce "$lab" 2 "10.1.$i.0/24" nexthop 192.0.2.22 aspath "64502,64503,64504" origin igp
    done
    announce "$lab" 1 203.0.113.0/24 nexthop 192.0.2.21 aspath 64501,64502 med 4294967295 origin igp \
        community 65010:100,65010:200,no-export large-community 65010:1:2,4200000000:3:4
    announce "$lab" 1 198.51.100.0/25 nexthop 192.0.2.21 aspath '64501 {64610,64611}' aggregator 64501:192.0.2.99 origin egp
    announce "$lab" 1 198.51.100.128/25 nexthop 192.0.2.21 aspath 4200000001 origin incomplete
    announce "$lab" 1 10.60.1.0/24 nexthop 192.0.2.21 aspath 64501
    announce "$lab" 1 10.60.2.0/24 nexthop 192.0.2.21 aspath '64501 {64610}' community 65010:60
    announce "$lab" 1 10.99.1.0/24 nexthop 192.0.2.21 aspath 64999
    announce "$lab" 1 0.0.0.0/0 nexthop 192.0.2.21
    announce "$lab" 1 192.0.2.129/32 nexthop 192.0.2.21 aspath 64501
    announce "$lab" 1 ::/0 nexthop 2001:db8::21
    announce "$lab" 1 2001:db8:ffff::1/128 nexthop 2001:db8::21 aspath '64502 {1,2}' med 7 large-community 65010:6:6
}

# feed_changes LAB: other attributes, withdrawals, new routes, and a better path that comes and goes.
feed_changes() {
    local lab=$1 i
    for i in $(seq 5); do
        announce "$lab" 1 "10.1.$i.0/24" nexthop 192.0.2.21 aspath "64501,$((64510 + i))" med $((100 + i)) origin igp
    done
    for i in 11 12 13; do
        announce "$lab" 1 "10.1.$i.0/24" nexthop 192.0.2.77 aspath 64501,64502,64503 community 65010:9 origin egp
    done
    for i in $(seq 20 27); do
        withdraw "$lab" 1 "10.1.$i.0/24"
    done
    for i in $(seq 6); do
        announce "$lab" 1 "10.3.$i.0/24" nexthop 192.0.2.21 aspath "64501,64$((600 + i))"
        announce "$lab" 2 "2001:db8:3:$i::/64" nexthop 2001:db8::22 aspath 64502
    done
    for i in 1 2 3; do
        withdraw "$lab" 1 "2001:db8:1:$i::/64"
        withdraw "$lab" 2 "2001:db8:2:$i::/64"
    done
    withdraw "$lab" 1 203.0.113.0/24
    announce "$lab" 1 203.0.113.0/24 nexthop 192.0.2.21 aspath 64501,64502 community 65010:101
    announce "$lab" 2 10.1.14.0/24 nexthop 192.0.2.22
    announce "$lab" 2 10.1.15.0/24 nexthop 192.0.2.22
    withdraw "$lab" 2 10.1.15.0/24
    withdraw "$lab" 1 10.1.1.0/24
}

announce() {
    "$here/lab" feed "$1" "$2" add "${@:3}"
}

withdraw() {
    "$here/lab" feed "$1" "$2" del "$3"
}
