//! Tries what Rust's standard library can do in `wasm32-wasip1`, and tells when it finds something
//! amiss: a clock, randomness and output are there, and nothing else is.

use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::time::{Duration, Instant, SystemTime};

use jackfield_plugin::{Balancer, PickContext};

struct Preview1(String);

impl Balancer for Preview1 {
    fn configure(settings: &str) -> Result<Self, String> {
        println!("Rust says hello");
        there_is_a_clock()?;
        there_is_randomness()?;
        there_is_nothing_else()?;
        Ok(Self(settings.split('"').nth(3).unwrap_or("nothing").to_owned()))
    }

    fn pick(&mut self, _context: &PickContext) -> Option<u32> {
        match &*self.0 {
            "panic" => panic!("the reason of it"),
            "exit" => std::process::exit(3),
            _ => Some(0),
        }
    }
}

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn there_is_a_clock() -> Result<(), String> {
    let begin = Instant::now();
    ensure((0..1_000).any(|_| begin.elapsed() > Duration::ZERO), "the clock stands still")?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    ensure(since.as_secs() > 1_700_000_000, "it is long ago")?;
    // Nobody can wait.
    std::thread::sleep(Duration::from_secs(30));
    ensure(begin.elapsed() < Duration::from_secs(20), "it slept")
}

fn there_is_randomness() -> Result<(), String> {
    // Each thread takes its seed from the system once.
    ensure(RandomState::new().hash_one(1) != RandomState::new().hash_one(1), "random numbers repeat")
}

fn there_is_nothing_else() -> Result<(), String> {
    ensure(std::env::args().count() == 0, "there are arguments")?;
    ensure(std::env::vars().count() == 0, "there is an environment")?;
    ensure(std::fs::read("/etc/passwd").is_err(), "there are files")?;
    ensure(std::fs::write("/tmp/x", "x").is_err(), "there are files to write")?;
    ensure(std::fs::read_dir("/").is_err(), "there are folders")?;
    ensure(std::net::TcpStream::connect("127.0.0.1:1").is_err(), "there is a network")?;
    ensure(std::io::stdin().read(&mut [0; 8]).is_ok_and(|read| read == 0), "there is input")
}

jackfield_plugin::balancer!(Preview1);
