//! The collector's binary under test, and routers that talk to it.

use std::fmt::Debug;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// The longest time that a condition may take to come true on a slow machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// The longest time in all, where the value that is waited for keeps changing.
const DEADLINE_MOVING: Duration = Duration::from_secs(110);

/// Waits until `check` gives a value; fails the test with `what` at the deadline.
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(begin.elapsed() < DEADLINE, "did not happen in {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until `actual` equals `expected`, and shows the last difference if it never does or nothing changes any more.
pub fn eventually_equal<T: PartialEq + Debug>(expected: T, mut actual: impl FnMut() -> T) {
    let begin = Instant::now();
    let (mut last, mut moved) = (None, begin);
    loop {
        let value = actual();
        if value == expected {
            return;
        }
        if moved.elapsed() > DEADLINE || begin.elapsed() > DEADLINE_MOVING {
            assert_eq!(value, expected, "still different after {:?}", begin.elapsed());
        }
        if last.as_ref() != Some(&value) {
            (last, moved) = (Some(value), Instant::now());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `rib-ingester serve` on free loopback ports: no test may take one that another collector on this machine has.
pub fn serve(database_url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.arg("serve").env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("RIB_INGESTER_DATABASE_URL", database_url);
    command.env("RIB_INGESTER_BMP_LISTEN", "127.0.0.1:0").env("RIB_INGESTER_HTTP_LISTEN", "127.0.0.1:0");
    command
}

/// A running `rib-ingester serve`.
pub struct Ingester {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<std::thread::JoinHandle<()>>,
    state_dir: PathBuf,
}

impl Ingester {
    /// Starts the collector on a free loopback port and waits until routers can connect.
    pub fn start(database_url: &str, settings: &[(&str, &str)]) -> Ingester {
        Ingester::start_with(database_url, settings, &[])
    }

    /// The same with environment variables that are not settings.
    pub fn start_with(database_url: &str, settings: &[(&str, &str)], vars: &[(&str, &str)]) -> Ingester {
        let mut ingester = Ingester::spawn_with(database_url, settings, vars);
        let line = ingester.logged("waiting for routers on ");
        ingester.address = address_at_the_end(&line);
        ingester
    }

    /// Starts the collector without waiting: its database may be unavailable.
    pub fn spawn(database_url: &str, settings: &[(&str, &str)]) -> Ingester {
        Ingester::spawn_with(database_url, settings, &[])
    }

    /// The same with environment variables that are not settings.
    pub fn spawn_with(database_url: &str, settings: &[(&str, &str)], vars: &[(&str, &str)]) -> Ingester {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let state_dir = std::env::temp_dir().join(format!("rib-ingester-test-{}-{number}", std::process::id()));
        let mut child = serve(database_url)
            .env("RIB_INGESTER_FLUSH_MS", "20")
            .env("RIB_INGESTER_COLLECTOR_ID", "test")
            .env("RIB_INGESTER_STATE_DIR", &state_dir)
            .envs(settings.iter().map(|(name, value)| (format!("RIB_INGESTER_{name}"), value)))
            .envs(vars.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let into = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("collector: {line}");
                into.lock().unwrap().push(line);
            }
        });
        Ingester { child, address: "127.0.0.1:0".parse().unwrap(), log, reader: Some(reader), state_dir }
    }

    /// Waits for a log line that contains `text`.
    pub fn logged(&mut self, text: &str) -> String {
        eventually(&format!("log line with {text:?}"), || {
            if let Some(status) = self.child.try_wait().unwrap() {
                let log = self.log.lock().unwrap();
                assert!(log.iter().any(|line| line.contains(text)), "collector ended with {status} before {text:?}");
            }
            self.log.lock().unwrap().iter().find(|line| line.contains(text)).cloned()
        })
    }

    /// The number of log lines that contain `text` so far.
    pub fn count_logged(&self, text: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }

    /// All log lines so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The folder of the collector's files.
    pub fn state_dir(&self) -> &PathBuf {
        &self.state_dir
    }

    /// The address of the BMP port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the HTTP port.
    pub fn http(&mut self) -> SocketAddr {
        address_at_the_end(&self.logged("http: "))
    }

    /// The answer to a GET: status, head, body.
    pub fn get(&mut self, target: &str) -> (u16, String, String) {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        answer(self.http(), request.as_bytes())
    }

    /// The same for a browser.
    pub fn browse(&mut self, target: &str) -> (u16, String, String) {
        let accept = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";
        answer(self.http(), format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{accept}\r\n\r\n").as_bytes())
    }

    /// Connects as a router.
    pub fn connect(&self) -> FakeRouter {
        FakeRouter { stream: TcpStream::connect(self.address).unwrap() }
    }

    /// Connects as a router from this address of the machine.
    pub fn connect_from(&self, source: &str) -> FakeRouter {
        let source: IpAddr = source.parse().unwrap();
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        FakeRouter { stream: socket.into() }
    }

    /// The address that follows these words in a log line.
    pub fn address_logged(&mut self, text: &str) -> SocketAddr {
        address_at_the_end(&self.logged(text))
    }

    /// The collector's process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A number from the collector's `/proc/PID/status`: `Threads`, or `VmRSS` in KiB.
    pub fn proc_status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Sends SIGTERM and returns the exit status.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        let child = &mut self.child;
        eventually("collector ends after SIGTERM", || child.try_wait().unwrap())
    }

    /// Returns whether the collector has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until the collector has ended by itself: its exit status and its whole log.
    pub fn ended(mut self) -> (ExitStatus, Vec<String>) {
        let child = &mut self.child;
        let status = eventually("collector ends by itself", || child.try_wait().unwrap());
        // Its last lines are on their way through the pipe.
        let reader = self.reader.take().expect("it is waited for once");
        reader.join().unwrap();
        (status, self.log())
    }

    /// Sends SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Ingester {
    fn drop(&mut self) {
        // Already ended and waited for in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.state_dir);
    }
}

/// The last word of a line, which as JSON ends with more.
fn address_at_the_end(line: &str) -> SocketAddr {
    line.rsplit(' ').next().unwrap().trim_end_matches(['"', '}']).parse().unwrap()
}

/// The answer of an HTTP port to these bytes: status, head, body.
pub fn answer(address: SocketAddr, request: &[u8]) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

/// The router's end of a BMP session. Dropping it closes the connection without a Termination.
pub struct FakeRouter {
    stream: TcpStream,
}

impl FakeRouter {
    /// Connects to a collector's BMP port.
    pub fn connect(address: SocketAddr) -> FakeRouter {
        FakeRouter { stream: TcpStream::connect(address).unwrap() }
    }

    /// The router's end of this connection.
    pub fn of(stream: TcpStream) -> FakeRouter {
        FakeRouter { stream }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> &mut FakeRouter {
        self.stream.write_all(bytes).unwrap();
        self
    }

    /// Sends bytes that the collector may refuse by closing the connection.
    pub fn send_or_be_cut(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Returns whether the collector has closed the connection, without waiting for it.
    pub fn is_gone(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let gone = match std::io::Read::read(&mut self.stream, &mut [0; 1]) {
            Ok(0) => true,
            Ok(_) => panic!("a BMP collector never sends"),
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        self.stream.set_nonblocking(false).unwrap();
        gone
    }

    /// The number of bytes in the collector's kernel that the collector has not read, and of ours that ours has not
    /// sent.
    pub fn unread(&self) -> usize {
        let (ours, theirs) = (self.stream.local_addr().unwrap().port(), self.stream.peer_addr().unwrap().port());
        let (ours, theirs) = (format!(":{ours:04X}"), format!(":{theirs:04X}"));
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let connections = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let number = |text: &str| usize::from_str_radix(text, 16).unwrap();
        connections
            .filter_map(|fields| {
                let (sending, receiving) = fields[4].split_once(':').unwrap();
                let is = |from: &str, to: &str| fields[1].ends_with(from) && fields[2].ends_with(to);
                let here = is(&ours, &theirs).then(|| number(sending));
                here.or_else(|| is(&theirs, &ours).then(|| number(receiving)))
            })
            .sum()
    }

    /// The seconds until the collector's kernel next asks whether this end is alive.
    pub fn keepalive(&self) -> Option<f64> {
        let (ours, theirs) = (self.stream.local_addr().unwrap().port(), self.stream.peer_addr().unwrap().port());
        let (local, remote) = (format!(":{theirs:04X}"), format!(":{ours:04X}"));
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut connections = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let fields = connections.find(|fields| fields[1].ends_with(&local) && fields[2].ends_with(&remote))?;
        // Timer 2 is that of the keepalive; its time is in hundredths of a second.
        let ticks = fields[5].strip_prefix("02:")?;
        Some(f64::from(u32::from_str_radix(ticks, 16).unwrap()) / 100.0)
    }

    /// Returns whether the collector has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        use std::io::Read;
        self.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        match self.stream.read(&mut [0; 1]) {
            Ok(0) => true,
            Ok(_) => panic!("a BMP collector never sends"),
            Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        }
    }
}
