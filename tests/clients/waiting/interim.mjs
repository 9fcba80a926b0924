// Whether Node's own fetch waits through interim responses, and what it then gets.
//
// Arguments: the addresses of three foremen: one that sends interim responses often, one that
// sends none, and one whose target refuses late.

import assert from "node:assert/strict";

import { Agent } from "undici";

import { CHAT_MODEL, Skipped, WORDS, expectEcho, expectError, run, user } from "../js/harness.mjs";
import { afterWait, holdSlot } from "./holding.mjs";

const [often, never, late] = process.argv.slice(2);

// No head, or no byte of the body, for this long, and fetch gives up.
const dispatcher = new Agent({ headersTimeout: 1000, bodyTimeout: 1000 });

const post = (url, model = CHAT_MODEL) =>
  fetch(`${url}/api/chat`, {
    method: "POST",
    body: JSON.stringify({ model, stream: false, messages: user(WORDS) }),
    dispatcher,
  });

await run("node-fetch", `${process.versions.node} (undici ${process.versions.undici})`, [
  ["waits through interim responses", async () => {
    const reply = await afterWait(often, () => post(often));
    assert.equal(reply.status, 200);
    expectEcho((await reply.json()).message.content, WORDS);
  }],
  ["gives up without them", async () => {
    const release = await holdSlot(never);
    await expectError(() => post(never), (error) => error.cause?.code === "UND_ERR_HEADERS_TIMEOUT").finally(release);
  }],
  ["a late 404 and a late 502 keep their status", async () => {
    if (!late) throw new Skipped("no target that refuses late");
    for (const status of [404, 502]) {
      const reply = await post(late, `late${status}:latest`);
      assert.equal(reply.status, status);
      assert.equal((await reply.json()).error, `late ${status}`);
    }
  }],
]);
await dispatcher.close();
