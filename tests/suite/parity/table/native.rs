//! Chats and completions of Ollama's own API: right ones and odd ones.

use super::Row;

pub(super) const CASES: &[Row] = &[
    (
        "POST /api/chat",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"one two three"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","stream":false,"messages":[{"role":"user","content":"one two three"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","stream":true,"messages":[{"role":"user","content":"<b>&\u2028 \u0085 é 漢字 🎉"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"stub:tokens=150 long"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","stream":false,"messages":[{"role":"user","content":"stub:tokens=900 long"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"stub:tokens=0"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","stream":false,"messages":[{"role":"user","content":"stub:tokens=0"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","messages":[{"role":"user","content":""}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","messages":[{"role":"system","content":"be brief"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","messages":[{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"x":1}}}]},{"role":"tool","tool_name":"f","content":"42"}]}"#,
    ),
    ("POST /api/chat", r#"{"model":"fakeA","messages":[]}"#),
    ("POST /api/chat", r#"{"model":"fakeA","messages":null}"#),
    ("POST /api/chat", r#"{"model":"fakeA","stream":false}"#),
    (
        "POST /api/chat",
        r#"{"model":"fakea:LATEST","messages":[{"role":"user","content":"case"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":" fakeA ","messages":[{"role":"user","content":"spaces"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"library/fakeA","messages":[{"role":"user","content":"namespace"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"registry.ollama.ai/library/fakeA:latest","messages":[{"role":"user","content":"host"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"other.example/library/fakeA","messages":[{"role":"user","content":"another host"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA:local","messages":[{"role":"user","content":"local"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA:7b","messages":[{"role":"user","content":"another tag"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA:cloud","messages":[{"role":"user","content":"away"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA:7b-cloud","messages":[{"role":"user","content":"away"}]}"#,
    ),
    ("POST /api/chat", r#"{"model":"nope","messages":[]}"#),
    ("POST /api/chat", r#"{"model":"nope","keep_alive":0}"#),
    (
        "POST /api/chat",
        r#"{"model":"fakeB","messages":[{"role":"user","content":"another model"}]}"#,
    ),
    ("POST /api/chat", r#"{"model":"fakeB","keep_alive":"10m"}"#),
    (
        "POST /api/chat",
        r#"{"model":"fakeB","messages":[{"role":"user","content":"and go"}],"keep_alive":0}"#,
    ),
    ("POST /api/chat", r#"{"model":"fakeB","keep_alive":0}"#),
    (
        "POST /api/chat",
        r#"{"model":"fakeB","keep_alive":0.0,"messages":[]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","keep_alive":"-5m","messages":[{"role":"user","content":"for ever"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","keep_alive":"1.5h","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","keep_alive":1e3,"messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","KEEP_ALIVE":"5m","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"nope","model":"fakeA","messages":[{"role":"user","content":"last wins"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"nope","Model":"fakeA","messages":[{"role":"user","content":"last wins"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","model":null,"messages":[{"role":"user","content":"null keeps"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"stream":true,"model":"fakeA","messages":[{"role":"user","content":"last wins"}],"stream":false}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","unknown":{"deep":[[[{}]]]},"messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"x","unknown":1}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"\u006dodel":"fakeA","messages":[{"role":"user","content":"escaped key"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"\u0066akeA","messages":[{"role":"user","content":"escaped name"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"\ud83c\udf89 \ud83c half"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"x"}]}{"model":"nope"}"#,
    ),
    (
        "POST /api/chat",
        "\t\r\n {\"model\":\"fakeA\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}\n\n",
    ),
    (
        "POST /api/chat\nContent-Type: application/x-www-form-urlencoded",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"as curl sends it"}]}"#,
    ),
    (
        "POST /api/chat\nContent-Type: nonsense",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "POST /api/chat\nContent-Type: application/json\nAccept: application/json",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "POST /api/chat?stream=false",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"the query counts for nothing"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","options":{"temperature":0,"seed":1,"stop":["x"],"num_predict":2},"messages":[{"role":"user","content":"one two three four"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","stream":false,"options":{"num_predict":1},"messages":[{"role":"user","content":"one two three four"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","options":{"num_ctx":2048},"messages":[{"role":"user","content":"a reload"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","options":{"num_ctx":2048.9,"num_gpu":1,"use_mmap":true},"messages":[{"role":"user","content":"another"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","options":{},"shift":false,"truncate":false,"messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","options":{"num_ctx":null,"stop":null},"messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","format":{"type":"object","properties":{"a":{"type":"string"}}},"messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeT","stream":false,"messages":[{"role":"user","content":"think"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeT","think":false,"messages":[{"role":"user","content":"do not"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeT","think":"max","messages":[{"role":"user","content":"hard"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeT","think":null,"messages":[{"role":"user","content":"null is absent"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","logprobs":true,"top_logprobs":3,"messages":[{"role":"user","content":"one two"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","stream":false,"logprobs":true,"messages":[{"role":"user","content":"one two"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"stub:toolcall go"}],"tools":[{"type":"function","function":{"name":"get_weather","description":"d","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","stream":false,"messages":[{"role":"user","content":"stub:toolcall go"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"no tools"}],"tools":[]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","stream":false,"messages":[{"role":"user","content":"stub:error500"}]}"#,
    ),
    (
        "POST /api/chat",
        r#"{"model":"fakeA","stream":false,"messages":[{"role":"user","content":"stub:crash0"}]}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"one two three"}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"one two three","stream":false}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"one","system":"s","template":"{{ .Prompt }}","context":[1,2,3],"stream":false}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"one","raw":true}"#,
    ),
    ("POST /api/generate", r#"{"model":"fakeA","prompt":""}"#),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":null,"keep_alive":"5m"}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"","keep_alive":-1}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"","keep_alive":"0"}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeB","keep_alive":0,"stream":true}"#,
    ),
    ("POST /api/generate", r#"{"model":"nope","keep_alive":0}"#),
    (
        "POST /api/generate",
        r#"{"model":"fakeA:cloud","prompt":"x"}"#,
    ),
    ("POST /api/generate", r#"{"model":"FAKEA","prompt":"x"}"#),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"x","width":512,"height":512,"steps":4}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"x","images":["aGVsbG8="],"stream":false}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeT","prompt":"think"}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeT","prompt":"think","think":true,"stream":false}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"stub:error-mid stub:tokens=5"}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"stub:error400"}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"stub:error400","stream":false}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"stub:nodone stub:tokens=2"}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"x","_debug_render_only":true}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"one two","logprobs":true,"top_logprobs":1}"#,
    ),
    (
        "POST /api/generate",
        r#"{"model":"fakeA","prompt":"x","suffix":""}"#,
    ),
];
