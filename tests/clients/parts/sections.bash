# shellcheck shell=bash
# Which programs are run, and what they are told.

# So that a client that hangs ends as a failure; one check gives up long before.
readonly CLIENT_PATIENCE=180
# For all callers that wait, together.
readonly WAITING_PATIENCE=90

# Runs the program of one client for at most $patience seconds.
run_client() {
    local client=$1 lines=$scratch/lines status=0
    shift
    timeout --kill-after=5s "${patience}s" "$@" >"$lines" 2>"$scratch/errors" || status=$?
    report <"$lines"
    # Any other end than "all passed" or "some failed, as said" is a failure of its own.
    if ((status != 0)) && ! grep -q '^FAIL ' "$lines"; then
        tail -n 20 "$scratch/errors" >&2
        say "FAIL $client: ends (exit status $status)" | report
    elif ! grep -q '^\(ok\|FAIL\) ' "$lines"; then
        say "FAIL $client: ends (no check ran)" | report
    fi
}

run_clients() {
    local patience=$CLIENT_PATIENCE
    # Without a second address, the checks that need it say so.
    local -a where=("$url" ${json_url:+"$json_url"})
    if [[ -n $python ]]; then
        run_client ollama-python "$python" -B "$here/py/ollama_client.py" "${where[@]}"
        run_client openai-python "$python" -B "$here/py/openai_client.py" "${where[@]}"
        run_client anthropic-python "$python" -B "$here/py/anthropic_client.py" "${where[@]}"
        run_client langchain-ollama "$python" -B "$here/py/langchain_client.py" "${where[@]}"
    fi
    if [[ -n $node ]]; then
        run_client ollama-js "$node" "$here/js/ollama_client.mjs" "${where[@]}"
        run_client openai-js "$node" "$here/js/openai_client.mjs" "${where[@]}"
    fi
    [[ -z $go_client ]] || run_client ollama-go "$go_client" "${where[@]}"
    [[ -z $rust_client ]] || run_client ollama-rs "$rust_client" "${where[@]}"
}

# Like run_client, within the time that is left for all.
run_waiter() {
    local patience=$((waiting_began + WAITING_PATIENCE - SECONDS))
    ((patience > 0)) || patience=1
    run_client "$@"
}

run_waiting() {
    if "$foreign"; then
        say "SKIP waiting: all checks (they need foremen with settings of their own)" | report
        return
    fi
    say "-- callers that wait"
    local waiting_began=$SECONDS
    start_waiting_servers
    if [[ -n $python ]]; then
        local -a with_harness=(env PYTHONPATH="$here/py" "$python" -B)
        run_waiter waiting-python "${with_harness[@]}" "$here/waiting/interim.py" "$often" "$never" "$late" "$url"
        run_waiter heartbeat-python "${with_harness[@]}" "$here/waiting/heartbeat.py" "$url"
    fi
    if [[ -n $node ]]; then
        run_waiter node-fetch "$node" "$here/waiting/interim.mjs" "$often" "$never" "$late"
        run_waiter ollama-js "$node" "$here/waiting/heartbeat.mjs" ollama-js "$url"
        run_waiter openai-js "$node" "$here/waiting/heartbeat.mjs" openai-js "$url"
    fi
    [[ -z $go_client ]] || run_waiter ollama-go "$go_client" waiting "$url" "$often"
    [[ -z $rust_client ]] || run_waiter ollama-rs "$rust_client" waiting "$url" "$often"
    say "callers waited for $((SECONDS - waiting_began)) s"
}
