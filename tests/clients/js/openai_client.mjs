// Checks with OpenAI's JavaScript client.

import assert from "node:assert/strict";

import OpenAI, { NotFoundError } from "openai";

import {
  ALL_MODELS,
  CHAT_MODEL,
  EMBED_MODEL,
  ENDLESS,
  MISSING_MODEL,
  PATIENCE_MS,
  WORDS,
  collect,
  expectEcho,
  expectError,
  expectOwnAnswers,
  expectPieces,
  expectVectors,
  run,
  user,
} from "./harness.mjs";

const client = new OpenAI({
  baseURL: `${process.argv[2]}/v1`,
  apiKey: "none",
  // Retries would hide failures.
  maxRetries: 0,
  timeout: PATIENCE_MS,
});

const chat = (text, more) => client.chat.completions.create({ model: CHAT_MODEL, messages: user(text), ...more });
const ask = async (text) => (await chat(text)).choices[0].message.content;
const respond = (more) => client.responses.create({ model: CHAT_MODEL, input: WORDS, ...more });
const textOf = (chunks) => chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.delta.content ?? "");
const is404 = (error) => error instanceof NotFoundError && error.status === 404;

await run("openai-js", "openai", [
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
  ["responses", async () => expectEcho((await respond()).output_text, WORDS)],
  ["responses streamed", async () => {
    const events = await collect(await respond({ stream: true }));
    const deltas = events.filter((event) => event.type === "response.output_text.delta");
    expectPieces(deltas.map((event) => event.delta), (await respond()).output_text);
    assert.equal(events.at(-1).type, "response.completed");
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
