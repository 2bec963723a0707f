//! A way to PostgreSQL that breaks at the worst moment: after a COMMIT whose answer never reaches the client.

#![allow(clippy::unwrap_used, dead_code, reason = "test support; each test uses its part of it")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The client's COMMIT on the wire.
const COMMIT: &[u8] = b"COMMIT\0";

/// A listener on loopback; its threads end with the connections through it.
pub struct Proxy {
    pub port: u16,
    /// The number of further answers to a COMMIT that are swallowed, together with the connection.
    pub swallow: Arc<AtomicUsize>,
    /// While it is set, new connections are closed immediately and old ones with their next byte.
    pub is_down: Arc<AtomicBool>,
    /// Host or socket folder, and port, that new connections are forwarded to.
    pub target: Arc<Mutex<(String, u16)>>,
}

impl Proxy {
    /// Forwards to a host or socket folder and a port.
    pub fn start(host: &str, port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let swallow = Arc::new(AtomicUsize::new(0));
        let is_down = Arc::new(AtomicBool::new(false));
        let target = Arc::new(Mutex::new((host.to_owned(), port)));
        let (to, left, down) = (target.clone(), swallow.clone(), is_down.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if down.load(Ordering::SeqCst) {
                    continue;
                }
                // Where nothing listens, nothing answers.
                let (host, port) = to.lock().unwrap().clone();
                if host.starts_with('/') {
                    let Ok(server) = UnixStream::connect(format!("{host}/.s.PGSQL.{port}")) else { continue };
                    let reader = server.try_clone().unwrap();
                    let close = server.try_clone().unwrap();
                    join(client, server, reader, move || drop(close.shutdown(Shutdown::Both)), &left, &down);
                } else {
                    let Ok(server) = TcpStream::connect((host.as_str(), port)) else { continue };
                    let reader = server.try_clone().unwrap();
                    let close = server.try_clone().unwrap();
                    join(client, server, reader, move || drop(close.shutdown(Shutdown::Both)), &left, &down);
                }
            }
        });
        Proxy { port: own, swallow, is_down, target }
    }
}

fn join(
    client: TcpStream,
    mut to_server: impl Write + Send + 'static,
    mut from_server: impl Read + Send + 'static,
    close_server: impl FnOnce() + Send + 'static,
    left: &Arc<AtomicUsize>,
    down: &Arc<AtomicBool>,
) {
    let is_cut = Arc::new(AtomicBool::new(false));
    let (cut, left, down) = (is_cut.clone(), left.clone(), down.clone());
    let (mut from_client, mut to_client) = (client.try_clone().unwrap(), client);
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(length @ 1..) = from_client.read(&mut buffer) {
            let has_commit = buffer[..length].windows(COMMIT.len()).any(|window| window == COMMIT);
            if has_commit && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                cut.store(true, Ordering::SeqCst);
            }
            if down.load(Ordering::SeqCst) || to_server.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        close_server();
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(length @ 1..) = from_server.read(&mut buffer) {
            if is_cut.load(Ordering::SeqCst) || to_client.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
    });
}
