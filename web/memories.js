// What is remembered of known callers: shown, taken along, forgotten. The only module that touches
// its part of the voices' page. Remembered words go in as text, never as markup.

import { $ as at, make } from "./elements.js";
import { memories, memory, remove, ServerError } from "./server.js";

let t = (key) => key;

/** Do something, and say why it could not be done. */
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    say(error.status ? t("serverSaid", { sentence: error.message }) : t("unreachable"));
  }
}

const say = (sentence) => (at("memories-said").textContent = sentence);

function action(key, name, work) {
  const button = make("button", "quiet", t(key, { name }));
  button.type = "button";
  button.addEventListener("click", () => attempt(work));
  return button;
}

function turn({ at: when, caller, reply, interrupted }) {
  const cut = interrupted ? ` (${t("interrupted")})` : "";
  const theirs = make("p", "", t("memorySaid", { words: caller }));
  const heard = make("p", "", t("memoryHeard", { words: reply }) + cut);
  return make("li", "", "", make("small", "", when.slice(0, 16).replace("T", " ")), theirs, heard);
}

/** What one character remembers. */
function words(one) {
  const parts = [make("h4", "", one.profile)];
  if (one.summary) {
    const values = { count: one.summed, summary: one.summary };
    parts.push(make("p", "summary", t("memorySummary", values)));
  }
  if (one.dropped) parts.push(make("p", "", t("memoryDropped", { count: one.dropped })));
  parts.push(make("ol", "", "", ...one.turns.map(turn)));
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
  await remove(`/api/memories/${encodeURIComponent(name)}`);
  await show();
  say(t("memoryForgotten", { name }));
}

function person(name, cards) {
  const values = { name, characters: cards.map(({ profile }) => profile).join(", ") };
  const body = make("div");
  const details = make("details", "", "", make("summary", "", t("memoryOf", values)), body);
  details.addEventListener("toggle", () =>
    attempt(async () => {
      if (details.open) body.replaceChildren(...(await memory(name)).memories.map(words));
    }),
  );
  const buttons = [
    action("memoryTake", name, () => take(name)),
    action("memoryForget", name, () => forget(name)),
  ];
  return make("li", "", "", details, ...buttons);
}

/** Show of whom something is remembered, as it is now. */
export async function show() {
  await attempt(async () => {
    const people = Map.groupBy(await memories(), ({ name }) => name);
    at("memories").replaceChildren(...[...people].map(([name, cards]) => person(name, cards)));
    at("memories-none").hidden = people.size > 0;
  });
}

/** Show it in a language: ``sentences`` of ``strings.js``. */
export function speak(sentences) {
  t = sentences;
  at("memories-title").textContent = t("memoriesTitle");
  at("memories-help").textContent = t("memoriesHelp");
  at("memories-none").textContent = t("memoriesNone");
  return show();
}
