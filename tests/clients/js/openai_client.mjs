// Checks with OpenAI's JavaScript client.

import assert from "node:assert/strict";

import OpenAI, { NotFoundError } from "openai";

import {
  ALL_MODELS,
  CALLS_TOOL,
  CHAT_MODEL,
  EMBED_MODEL,
  ENDLESS,
  JSON_SCHEMA,
  MISSING_MODEL,
  PATIENCE_MS,
  WEATHER_TOOL,
  WORDS,
  collect,
  expectEcho,
  expectError,
  expectJsonAnswer,
  expectOne,
  expectOwnAnswers,
  expectPieces,
  expectToolCall,
  expectVectors,
  jsonUrl,
  run,
  user,
  version,
} from "./harness.mjs";

// Retries would hide failures.
const clientOf = (url) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, timeout: PATIENCE_MS });
const client = clientOf(process.argv[2]);

const chat = (text, more) => client.chat.completions.create({ model: CHAT_MODEL, messages: user(text), ...more });
const ask = async (text) => (await chat(text)).choices[0].message.content;
const respond = (more) => client.responses.create({ model: CHAT_MODEL, input: WORDS, ...more });
const textOf = (chunks) => chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.delta.content ?? "");
const is404 = (error) => error instanceof NotFoundError && error.status === 404;

await run("openai-js", version("openai"), [
  ["chat completion", async () => {
    const reply = await chat(WORDS);
    expectEcho(reply.choices[0].message.content, WORDS);
    assert.equal(reply.choices[0].finish_reason, "stop");
    assert.ok(reply.usage.completion_tokens > 0);
  }],
  ["chat completion streamed", async () => {
    const options = { stream: true, stream_options: { include_usage: true } };
    const chunks = await collect(await chat(WORDS, options));
    expectPieces(textOf(chunks), await ask(WORDS));
    const reasons = chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.finish_reason);
    assert.deepEqual(reasons.filter(Boolean), ["stop"]);
    assert.ok(chunks.at(-1).usage.total_tokens > 0, "no usage at the end");
  }],
  ["completion, both ways", async () => {
    const request = { model: CHAT_MODEL, prompt: WORDS };
    const whole = (await client.completions.create(request)).choices[0].text;
    expectEcho(whole, WORDS);
    const chunks = await collect(await client.completions.create({ ...request, stream: true }));
    expectPieces(chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.text), whole);
  }],
  ["tool call", async () => {
    const tools = [WEATHER_TOOL];
    const [choice] = (await chat(CALLS_TOOL, { tools })).choices;
    assert.equal(choice.finish_reason, "tool_calls");
    const call = expectOne(choice.message.tool_calls, "tool calls");
    expectToolCall(call.function);
    const stream = client.chat.completions.stream({ model: CHAT_MODEL, messages: user(CALLS_TOOL), tools });
    const message = await stream.finalMessage();
    expectToolCall(expectOne(message.tool_calls, "tool calls").function);

    const result = { role: "tool", tool_call_id: call.id, content: "sunny" };
    const messages = [...user(CALLS_TOOL), choice.message, result, ...user(WORDS)];
    expectEcho((await chat(WORDS, { messages, tools })).choices[0].message.content, WORDS);
  }],
  ["structured output", async () => {
    const jsonClient = clientOf(jsonUrl());
    const json_schema = { name: "city", strict: true, schema: JSON_SCHEMA };
    for (const response_format of [{ type: "json_object" }, { type: "json_schema", json_schema }]) {
      const request = { model: CHAT_MODEL, messages: user(WORDS), response_format };
      const reply = await jsonClient.chat.completions.create(request);
      expectJsonAnswer(reply.choices[0].message.content);
      const chunks = await collect(await jsonClient.chat.completions.create({ ...request, stream: true }));
      expectJsonAnswer(textOf(chunks).join(""));
    }
  }],
  ["responses", async () => expectEcho((await respond()).output_text, WORDS)],
  ["responses streamed", async () => {
    const events = await collect(await respond({ stream: true }));
    const deltas = events.filter((event) => event.type === "response.output_text.delta");
    expectPieces(deltas.map((event) => event.delta), (await respond()).output_text);
    assert.equal(events.at(-1).type, "response.completed");
  }],
  ["responses with a tool call", async () => {
    const { output } = await respond({ input: CALLS_TOOL, tools: [{ type: "function", ...WEATHER_TOOL.function }] });
    expectToolCall(expectOne(output.filter((item) => item.type === "function_call"), "tool calls"));
  }],
  ["list models", async () => {
    const names = (await collect(client.models.list())).map((model) => model.id);
    for (const name of ALL_MODELS) assert.ok(names.includes(name), `models ${names}`);
  }],
  ["retrieve a model", async () => {
    assert.equal((await client.models.retrieve(CHAT_MODEL)).id, CHAT_MODEL);
  }],
  ["embeddings", async () => {
    const { data } = await client.embeddings.create({ model: EMBED_MODEL, input: ["one", "two", "one"] });
    expectVectors(data.map((row) => row.embedding));
  }],
  ["unknown model is a NotFoundError", async () => {
    const missing = { model: MISSING_MODEL };
    const error = await expectError(() => chat(WORDS, missing), is404);
    assert.match(error.error.message, /not found/);
    await expectError(async () => collect(await chat(WORDS, { ...missing, stream: true })), is404);
    await expectError(() => client.models.retrieve(MISSING_MODEL), is404);
  }],
  ["20 concurrent chats get their own answers", () => expectOwnAnswers(async (text, streamed) => {
    if (!streamed) return ask(text);
    return textOf(await collect(await chat(text, { stream: true }))).join("");
  })],
  ["cancel in mid-stream, then chat", async () => {
    const stream = await chat(ENDLESS, { stream: true });
    let pieces = 0;
    for await (const _ of stream) if (++pieces === 2) break;
    expectEcho(await ask(WORDS), WORDS);
  }],
]);
