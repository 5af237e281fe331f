//! A plugin that uses WASI as language runtimes do. `configure` checks what it is given; then it does
//! on command what no plugin may. Fixture of the tests.

use jackfield_plugin::{Balancer, PickContext};

#[allow(clippy::pedantic, missing_debug_implementations, unsafe_code, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ inline: "
        package tests:wasi;
        world runtime {
            import wasi:cli/environment@0.2.3;
            import wasi:cli/exit@0.2.3;
            import wasi:cli/stdin@0.2.3;
            import wasi:cli/stdout@0.2.3;
            import wasi:cli/stderr@0.2.3;
            import wasi:cli/terminal-stdout@0.2.3;
            import wasi:clocks/monotonic-clock@0.2.3;
            import wasi:clocks/wall-clock@0.2.3;
            import wasi:random/random@0.2.3;
            import wasi:random/insecure@0.2.3;
            import wasi:random/insecure-seed@0.2.3;
            import wasi:filesystem/preopens@0.2.3;
        }
        package wasi:io@0.2.3 {
            interface error { resource error { to-debug-string: func() -> string; } }
            interface poll {
                resource pollable { ready: func() -> bool; block: func(); }
                poll: func(in: list<borrow<pollable>>) -> list<u32>;
            }
            interface streams {
                use error.{error};
                use poll.{pollable};
                variant stream-error { last-operation-failed(error), closed }
                resource input-stream {
                    read: func(len: u64) -> result<list<u8>, stream-error>;
                    subscribe: func() -> pollable;
                }
                resource output-stream {
                    check-write: func() -> result<u64, stream-error>;
                    write: func(contents: list<u8>) -> result<_, stream-error>;
                    blocking-flush: func() -> result<_, stream-error>;
                    subscribe: func() -> pollable;
                }
            }
        }
        package wasi:cli@0.2.3 {
            interface environment {
                get-environment: func() -> list<tuple<string, string>>;
                get-arguments: func() -> list<string>;
                initial-cwd: func() -> option<string>;
            }
            interface exit { exit: func(status: result); }
            interface stdin { use wasi:io/streams@0.2.3.{input-stream}; get-stdin: func() -> input-stream; }
            interface stdout { use wasi:io/streams@0.2.3.{output-stream}; get-stdout: func() -> output-stream; }
            interface stderr { use wasi:io/streams@0.2.3.{output-stream}; get-stderr: func() -> output-stream; }
            interface terminal-output { resource terminal-output; }
            interface terminal-stdout {
                use terminal-output.{terminal-output};
                get-terminal-stdout: func() -> option<terminal-output>;
            }
        }
        package wasi:clocks@0.2.3 {
            interface monotonic-clock {
                use wasi:io/poll@0.2.3.{pollable};
                now: func() -> u64;
                subscribe-duration: func(when: u64) -> pollable;
            }
            interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
        }
        package wasi:random@0.2.3 {
            interface random { get-random-bytes: func(len: u64) -> list<u8>; get-random-u64: func() -> u64; }
            interface insecure { get-insecure-random-u64: func() -> u64; }
            interface insecure-seed { insecure-seed: func() -> tuple<u64, u64>; }
        }
        package wasi:filesystem@0.2.3 {
            interface types {
                resource descriptor {
                    sync: func() -> result<_, u8>;
                }
            }
            interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }
        }
    ", generate_all });
}
use bindings::wasi::cli::{environment, exit, stderr, stdin, stdout, terminal_stdout};
use bindings::wasi::clocks::{monotonic_clock, wall_clock};
use bindings::wasi::filesystem::preopens;
use bindings::wasi::io::poll;
use bindings::wasi::io::streams::{OutputStream, StreamError};
use bindings::wasi::random::{insecure, insecure_seed, random};

struct Wasi(String);

impl Balancer for Wasi {
    fn configure(settings: &str) -> Result<Self, String> {
        nothing_of_the_outside()?;
        clocks()?;
        randomness()?;
        Ok(Self(settings.split('"').nth(3).unwrap_or("nothing").to_owned()))
    }

    fn pick(&mut self, _context: &PickContext) -> Option<u32> {
        match &*self.0 {
            "print" => {
                print(&stdout::get_stdout(), "first line\nsecond ");
                print(&stdout::get_stdout(), "line\n");
            }
            "panic" => die_of_a_panic(),
            "flood" => print(&stderr::get_stderr(), &"flood\n".repeat(10_000)),
            "sleep" => monotonic_clock::subscribe_duration(3_000_000_000).block(),
            "exit" => exit::exit(Err(())),
            "greedy" => drop(random::get_random_bytes(1 << 40)),
            _ => {}
        }
        Some(0)
    }
}

#[inline(never)]
fn die_of_a_panic() {
    print(&stderr::get_stderr(), "panicked at src/lib.rs:\nthe reason of it");
    std::process::abort()
}

fn print(stream: &OutputStream, text: &str) {
    for piece in text.as_bytes().chunks(stream.check_write().unwrap() as usize) {
        stream.write(piece).unwrap();
    }
    stream.blocking_flush().unwrap();
}

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn nothing_of_the_outside() -> Result<(), String> {
    ensure(environment::get_environment().is_empty(), "there is an environment")?;
    ensure(environment::get_arguments().is_empty(), "there are arguments")?;
    ensure(environment::initial_cwd().is_none(), "there is a folder")?;
    ensure(preopens::get_directories().is_empty(), "folders are open")?;
    ensure(terminal_stdout::get_terminal_stdout().is_none(), "there is a terminal")?;
    ensure(matches!(stdin::get_stdin().read(1), Err(StreamError::Closed)), "there is input")
}

fn clocks() -> Result<(), String> {
    let begin = monotonic_clock::now();
    ensure((0..1_000).any(|_| monotonic_clock::now() > begin), "the clock stands still")?;
    ensure(wall_clock::now().seconds > 1_700_000_000, "it is long ago")?;
    let (ready, later) = (stdout::get_stdout().subscribe(), monotonic_clock::subscribe_duration(60_000_000_000));
    ensure(ready.ready() && !later.ready(), "who is ready?")?;
    ensure(poll::poll(&[&later, &ready]) == [1], "poll tells another")?;
    monotonic_clock::subscribe_duration(0).block();
    Ok(())
}

fn randomness() -> Result<(), String> {
    let bytes = random::get_random_bytes(32);
    ensure(bytes.len() == 32 && bytes != random::get_random_bytes(32), "random bytes repeat")?;
    ensure(random::get_random_u64() != random::get_random_u64(), "random numbers repeat")?;
    ensure(insecure::get_insecure_random_u64() != insecure_seed::insecure_seed().0, "insecure numbers repeat")
}

jackfield_plugin::balancer!(Wasi);
