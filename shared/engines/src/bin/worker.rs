//! The worker alone: what the tests of the pool start. Products start their own binary as a worker.

use std::process::ExitCode;

fn main() -> ExitCode {
    if portcullis_engines::worker::is_worker_invocation() {
        return portcullis_engines::worker::main();
    }
    ExitCode::FAILURE
}
