# Sourced by scripts/lab: what the feeders announce, and what then happens to it.
#
# About 90 prefixes of private and documentation ranges, among them every attribute that has a column of its
# own, AS_SETs, 4-octet AS numbers above 2^31, the largest MED, default and host routes, prefixes that two
# feeders announce, and 10.99.1.0/24 and 10.60.0.0/16, which the FRR routers' policy rejects and colors.

# feed_base: the routes that are there before a collector comes.
feed_base() {
    local i
    for i in $(seq 30); do
        feed 1 add "10.1.$i.0/24" nexthop 192.0.2.21 aspath "64501,$((64510 + i))" med "$i" origin igp
    done
    for i in $(seq 12); do
        feed 1 add "2001:db8:1:$i::/64" nexthop 2001:db8::21 aspath 64501 community "65010:$i" origin igp
    done
    for i in $(seq 15); do
        feed 2 add "10.2.$i.0/24" nexthop 192.0.2.22 aspath "64502,4200000001" community 65010:2 origin egp
    done
    for i in $(seq 8); do
        feed 2 add "2001:db8:2:$i::/64" nexthop 2001:db8::22 aspath "64502,4200000001" origin incomplete
    done
    for i in $(seq 10); do
        feed 2 add "10.1.$i.0/24" nexthop 192.0.2.22 aspath "64502,64503,64504" origin igp
    done
    feed 1 add 203.0.113.0/24 nexthop 192.0.2.21 aspath 64501,64502 med 4294967295 origin igp \
        community 65010:100,65010:200,no-export large-community 65010:1:2,4200000000:3:4
    feed 1 add 198.51.100.0/25 nexthop 192.0.2.21 aspath '64501 {64610,64611}' aggregator 64501:192.0.2.99 origin egp
    feed 1 add 198.51.100.128/25 nexthop 192.0.2.21 aspath 4200000001 origin incomplete
    feed 1 add 10.60.1.0/24 nexthop 192.0.2.21 aspath 64501
    feed 1 add 10.60.2.0/24 nexthop 192.0.2.21 aspath '64501 {64610}' community 65010:60
    feed 1 add 10.99.1.0/24 nexthop 192.0.2.21 aspath 64999
    feed 1 add 0.0.0.0/0 nexthop 192.0.2.21
    feed 1 add 192.0.2.129/32 nexthop 192.0.2.21 aspath 64501
    feed 1 add ::/0 nexthop 2001:db8::21
    feed 1 add 2001:db8:ffff::1/128 nexthop 2001:db8::21 aspath '64502 {1,2}' med 7 large-community 65010:6:6
}

# feed_changes: other attributes, withdrawals, new routes, and a better path that comes and goes.
feed_changes() {
    local i
    for i in $(seq 5); do
        feed 1 add "10.1.$i.0/24" nexthop 192.0.2.21 aspath "64501,$((64510 + i))" med $((100 + i)) origin igp
    done
    for i in 11 12 13; do
        feed 1 add "10.1.$i.0/24" nexthop 192.0.2.77 aspath 64501,64502,64503 community 65010:9 origin egp
    done
    for i in $(seq 20 27); do
        feed 1 del "10.1.$i.0/24"
    done
    for i in $(seq 6); do
        feed 1 add "10.3.$i.0/24" nexthop 192.0.2.21 aspath "64501,64$((600 + i))"
        feed 2 add "2001:db8:3:$i::/64" nexthop 2001:db8::22 aspath 64502
    done
    for i in 1 2 3; do
        feed 1 del "2001:db8:1:$i::/64"
        feed 2 del "2001:db8:2:$i::/64"
    done
    feed 1 del 203.0.113.0/24
    feed 1 add 203.0.113.0/24 nexthop 192.0.2.21 aspath 64501,64502 community 65010:101
    feed 2 add 10.1.14.0/24 nexthop 192.0.2.22
    feed 2 add 10.1.15.0/24 nexthop 192.0.2.22
    feed 2 del 10.1.15.0/24
    feed 1 del 10.1.1.0/24
}
