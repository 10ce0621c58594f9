import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversation } from "../../../web/conversation.js";
import { TABLES, chosenLanguage, sentences } from "../../../web/strings.js";

test("a partial grows into the final, in one place", () => {
  const talk = new Conversation();
  talk.take({ type: "transcript", turn: 1, text: "book a", stable: 4, final: false });
  const entry = talk.take({ type: "transcript", turn: 1, text: "Book a room.", stable: 0, final: true });
  assert.equal(talk.entries.length, 1);
  assert.deepEqual([entry.text, entry.stable, entry.final], ["Book a room.", 12, true]);
});

test("clauses join with spaces where a language has them", () => {
  const talk = new Conversation();
  const clause = (reply, number, text) =>
    talk.take({ type: "reply", turn: 1, reply, clause: number, text });
  clause(1, 0, "Sure,");
  assert.equal(clause(1, 1, "half past two.").text, "Sure, half past two.");
  clause(2, 0, "好的，");
  assert.equal(clause(2, 1, "下午两点半。").text, "好的，下午两点半。");
});

test("an interrupted reply is cut at what was heard", () => {
  const talk = new Conversation();
  talk.take({ type: "reply", turn: 1, reply: 4, clause: 0, text: "It is sunny, and warm." });
  const end = { type: "reply_end", turn: 1, reply: 4, heard: "It is sunny,", interrupted: true };
  assert.equal(talk.take(end).text, "It is sunny,");
});

test("a reply that began too early is known by its record", () => {
  const talk = new Conversation();
  talk.take({ type: "reply", turn: 1, reply: 4, clause: 0, text: "It is sunny." });
  const record = (reply, cut_in) => ({ type: "timeline", turn: 1, record: { reply, cut_in } });
  assert.equal(talk.take(record(4, false)), null);
  assert.equal(talk.take(record(9, true)), null);
  assert.equal(talk.take(record(4, true)).cutIn, true);
  assert.equal(talk.take(record(4, true)), null); // nothing new
});

test("turns stay in order, the caller before the agent", () => {
  const talk = new Conversation();
  talk.take({ type: "reply", turn: 1, reply: 1, clause: 0, text: "b" });
  talk.take({ type: "transcript", turn: 2, text: "c", stable: 1, final: true });
  talk.take({ type: "transcript", turn: 1, text: "a", stable: 1, final: true });
  assert.equal(talk.entries.map((entry) => entry.text).join(""), "abc");
  assert.equal(talk.take({ type: "state", state: "thinking" }), null);
});

test("both languages say the same things, with the same holes", () => {
  assert.deepEqual(Object.keys(TABLES["zh-CN"]), Object.keys(TABLES.en));
  for (const [key, sentence] of Object.entries(TABLES.en)) {
    const holes = (text) => (text.match(/\{\w+\}/g) ?? []).sort().join();
    assert.equal(holes(TABLES["zh-CN"][key]), holes(sentence), key);
  }
});

test("the browser's first language decides", () => {
  assert.equal(chosenLanguage(["zh-TW", "en"]), "zh-CN");
  assert.equal(chosenLanguage(["de", "zh"]), "en");
  assert.equal(chosenLanguage([]), "en");
  assert.equal(sentences("en")("summary", { count: 2, median: 300 }).includes("median 300\u00a0ms"), true);
});
