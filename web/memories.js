// What is remembered of known callers: shown, taken along, forgotten. Only this module touches its
// part of the voices' page. Remembered words go in as text, never as markup.

import { attempt as attempted } from "./attempts.js";
import { sure } from "./dialogs.js";
import { $, make } from "./elements.js";
import { memories, memory, remove } from "./server.js";

let t = (key) => key;
let cards = []; // of all people, as the server lists them

const say = (sentence) => ($("memories-said").textContent = sentence);
const attempt = (work) => attempted(work, say, t);

function action(key, name, work) {
  const button = make("button", "quiet", t(key, { name }));
  button.type = "button";
  button.addEventListener("click", () => attempt(work));
  return button;
}

function when(at) {
  const form = { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(document.documentElement.lang, form).format(new Date(at));
}

/** What one side said; who it was is told to screen readers, eyes see it by its place. */
function words(who, key, said, more = "") {
  return make("p", who, "", make("span", "away", t(key, { words: "" })), said, more);
}

function turn({ at, caller, reply, interrupted }) {
  const cut = interrupted ? ` (${t("interrupted")})` : "";
  const both = [words("caller", "memorySaid", caller), words("agent", "memoryHeard", reply, cut)];
  return make("li", "", "", make("small", "", when(at)), ...both);
}

/** What one character remembers. */
function remembered(one) {
  const parts = [make("h4", "", one.profile)];
  if (one.summary) {
    const values = { count: one.summed, summary: one.summary };
    parts.push(make("p", "soft", t("memorySummary", values)));
  }
  if (one.dropped) parts.push(make("p", "soft", t("memoryDropped", { count: one.dropped })));
  parts.push(make("ol", "talks", "", ...one.turns.map(turn)));
  return make("section", "", "", ...parts);
}

async function take(name) {
  const text = JSON.stringify(await memory(name), null, 2);
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = `${name}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  say(t("memoryTaken", { name }));
}

async function forget(name) {
  if (!(await sure(t("memoryForget", { name }), t("memorySure", { name })))) return;
  await remove(`/api/memories/${encodeURIComponent(name)}`);
  await show();
  say(t("memoryForgotten", { name }));
  $("memories-title").focus(); // the button that had the focus is gone
}

function person(name, ofTheirs) {
  const characters = ofTheirs.map(({ profile }) => profile).join(", ");
  const latest = when(ofTheirs.map((card) => card.latest).sort().at(-1));
  const kept = ofTheirs.reduce((sum, card) => sum + card.kept, 0);
  const body = make("div");
  const about = make("small", "", t("memoryKept", { kept, latest }));
  const title = make("summary", "", t("memoryOf", { name, characters }), about);
  const details = make("details", "", "", title, body);
  details.addEventListener("toggle", () =>
    attempt(async () => {
      if (details.open) body.replaceChildren(...(await memory(name)).memories.map(remembered));
    }),
  );
  const buttons = [
    action("memoryTake", name, () => take(name)),
    action("memoryForget", name, () => forget(name)),
  ];
  return make("li", "", "", details, make("div", "acts", "", ...buttons));
}

/** Show of whom something is remembered, as it is now. */
export async function show() {
  cards = await memories();
  draw();
}

function draw() {
  const people = Map.groupBy(cards, ({ name }) => name);
  $("memories").replaceChildren(...[...people].map(([name, theirs]) => person(name, theirs)));
  $("memories-none").hidden = people.size > 0;
}

/** Show it in a language: `sentences` of `strings.js`. */
export function speak(words) {
  t = words;
  draw();
}
