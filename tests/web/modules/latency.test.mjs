import assert from "node:assert/strict";
import { test } from "node:test";

import { barOf, niceAxis, summary } from "../../../web/latency-bar.js";
import { described, meaning, notes, tables } from "../../../web/latency-text.js";
import { sentences } from "../../../web/strings.js";

const t = sentences("en");
const RECORD = {
  marks: { speech_end: 0, endpoint: 300, asr_final: 210, playout_first: 400, heard: 450.4 },
  spans: [["endpoint", 300], ["asr", 0], ["tts", 100], ["ear", 50.4]],
  first_response_ms: 450.4,
  residual_ms: 0,
  measured_from: "speech_end",
  heard_uncertainty_ms: 0.75,
  speech_end_source: "vad",
  hidden: { asr: 110 },
  speculation: { hit: true, saved_ms: 110 },
  error: null,
  fallbacks: [],
};

test("the bar's parts sum to the whole", () => {
  const bar = barOf(3, RECORD);
  assert.equal(bar.total, 450.4);
  assert.ok(Math.abs(bar.spans.reduce((sum, span) => sum + span.share, 0) - 1) < 1e-12);
  assert.deepEqual(bar.spans.map((span) => span.from), [0, 300, 300, 400]);
  assert.equal(bar.spans[1].hidden, 110);
});

test("a residual below zero takes no room and is listed all the same", () => {
  const spans = [["endpoint", 300], ["playout", 20], ["residual", -8]];
  const bar = barOf(1, { ...RECORD, spans, first_response_ms: 312 });
  assert.equal(bar.spans[2].share, 0);
  assert.equal(bar.end, 312);
  assert.equal(tables(bar, t)[0].rows[2][2], "-8.0");
});

test("a span that we do not know keeps its name", () => {
  const bar = barOf(1, { ...RECORD, spans: [["<b>tool</b>", 80]], first_response_ms: 80 });
  assert.equal(bar.spans[0].kind, "other");
  assert.equal(described(bar, t), "Turn 1: 80 ms. <b>tool</b> 80 ms.");
});

test("an ear that was not measured is reported as such", () => {
  const { heard, ...marks } = RECORD.marks;
  const bar = barOf(1, { ...RECORD, marks });
  assert.match(meaning(bar, t), /your ear was not measured/);
  assert.match(meaning(barOf(1, RECORD), t), /until you heard the reply/);
});

test("a turn without sound has no total, and one without spans no bar", () => {
  const bar = barOf(1, { ...RECORD, first_response_ms: null, error: "The model is gone." });
  assert.equal(bar.total, null);
  assert.equal(meaning(bar, t), "No sound of this reply left the agent.");
  assert.equal(notes(bar, t)[0], "The model is gone.");
  assert.equal(barOf(1, { marks: {}, spans: [] }), null);
});

test("a reply that began too early is the agent's doing, and no interruption", () => {
  const cut = { ...RECORD, barge_in_ms: 180, interrupted_after_ms: 640.2, cut_in: true };
  for (const language of ["en", "zh-CN"]) {
    const say = sentences(language);
    const lines = notes(barOf(1, cut), say);
    assert.ok(lines.includes(say("noteCutIn", { ms: 640 })), language);
    assert.ok(!lines.some((line) => /You interrupted|你打断了/.test(line)), language);
  }
  const bargeIn = { ...cut, interrupted_after_ms: 2300, cut_in: false };
  assert.ok(notes(barOf(1, bargeIn), t).includes(t("noteBargeIn", { ms: 180 })));
});

test("a wait in which the agent's event loop stalled says so", () => {
  const loop = (stalls) => ({ ...RECORD, event_loop: { worst_ms: 90, stalls, stalled_ms: 140.4 } });
  assert.ok(notes(barOf(1, loop(2)), t).includes(t("noteStalls", { count: 2, ms: 140 })));
  assert.equal(barOf(1, loop(0)).stalls, null);
  assert.equal(barOf(1, RECORD).stalls, null);
});

test("the median is of turns that had sound", () => {
  const bars = [500, null, 300, 900].map((total) => ({ total }));
  assert.deepEqual(summary(bars), { count: 3, median: 500, slowest: 900 });
  assert.equal(summary([{ total: null }]), null);
});

test("the axis ends at a number that reads easily", () => {
  assert.deepEqual([3, 180, 240, 430, 1001].map(niceAxis), [5, 200, 250, 500, 2000]);
});
