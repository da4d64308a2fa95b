//! The `clumio-exporter` program: see [`clumio_exporter::cli`].

fn main() -> std::process::ExitCode {
    clumio_exporter::cli::main()
}
