fn main() -> std::process::ExitCode {
    jackfield::program::main()
}
