import assert from "node:assert/strict";
import { test } from "node:test";

import { Envelope, callerEdge, firstAudible, lastAudible } from "../../../web/envelope.js";

const STEP = 128 / 48000;

/** An envelope out of [seconds, level] pieces, arriving 8 bins at a time. */
function recorded(...pieces) {
  const envelope = new Envelope(STEP);
  const levels = pieces.flatMap(([seconds, level]) =>
    Array.from({ length: Math.round(seconds / STEP) }, (_, i) => level * (i % 2 ? 1 : 0.8)),
  );
  for (let i = 0; i < levels.length; i += 8) {
    const some = levels.slice(i, i + 8);
    envelope.add(some, (i + some.length) * STEP);
  }
  return envelope;
}

const near = (actual, wanted, by = 0.012) =>
  assert.ok(Math.abs(actual - wanted) <= by, `${actual} is not near ${wanted}`);

test("the end of the caller's speech is found where the agent was 60 ms late", () => {
  near(callerEdge(recorded([1, 0.001], [1.2, 0.1], [1, 0.001]), 2.26, "to"), 2.2);
});

test("a pause inside a word does not end the speech", () => {
  const envelope = recorded([1, 0.001], [0.5, 0.1], [0.05, 0.001], [0.2, 0.1], [1, 0.001]);
  near(callerEdge(envelope, 1.7, "to"), 1.75);
});

test("the beginning of an interruption is found as well", () => {
  near(callerEdge(recorded([2, 0.002], [0.5, 0.2]), 2.1, "from"), 2.0);
});

test("a loud room raises the bar: noise is no speech, speech over it is", () => {
  const envelope = recorded([2, 0.02], [1, 0.3], [1, 0.02]);
  near(callerEdge(envelope, 3.1, "to"), 3.0);
});

test("a silent or muted microphone tells nothing", () => {
  assert.equal(callerEdge(recorded([3, 0]), 2, "to"), null);
  assert.equal(callerEdge(recorded([3, 0.001]), 2, "to"), null);
  assert.equal(callerEdge(new Envelope(STEP), 2, "to"), null);
});

test("speech far from where the agent thinks is not taken for it", () => {
  assert.equal(callerEdge(recorded([1, 0], [0.5, 0.2], [2, 0]), 2.5, "to"), null);
});

test("a speaker who goes on has not ended", () => {
  assert.equal(callerEdge(recorded([1, 0], [1.5, 0.2]), 2.4, "to"), null);
});

test("a reply is heard at its first audible sample, not at a sound before it", () => {
  const envelope = recorded([0.5, 0], [0.2, 0.2], [0.3, 0], [0.5, 0.2]);
  near(firstAudible(envelope, 0.9), 1.0, STEP * 1.01);
});

test("a reply's tail that still sounds is not the next reply", () => {
  near(firstAudible(recorded([1, 0.2], [0.1, 0], [0.5, 0.2]), 0.95), 1.1, STEP * 1.01);
});

test("a reply that began before the ear was open is not measured", () => {
  const envelope = recorded([0.5, 0], [1, 0.2]);
  near(firstAudible(envelope, 0.4), 0.5, STEP * 1.01);
  assert.equal(firstAudible(envelope, 0.4, 0.6), null);
});

test("nothing is heard while nothing is audible", () => {
  assert.equal(firstAudible(recorded([1, 0.001]), 0.2), null);
  assert.equal(firstAudible(new Envelope(STEP), 0), null);
});

test("the last audible sample before the page was muted", () => {
  near(lastAudible(recorded([1, 0.2], [0.5, 0]), 0.5, 1.4), 1.0, STEP * 1.01);
  near(lastAudible(recorded([1, 0.2]), 0.5, 0.8), 0.8);
  assert.equal(lastAudible(recorded([1, 0]), 0, 1), null);
});

test("only the last ten seconds are kept, and a gap is silence", () => {
  const envelope = recorded([12, 0.2]);
  near(envelope.between(0, Infinity)[0].start, 2, 0.02);
  envelope.add([0.5], 14);
  assert.equal(lastAudible(envelope, 12.1, 13.9), null);
  near(envelope.end, 14);
});
