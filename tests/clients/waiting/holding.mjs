// Callers that wait: what holds the slot meanwhile.

import assert from "node:assert/strict";

import { CHAT_MODEL, ENDLESS, user } from "../js/harness.mjs";

// How long each caller waits: longer than any limit of its own.
const WAITED_MS = 3000;

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Holds the slot with an answer that has no end; returns what releases it. */
export async function holdSlot(url) {
  const abort = new AbortController();
  const body = JSON.stringify({ model: CHAT_MODEL, messages: user(ENDLESS) });
  const answer = await fetch(`${url}/api/chat`, { method: "POST", body, signal: abort.signal });
  assert.equal(answer.status, 200);
  // The first piece is here: the slot is taken. The rest is not read.
  await answer.body.getReader().read();
  return () => abort.abort();
}

/** Makes a call while the slot is held, and gives what it gives when it has waited. */
export async function afterWait(url, call) {
  const release = await holdSlot(url);
  const waiting = call();
  const early = waiting.then(() => true);
  try {
    assert.ok(!(await Promise.race([wait(WAITED_MS), early])), "it did not wait");
  } finally {
    release();
  }
  return waiting;
}
