//! A connection pooler that keeps no session: one server connection for all clients, given to each for a transaction.

#![allow(clippy::unwrap_used, dead_code, reason = "test support; each test uses its part of it")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The one server connection, and the server's messages after the first client's login.
#[derive(Default)]
struct Shared {
    server: Option<TcpStream>,
    greeting: Vec<u8>,
}

/// Starts one in front of a server over TCP. Client number `refused`, counted from 0, is turned away. Returns its port;
/// its threads end with the test.
pub fn start(host: &str, port: u16, refused: Option<usize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    let (host, shared) = (host.to_owned(), Arc::new(Mutex::new(Shared::default())));
    std::thread::spawn(move || {
        let clients = listener.incoming().map_while(Result::ok).enumerate();
        for (_, client) in clients.filter(|(number, _)| Some(*number) != refused) {
            let (shared, host) = (Arc::clone(&shared), host.clone());
            std::thread::spawn(move || serve(client, &shared, &host, port));
        }
    });
    own
}

/// One client, until it or the server closes the connection.
fn serve(mut client: TcpStream, shared: &Mutex<Shared>, host: &str, port: u16) -> Option<()> {
    let startup = loop {
        let mut length = [0; 4];
        client.read_exact(&mut length).ok()?;
        let mut rest = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
        client.read_exact(&mut rest).ok()?;
        // An SSLRequest is refused.
        if rest.len() != 4 {
            break [length.to_vec(), rest].concat();
        }
        client.write_all(b"N").ok()?;
    };
    {
        let mut shared = shared.lock().unwrap();
        if shared.server.is_none() {
            let mut server = TcpStream::connect((host, port)).unwrap();
            server.write_all(&startup).unwrap();
            shared.greeting = log_in(&mut client, &mut server)?;
            shared.server = Some(server);
        } else {
            client.write_all(&shared.greeting).ok()?;
        }
    }
    loop {
        let (kind, message) = message(&mut client)?;
        if kind == b'X' {
            return None;
        }
        let shared = shared.lock().unwrap();
        let mut server = shared.server.as_ref().unwrap();
        server.write_all(&message).ok()?;
        let mut asked = matches!(kind, b'Q' | b'S');
        // The server connection is this client's until its transaction is over.
        loop {
            if !asked {
                let (kind, message) = self::message(&mut client)?;
                server.write_all(&message).ok()?;
                asked = matches!(kind, b'Q' | b'S');
                continue;
            }
            let (kind, message) = self::message(&mut server)?;
            client.write_all(&message).ok()?;
            match (kind, message.last()) {
                (b'Z', Some(b'I')) => break,
                (b'Z', _) => asked = false,
                _ => {}
            }
        }
    }
}

/// Passes the first client's login on. Returns the messages that other clients get instead.
fn log_in(client: &mut TcpStream, server: &mut TcpStream) -> Option<Vec<u8>> {
    let mut greeting = Vec::new();
    loop {
        let (kind, bytes) = message(server)?;
        client.write_all(&bytes).ok()?;
        match kind {
            b'R' if bytes[5..9] == [0, 0, 0, 0] => greeting.extend(&bytes),
            // The end of SASL needs no answer.
            b'R' if bytes[5..9] == [0, 0, 0, 12] => {}
            b'R' => server.write_all(&message(client)?.1).ok()?,
            b'Z' => {
                greeting.extend(&bytes);
                return Some(greeting);
            }
            _ => greeting.extend(&bytes),
        }
    }
}

/// One message: its kind and all of it.
fn message(from: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head).ok()?;
    let [kind, length @ ..] = head;
    let mut all = head.to_vec();
    all.resize(1 + usize::try_from(u32::from_be_bytes(length)).unwrap(), 0);
    from.read_exact(&mut all[5..]).ok()?;
    Some((kind, all))
}
