//! Packet captures made octet by octet: TCP segments in packets in pcap and pcapng files.

use std::net::{IpAddr, SocketAddr};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// One direction of a TCP connection.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    /// The sequence number of the SYN.
    pub first: u32,
}

impl Flow {
    pub fn new(source: &str, destination: &str) -> Flow {
        // The sequence numbers wrap within the first segments.
        Flow { source: source.parse().unwrap(), destination: destination.parse().unwrap(), first: u32::MAX - 5000 }
    }

    /// An IP packet with a segment; `at` counts octets of the stream, the SYN has none.
    pub fn packet(&self, flags: u8, at: usize, payload: &[u8]) -> Vec<u8> {
        let at = u32::try_from(at).unwrap();
        let sequence = if flags & SYN != 0 { self.first } else { self.first.wrapping_add(1).wrapping_add(at) };
        let mut tcp = Vec::new();
        tcp.extend(self.source.port().to_be_bytes());
        tcp.extend(self.destination.port().to_be_bytes());
        tcp.extend(sequence.to_be_bytes());
        // Acknowledgement; offset of 24 octets; window, checksum, urgent pointer; two NOPs and an end of options.
        tcp.extend([0, 0, 0, 0, 0x60, flags, 0xff, 0xff, 0, 0, 0, 0, 1, 1, 0, 0]);
        tcp.extend(payload);
        ip(self.source.ip(), self.destination.ip(), 6, &tcp)
    }

    pub fn syn(&self) -> Vec<u8> {
        self.packet(SYN, 0, b"")
    }

    pub fn fin(&self, at: usize) -> Vec<u8> {
        self.packet(FIN | ACK, at, b"")
    }

    /// The octets in segments of `size`, the first one at `at`.
    pub fn segments(&self, at: usize, octets: &[u8], size: usize) -> Vec<Vec<u8>> {
        octets.chunks(size).enumerate().map(|(i, octets)| self.packet(ACK, at + i * size, octets)).collect()
    }

    /// SYN, octets, FIN.
    pub fn session(&self, octets: &[u8]) -> Vec<Vec<u8>> {
        let mut packets = vec![self.syn()];
        packets.extend(self.segments(0, octets, 1448));
        packets.push(self.fin(octets.len()));
        packets
    }
}

/// An IP packet; IPv6 with a hop-by-hop header.
pub fn ip(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet.extend([0x45, 0]);
            packet.extend(u16::try_from(20 + body.len()).unwrap().to_be_bytes());
            packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(u16::try_from(16 + body.len()).unwrap().to_be_bytes());
            packet.extend([0, 64]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
            packet.extend([protocol, 1, 1, 4, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0]);
        }
        _ => panic!("one address family"),
    }
    packet.extend(body);
    packet
}

/// The link layers, by their number.
pub const LINKS: &[u16] = &[0, 1, 101, 108, 113, 276];

/// An IP packet in its link layer: Ethernet with two VLAN tags and padding.
pub fn link(kind: u16, packet: &[u8]) -> Vec<u8> {
    let is_v6 = packet[0] >> 4 == 6;
    let ethertype: [u8; 2] = if is_v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
    let mut frame = match kind {
        0 => vec![if is_v6 { 30 } else { 2 }, 0, 0, 0],
        1 => [&[2; 12][..], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8], &ethertype].concat(),
        101 => vec![],
        108 => vec![0, 0, 0, 2],
        113 => [&[0; 14][..], &ethertype].concat(),
        276 => [&ethertype[..], &[0; 18]].concat(),
        _ => panic!("link {kind}"),
    };
    frame.extend(packet);
    if kind == 1 {
        frame.extend([0; 6]);
    }
    frame
}

/// A pcap file, little-endian.
pub fn pcap(kind: u16, packets: &[Vec<u8>]) -> Vec<u8> {
    pcap_of(&0xa1b2_c3d4u32.to_le_bytes(), kind, packets, |number| number.to_le_bytes())
}

/// A pcap file with nanoseconds, big-endian.
pub fn pcap_big_endian(kind: u16, packets: &[Vec<u8>]) -> Vec<u8> {
    pcap_of(&0xa1b2_3c4du32.to_be_bytes(), kind, packets, |number| number.to_be_bytes())
}

fn pcap_of(magic: &[u8], kind: u16, packets: &[Vec<u8>], octets: fn(u32) -> [u8; 4]) -> Vec<u8> {
    let mut file = magic.to_vec();
    // Version 2.4, as two numbers of 16 bits.
    file.extend(if octets(1)[0] == 1 { [2, 0, 4, 0] } else { [0, 2, 0, 4] });
    for number in [0, 0, 262_144, u32::from(kind)] {
        file.extend(octets(number));
    }
    for packet in packets {
        let frame = link(kind, packet);
        let length = u32::try_from(frame.len()).unwrap();
        for number in [1_700_000_000, 0, length, length] {
            file.extend(octets(number));
        }
        file.extend(frame);
    }
    file
}

/// A pcapng file of two sections, the second in the other byte order; the packets are of the second interface of each.
pub fn pcapng(kind: u16, packets: &[Vec<u8>]) -> Vec<u8> {
    let (first, second) = packets.split_at(packets.len() / 2);
    let mut file = section(kind, first, u32::to_le_bytes, u16::to_le_bytes);
    file.extend(section(kind, second, u32::to_be_bytes, u16::to_be_bytes));
    file
}

fn section(kind: u16, packets: &[Vec<u8>], long: fn(u32) -> [u8; 4], short: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = long(u32::try_from(12 + body.len() + padding.len()).unwrap());
        [&long(kind)[..], &length, body, &padding, &length].concat()
    };
    let interface = |kind: u16| [&short(kind)[..], &[0, 0], &long(262_144)].concat();
    let mut file = block(0x0a0d_0d0a, &[&long(0x1a2b_3c4d)[..], &short(1), &short(0), &[0xff; 8]].concat());
    file.extend(block(1, &interface(147)));
    file.extend(block(1, &interface(kind)));
    // Of an unassigned type.
    file.extend(block(0x0bad_cafe, b"hello"));
    for packet in packets {
        let frame = link(kind, packet);
        let length = long(u32::try_from(frame.len()).unwrap());
        file.extend(block(6, &[&long(1)[..], &long(0), &long(0), &length, &length, &frame].concat()));
    }
    file
}
