// Whether the JavaScript clients that people use read answers that begin with heartbeats.
//
// Arguments: the client, and the address of a foreman.

import assert from "node:assert/strict";

import { Ollama } from "ollama";
import OpenAI from "openai";
import { Agent } from "undici";

import { CHAT_MODEL, WORDS, collect, run, user, version } from "../js/harness.mjs";
import { afterWait } from "./holding.mjs";

const [name, host] = process.argv.slice(2);

const heartbeats = { "X-Foreman-Heartbeat": "1s" };
// Only heartbeats keep a client that gives up when no byte comes for this long.
const dispatcher = new Agent({ headersTimeout: 2000, bodyTimeout: 2000 });
const impatient = (input, init) => fetch(input, { ...init, dispatcher });

const request = { model: CHAT_MODEL, messages: user(WORDS) };

function ollama(settings) {
  const client = new Ollama({ host, ...settings });
  return [
    async () => (await client.chat(request)).message.content,
    async () => (await collect(await client.chat({ ...request, stream: true }))).map((part) => part.message.content),
  ];
}

function openai({ headers, ...settings }) {
  const client = new OpenAI({
    baseURL: `${host}/v1`,
    apiKey: "none",
    maxRetries: 0,
    defaultHeaders: headers,
    ...settings,
  });
  const create = (more) => client.chat.completions.create({ ...request, ...more });
  return [
    async () => (await create()).choices[0].message.content,
    async () => (await collect(await create({ stream: true }))).map((chunk) => chunk.choices[0].delta.content),
  ];
}

const clients = { "ollama-js": ["ollama", ollama], "openai-js": ["openai", openai] };
const [packaged, clientOf] = clients[name];

await run(name, version(packaged), [
  ["waits through heartbeats", async () => {
    const all = (calls) => Promise.all(calls.map((call) => call()));
    const expected = await all(clientOf({}));
    const calls = clientOf({ headers: heartbeats, fetch: impatient });
    assert.deepEqual(await afterWait(host, () => all(calls)), expected);
  }],
]);
await dispatcher.close();
