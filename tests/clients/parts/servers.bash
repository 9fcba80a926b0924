# shellcheck shell=bash
# The foremen that the clients are run against, and their targets.

# Whatever the models of the second target are asked.
readonly JSON_ANSWER='{"city": "Paris", "people": 2}'
readonly START_PATIENCE=60
# Nothing is lost with a job that is cut off at the end.
readonly SHUTDOWN_GRACE=1s
readonly STOP_PATIENCE=20s

pids=()

stop_servers() {
    local pid
    ((${#pids[@]} == 0)) && return
    kill "${pids[@]}" 2>/dev/null || true
    for pid in "${pids[@]}"; do
        # What outlives its grace is not waited for.
        timeout "$STOP_PATIENCE" tail --pid="$pid" -f /dev/null || kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

build_programs() {
    local built
    built=$(cd "$here/../.." && cargo build --locked -p foreman-bin -p foreman-stub --bins \
        --message-format=json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
    foreman=$(grep '/foreman$' <<<"$built") stub=$(grep '/foreman-stub$' <<<"$built")
}

find_programs() {
    if [[ -n $programs ]]; then
        foreman=$programs/foreman stub=$programs/foreman-stub
    else
        build_programs || true
    fi
    [[ -x ${foreman:-} && -x ${stub:-} ]] || { say "foreman and foreman-stub are not there" >&2; exit 1; }
}

# Starts a server and leaves its address in $address; $1 names its files.
start() {
    local name=$1
    shift
    : >"$scratch/$name.out"
    # From an empty directory: a foreman.toml lying about is not read.
    (cd "$scratch" && exec "$@") >"$scratch/$name.out" 2>"$scratch/$name.log" </dev/null &
    local pid=$! deadline=$((SECONDS + START_PATIENCE))
    pids+=("$pid")
    until address=$(sed -n 's|.*listening on \(http://[^[:space:]]*\).*|\1|p;T;q' "$scratch/$name.out") &&
        [[ -n $address ]]; do
        if ! kill -0 "$pid" 2>/dev/null || ((SECONDS > deadline)); then
            tail -n 40 "$scratch/$name.out" "$scratch/$name.log" >&2
            say "$name does not listen" >&2
            exit 1
        fi
        sleep 0.1
    done
    address=${address%/}
}

# Starts a foreman for a target; what follows are settings.
start_foreman() {
    local name=$1 target=$2
    shift 2
    start "$name" env FOREMAN_DB="$scratch/$name.db" FOREMAN_SHUTDOWN_GRACE="$SHUTDOWN_GRACE" "$@" \
        "$foreman" serve --target "$target" --listen 127.0.0.1:0
}

start_servers() {
    find_programs
    start_foreman foreman stub
    url=$address
    start json-target "$stub" --listen 127.0.0.1:0 --answer "$JSON_ANSWER"
    start_foreman json-foreman "$address"
    json_url=$address
}

# Those that differ in how they treat callers that wait. The late one does not try again what its
# target refuses; its target is a script, and the address empty where nothing runs that.
start_waiting_servers() {
    start_foreman often stub FOREMAN_INTERIM=200ms
    often=$address
    start_foreman never stub FOREMAN_INTERIM=off
    never=$address
    late=
    if command -v python3 >/dev/null; then
        start late-target python3 -B "$here/waiting/target.py"
        start_foreman late "$address" FOREMAN_INTERIM=200ms FOREMAN_MAX_ATTEMPTS=1
        late=$address
    fi
}

print_logs() {
    local log
    for log in "$scratch"/*.log; do
        [[ -s $log ]] || continue
        say "the end of $(basename "$log"):"
        tail -n 20 "$log"
    done >&2
}
