// Checks with Ollama's own JavaScript client.

import assert from "node:assert/strict";

import { Ollama } from "ollama";

import {
  ALL_MODELS,
  CALLS_TOOL,
  CHAT_MODEL,
  EMBED_MODEL,
  ENDLESS,
  JSON_SCHEMA,
  MISSING_MODEL,
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

const host = process.argv[2];
const client = new Ollama({ host });

const chat = (text, more) => client.chat({ model: CHAT_MODEL, messages: user(text), ...more });
const generate = (text, more) => client.generate({ model: CHAT_MODEL, prompt: text, ...more });
const ask = async (text) => (await chat(text)).message.content;
const is404 = (error) => error.name === "ResponseError" && error.status_code === 404;

await run("ollama-js", version("ollama"), [
  ["chat", async () => {
    const reply = await chat(WORDS);
    expectEcho(reply.message.content, WORDS);
    assert.ok(reply.done && reply.eval_count > 0, "not a final answer");
  }],
  ["chat streamed", async () => {
    const parts = await collect(await chat(WORDS, { stream: true }));
    expectPieces(parts.map((part) => part.message.content), await ask(WORDS));
    assert.deepEqual(parts.map((part) => part.done).indexOf(true), parts.length - 1);
  }],
  ["generate", async () => {
    const reply = await generate(WORDS);
    expectEcho(reply.response, WORDS);
    assert.ok(reply.done);
  }],
  ["generate streamed", async () => {
    const parts = await collect(await generate(WORDS, { stream: true }));
    expectPieces(parts.map((part) => part.response), (await generate(WORDS)).response);
    assert.ok(parts.at(-1).done);
  }],
  ["tool call", async () => {
    const called = (messages) => expectOne(messages.flatMap((message) => message.tool_calls ?? []), "tool calls");
    const tools = [WEATHER_TOOL];
    const reply = await chat(CALLS_TOOL, { tools });
    expectToolCall(called([reply.message]).function);
    const parts = await collect(await chat(CALLS_TOOL, { tools, stream: true }));
    expectToolCall(called(parts.map((part) => part.message)).function);

    const result = { role: "tool", tool_name: "weather", content: "sunny" };
    const messages = [...user(CALLS_TOOL), reply.message, result, ...user(WORDS)];
    expectEcho((await chat(WORDS, { messages, tools })).message.content, WORDS);
  }],
  ["structured output", async () => {
    const jsonClient = new Ollama({ host: jsonUrl() });
    for (const format of ["json", JSON_SCHEMA]) {
      const reply = await jsonClient.chat({ model: CHAT_MODEL, messages: user(WORDS), format });
      expectJsonAnswer(reply.message.content);
      const request = { model: CHAT_MODEL, prompt: WORDS, format, stream: true };
      const parts = await collect(await jsonClient.generate(request));
      expectJsonAnswer(parts.map((part) => part.response).join(""));
    }
  }],
  ["load only", async () => {
    const reply = await generate("");
    assert.ok(reply.done && reply.response === "", "not the answer to a load");
  }],
  ["list models", async () => {
    const { models } = await client.list();
    const names = models.map((model) => model.name);
    for (const name of ALL_MODELS) assert.ok(names.includes(name), `models ${names}`);
    assert.ok(models.every((model) => model.size && model.digest && model.modified_at));
  }],
  ["show", async () => {
    const model = await client.show({ model: CHAT_MODEL });
    assert.ok(model.capabilities.includes("completion"));
    // A Map in the types, an object in fact.
    const keys = Object.keys(model.model_info);
    assert.equal(keys.filter((key) => key.endsWith(".context_length")).length, 1);
  }],
  ["ps", async () => {
    await ask(WORDS);
    const names = (await client.ps()).models.map((model) => model.name);
    assert.ok(names.includes(CHAT_MODEL), `running ${names}`);
  }],
  ["version", async () => {
    assert.match((await client.version()).version, /^\d+\.\d+\.\d+/);
  }],
  ["embed", async () => {
    const { embeddings } = await client.embed({ model: EMBED_MODEL, input: ["one", "two", "one"] });
    expectVectors(embeddings);
  }],
  ["unknown model is a ResponseError 404", async () => {
    const missing = { model: MISSING_MODEL };
    await expectError(() => chat(WORDS, missing), is404);
    await expectError(async () => collect(await chat(WORDS, { ...missing, stream: true })), is404);
    await expectError(() => generate(WORDS, missing), is404);
    const error = await expectError(() => client.show(missing), is404);
    assert.match(error.message, /not found/);
  }],
  ["20 concurrent chats get their own answers", () => expectOwnAnswers(async (text, streamed) => {
    if (!streamed) return ask(text);
    const parts = await collect(await chat(text, { stream: true }));
    return parts.map((part) => part.message.content).join("");
  })],
  ["cancel in mid-stream, then chat", async () => {
    const stream = await chat(ENDLESS, { stream: true });
    let pieces = 0;
    await expectError(async () => {
      for await (const _ of stream) if (++pieces === 2) stream.abort();
    }, (error) => error.name === "AbortError");
    expectEcho(await ask(WORDS), WORDS);
  }],
]);
