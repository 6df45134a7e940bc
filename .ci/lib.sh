# Shared by the scripts in .ci: where things are, lanes with their times, servers that never outlive the script.
# Sourced, not run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${PORTCULLIS_CI_CACHE:-$HOME/.cache/portcullis-ci}
mkdir -p "$CACHE"
CACHE=$(cd "$CACHE" && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
export SAM_CLI_TELEMETRY=0
WORK=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-ci.XXXXXX")
SERVERS=()

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# Kills the servers this script started (each leads a process group of its own) and removes its folder.
clean_up() {
    local status=$?
    for pid in "${SERVERS[@]+"${SERVERS[@]}"}"; do
        kill -- "-$pid" 2>/dev/null || true
    done
    for pid in "${SERVERS[@]+"${SERVERS[@]}"}"; do
        for _ in $(seq 30); do
            kill -0 -- "-$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 -- "-$pid" 2>/dev/null || true
    done
    rm -rf "$WORK"
    return "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# serve <log file> <command...>: starts a server in the background; its pid is in $SERVER.
serve() {
    local log=$1
    shift
    setsid "$@" >"$log" 2>&1 </dev/null &
    SERVER=$!
    SERVERS+=("$SERVER")
}

# await <what> <seconds> <command...>: until the command succeeds.
await() {
    local what=$1 seconds=$2
    shift 2
    local end=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "$what did not come up within $seconds s"
        sleep 0.2
    done
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Python tools, pinned, each set in a virtual environment of its own (their dependencies disagree).
venv() {
    local name=$1
    local list=$ROOT/.ci/fidelity/requirements-$name.txt folder
    folder=$CACHE/venv-$name-$(sha256sum "$list" | cut -c1-12)
    if [ ! -e "$folder/complete" ]; then
        rm -rf "$folder"
        python3 -m venv "$folder" >&2 || fail "python3 -m venv is needed (Debian: python3-venv)"
        "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$list" >&2
        touch "$folder/complete"
    fi
    echo "$folder/bin"
}

# cargo-fuzz, pinned. Answers the folder of the program.
CARGO_FUZZ_VERSION=0.13.2
cargo_fuzz() {
    local folder=$CACHE/cargo-fuzz
    if ! "$folder/bin/cargo-fuzz" --version 2>/dev/null | grep -qF "$CARGO_FUZZ_VERSION"; then
        CARGO_TARGET_DIR=$WORK/cargo-fuzz cargo install --quiet --locked --version "$CARGO_FUZZ_VERSION" --root "$folder" cargo-fuzz >&2
    fi
    echo "$folder/bin"
}

# lane <name> <command...>: says what runs, and how long it took.
LANES=""
lane() {
    local name=$1 start=$SECONDS
    shift
    echo
    echo "=== $name"
    "$@" || fail "$name"
    LANES+=$(printf '%6d s  %s' $((SECONDS - start)) "$name")$'\n'
}

# debian <name> <packages...>: unpacks packages of the distribution, and those of their dependencies that are not installed, into the
# cache; nothing is installed and none of their services starts. The folder is in $DEBIAN; its libraries are found through
# $DEBIAN_LIBRARIES.
debian() {
    local name=$1 list
    shift
    DEBIAN=$CACHE/debian-$name
    if [ ! -e "$DEBIAN/complete" ]; then
        rm -rf "$DEBIAN"
        mkdir -p "$DEBIAN"
        list=$(apt-get install --simulate --yes --no-install-recommends "$@" 2>/dev/null | awk '/^Inst/ { print $2 }')
        # Those that are installed are unpacked as well: where they lie is then always the same.
        if ! (cd "$DEBIAN" && apt-get download -qq $(printf '%s\n' "$@" $list | sort -u)) 2>/dev/null; then
            apt-get update -qq || fail "apt-get update"
            list=$(apt-get install --simulate --yes --no-install-recommends "$@" | awk '/^Inst/ { print $2 }')
            (cd "$DEBIAN" && apt-get download -qq $(printf '%s\n' "$@" $list | sort -u)) || fail "the packages \`$*\` can not be downloaded"
        fi
        for list in "$DEBIAN"/*.deb; do
            dpkg-deb -x "$list" "$DEBIAN"
            rm "$list"
        done
        touch "$DEBIAN/complete"
    fi
    DEBIAN_LIBRARIES=$(find "$DEBIAN" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
}
