//! The `rooflab` command: arguments in, an exit code out. Everything else is in `cli` and the library.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
