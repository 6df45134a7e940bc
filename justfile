# The project's words: the same on a laptop and in CI (.ci/run calls them). `just` alone lists them.

_list:
    @just --list --unsorted

# Run everything on this machine: http://localhost:8008
run *arguments:
    cargo run --locked -- {{arguments}}

# All tests of the workspace
test:
    cargo test --workspace --locked

# Lints, as errors
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Format the code
fmt:
    cargo fmt --all

# Is the code formatted?
fmt-check:
    cargo fmt --all --check

# The README's figures (release build; needs a quiet machine)
bench:
    cargo bench --locked --workspace

# Licences, bans and sources of dependencies
deny:
    cargo fetch --locked
    cargo deny --locked --offline check licenses bans sources

# Write the routes of infra/api.yaml from the route table
routes:
    BLESS=1 cargo test --locked --workspace --test template routes_in_the_file

# Man pages and shell completions, below target/
man:
    cargo run --locked -- man --out target/man
    mkdir -p target/completions
    for shell in bash zsh fish; do cargo run --locked -q -- completions $shell > target/completions/portcullis.$shell; done

# The template on stand-ins for AWS: lint, build, deploy, end-to-end suite, DynamoDB Local, runtime emulator
fidelity *lanes:
    .ci/fidelity/run {{lanes}}

# Fuzz one target (tests/fuzz/targets) for some seconds; needs `cargo install cargo-fuzz`
fuzz target seconds="300":
    cargo fuzz run -s none --fuzz-dir tests/fuzz {{target}} -- -max_total_time={{seconds}} -timeout=20 -rss_limit_mb=1024

# Everything CI checks
ci:
    .ci/run
