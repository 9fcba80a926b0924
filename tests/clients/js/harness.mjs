// Runs the checks of one client in order and prints one line for each.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const CHAT_MODEL = "llama3.2:1b";
export const EMBED_MODEL = "all-minilm:latest";
export const ALL_MODELS = ["llama3.2:1b", "qwen3:0.6b", "gemma3:270m", "all-minilm:latest"];
export const MISSING_MODEL = "no-such-model:1b";

export const WORDS = "the quick brown fox jumps";
// Longer than any check may last: only a cancelled stream lets the next caller in.
export const ENDLESS = "stub:tokens=100000 stub:pace=20ms";
export const PATIENCE_MS = 30_000;
const CONCURRENT = 20;

// The first tool offered is called with these arguments.
const TOOL_ARGUMENTS = { city: "Paris" };
export const CALLS_TOOL = 'stub:toolcall={"city":"Paris"} what is the weather';
export const WEATHER_TOOL = {
  type: "function",
  function: {
    name: "weather",
    description: "Tells the weather in a city",
    parameters: {
      type: "object",
      properties: { city: { type: "string", description: "The name of the city" } },
      required: ["city"],
    },
  },
};

// What the models of the second target answer, whatever they are asked.
const JSON_ANSWER = { city: "Paris", people: 2 };
export const JSON_SCHEMA = {
  type: "object",
  properties: { city: { type: "string" }, people: { type: "integer" } },
  required: ["city", "people"],
  additionalProperties: false,
};

/** Says why a check cannot be made here. */
export class Skipped extends Error {}

/** The address where every answer is JSON_ANSWER. */
export function jsonUrl() {
  if (!process.argv[3]) throw new Skipped("no target that answers JSON");
  return process.argv[3];
}

export const user = (text) => [{ role: "user", content: text }];

export function expectEcho(answer, words) {
  assert.ok(answer?.includes(words), `'${words}' is not in '${answer}'`);
}

/** Several pieces must make up the whole answer. */
export function expectPieces(pieces, whole) {
  assert.ok(pieces.length > 2, `only ${pieces.length} pieces`);
  assert.equal(pieces.join(""), whole);
}

/** It must call the tool as it should; arguments may be JSON text. */
export function expectToolCall({ name, arguments: given }) {
  assert.equal(name, "weather");
  assert.deepEqual(typeof given === "string" ? JSON.parse(given) : given, TOOL_ARGUMENTS);
}

export function expectJsonAnswer(text) {
  assert.deepEqual(JSON.parse(text), JSON_ANSWER);
}

/** There must be exactly one of them; returns it. */
export function expectOne(items, what) {
  assert.equal(items.length, 1, `${items.length} ${what}`);
  return items[0];
}

/** The call must fail with an error that `matches`; returns it. */
export async function expectError(call, matches) {
  try {
    await call();
  } catch (error) {
    assert.ok(matches(error), `another error: ${error.name} ${error.status ?? error.status_code}: ${error.message}`);
    return error;
  }
  return assert.fail("no error");
}

/** Every concurrent caller must get the answer to its own prompt. */
export async function expectOwnAnswers(ask) {
  const prompts = Array.from({ length: CONCURRENT }, (_, n) => `caller${String(n).padStart(2, "0")} speaks`);
  const answers = await Promise.all(prompts.map((prompt, n) => ask(prompt, n % 2 === 0)));
  answers.forEach((answer, n) => {
    expectEcho(answer, prompts[n]);
    assert.equal(answer.split("caller").length, 2, `other callers' words in '${answer}'`);
  });
}

/** These must be the vectors of two texts and the first text again. */
export function expectVectors(vectors) {
  assert.equal(vectors.length, 3);
  assert.ok(vectors[0].length > 0, "an empty vector");
  assert.equal(vectors[1].length, vectors[0].length);
  assert.deepEqual(vectors[2], vectors[0], "one text, two vectors");
  assert.notDeepEqual(vectors[1], vectors[0], "two texts, one vector");
}

export async function collect(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}

export function version(name) {
  const path = new URL(`../node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(path, "utf8")).version;
}

async function withinPatience(check) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  try {
    await Promise.race([check(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs [name, function] pairs, reports each, and ends the process. */
export async function run(client, version, checks) {
  console.log(`== ${client} ${version}`);
  let failed = false;
  for (const [title, check] of checks) {
    try {
      await withinPatience(check);
      console.log(`ok ${client}: ${title}`);
    } catch (error) {
      if (error instanceof Skipped) {
        console.log(`SKIP ${client}: ${title} (${error.message})`);
        continue;
      }
      failed = true;
      const reason = `${error.name}: ${error.message}`.replace(/\s+/g, " ").slice(0, 400);
      console.log(`FAIL ${client}: ${title} (${reason})`);
    }
  }
  process.exitCode = failed ? 1 : 0;
  // A check that was given up may still hold a connection.
  if (failed) process.exit();
}
