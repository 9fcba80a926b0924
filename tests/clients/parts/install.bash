# shellcheck shell=bash
# Installs the clients at their pinned versions, each language's with its own package client.
#
# A language whose clients are ready has its variable set: python, node, go_client, rust_client.

readonly PYTHON_CLIENTS="ollama-python openai-python anthropic-python langchain-ollama httpx aiohttp requests"
readonly NODE_CLIENTS="ollama-js openai-js node-fetch"

python='' node='' go_client='' rust_client=''

# A machine that lacks a language is left alone, unless everything is required.
lacks() {
    local clients=$1 what=$2 word=SKIP
    "$require_all" && word=FAIL
    give_up "$word" "$clients" "$what"
}

# What cannot be installed fails: a client must not drop out unseen.
not_installed() {
    local clients=$1 word=FAIL
    "$offline" && ! "$require_all" && word=SKIP
    [[ $word == FAIL ]] && tail -n 20 "$scratch/install" >&2
    give_up "$word" "$clients" "cannot be installed: $(last_words)"
}

give_up() {
    local word=$1 clients=$2 reason=$3 client
    for client in $clients; do
        say "$word $client: all checks ($reason)" | report
    done
}

# Says in one line why an installation failed.
last_words() { grep -v '^[[:space:]]*$' "$scratch/install" | tail -n 1; }

# Runs a command once for the present content of some files; $1 keeps their sum.
once_for() {
    local stamp=$1 sum
    shift
    local -a files=()
    while [[ $1 != -- ]]; do
        files+=("$1")
        shift
    done
    shift
    sum=$(cat "${files[@]}" | sha256sum)
    [[ -f $stamp && $(<"$stamp") == "$sum" ]] && return
    "$@" || return
    printf '%s' "$sum" >"$stamp"
}

pip_install() {
    local -a flags=(--quiet --disable-pip-version-check)
    "$offline" && flags+=(--no-index)
    rm -rf "$here/.venv" &&
        python3 -m venv "$here/.venv" &&
        "$here/.venv/bin/python" -m pip install "${flags[@]}" --requirement "$here/requirements.txt"
}

npm_install() {
    local -a flags=(--ignore-scripts --no-audit --no-fund --engine-strict=false)
    "$offline" && flags+=(--offline)
    npm ci --prefix "$here" "${flags[@]}"
}

# These compilers know themselves what they need not do again.
go_build() {
    local -a modules=()
    "$offline" && modules=(GOPROXY=off)
    env "${modules[@]}" "$1" -C "$here/go" build -buildvcs=false -mod=readonly -o "$here/.bin/ollama-go" .
}

cargo_build() {
    local -a flags=(--locked --quiet)
    "$offline" && flags+=(--offline)
    cargo build "${flags[@]}" --manifest-path "$here/rust/Cargo.toml" --target-dir "$here/rust/target"
}

prepare_python() {
    if ! command -v python3 >/dev/null; then
        lacks "$PYTHON_CLIENTS" "python3 is not installed"
    elif ! once_for "$here/.venv/pins" "$here/requirements.txt" -- pip_install >"$scratch/install" 2>&1; then
        not_installed "$PYTHON_CLIENTS"
    else
        python=$here/.venv/bin/python
    fi
}

prepare_node() {
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        lacks "$NODE_CLIENTS" "node and npm are not installed"
    elif ! once_for "$here/node_modules/.pins" "$here/package.json" "$here/package-lock.json" -- \
        npm_install >"$scratch/install" 2>&1; then
        not_installed "$NODE_CLIENTS"
    else
        node=node
    fi
}

prepare_go() {
    local go
    go=$(command -v go || echo /usr/local/go/bin/go)
    if ! [[ -x $go ]]; then
        lacks ollama-go "go is not installed"
    elif ! go_build "$go" >"$scratch/install" 2>&1; then
        not_installed ollama-go
    else
        go_client=$here/.bin/ollama-go
    fi
}

prepare_rust() {
    if ! command -v cargo >/dev/null; then
        lacks ollama-rs "cargo is not installed"
    elif ! cargo_build >"$scratch/install" 2>&1; then
        not_installed ollama-rs
    else
        rust_client=$here/rust/target/debug/ollama-rs-checks
    fi
}

# Says how long it took when something had to be done.
install_clients() {
    local began=$SECONDS
    prepare_python
    prepare_node
    prepare_go
    prepare_rust
    say "the clients were installed in $((SECONDS - began)) s"
}
