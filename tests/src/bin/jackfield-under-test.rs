//! The program, built where the tests can find it.

fn main() -> std::process::ExitCode {
    jackfield::program::main()
}
