import assert from "node:assert/strict";
import { test } from "node:test";

import { AgentClock, ContextClock } from "../../../web/clock.js";

test("the quickest ping decides, and half its round trip is the doubt", () => {
  const clock = new AgentClock();
  clock.pong(1000, 5040, 5041, 1081); // 40 ms there, 40 back: offset 4000
  clock.pong(2000, 6002, 6003, 2005); // 2 ms each way: offset 4000
  clock.pong(3000, 7090, 7091, 3101); // 90 there, 10 back: it would say 4040
  assert.equal(clock.toAgent(100), 4100);
  assert.equal(clock.toOurs(4100), 100);
  assert.equal(clock.uncertainty, 2);
});

test("a pong older than ten does not count, however quick it was", () => {
  const clock = new AgentClock();
  clock.pong(0, 500, 500, 0);
  for (let i = 1; i <= 10; i += 1) clock.pong(i, i + 605, i + 605, i + 10);
  assert.equal(clock.toAgent(0), 600);
});

test("a pong that came before its ping, or is no number, is ignored", () => {
  const clock = new AgentClock();
  clock.pong(100, 5000, 5300, 200);
  clock.pong(100, undefined, 5300, 200);
  assert.equal(clock.known, false);
  assert.throws(() => clock.toAgent(1), /no pong/);
});

test("the least delayed block ties the context's clock to ours", () => {
  const clock = new ContextClock();
  [12, 5, 9, 30].forEach((delay, i) => clock.block(i * 0.02, 700 + i * 20 + delay));
  assert.equal(clock.toOurs(1), 1705);
  assert.ok(Math.abs(clock.toContext(1705) - 1) < 1e-9);
});
