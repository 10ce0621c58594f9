// Voices made known from the page, and forgotten. With `memories.js` and `dialogs.js` it is the
// only module that touches this page.

import { attempt as attempted } from "./attempts.js";
import { sure } from "./dialogs.js";
import { $, loudness, make, write } from "./elements.js";
import * as memories from "./memories.js";
import { record } from "./recorder.js";
import { form, remove, voices } from "./server.js";
import { chosenLanguage, sentences } from "./strings.js";

const LANGUAGE = "firstword.language";
const READY = 2_000; // ms before the first recording, so that no screen reader talks into it
const CLIP = 5_000; // ms of one recording
const CLIPS = 2;
const WHOLE = CLIPS * CLIP;

let language = localStorage.getItem(LANGUAGE) ?? chosenLanguage(navigator.languages ?? []);
let t = sentences(language);
let stop = null; // ends the recording under way
let known = []; // [{name, clips, seconds}]
let whyNot = ""; // why no voice can be made known

const say = (sentence) => ($("said").textContent = sentence);
const attempt = (work, tell = say) => attempted(work, tell, t);

// --- making a voice known ------------------------------------------------------------------

function showRecording(left, level) {
  $("progress").value = Math.max(0, 1 - left / WHOLE);
  $("left").textContent =
    left > WHOLE ? t("getReady") : t("secondsLeft", { seconds: Math.ceil(left / 1000) });
  $("level").value = loudness(level);
}

function showButtons(recording) {
  $("stop").hidden = $("recording").hidden = !recording;
  $("record").hidden = recording;
  $(recording ? "stop" : "record").focus();
}

async function recordings() {
  const ending = new AbortController();
  stop = () => ending.abort();
  const shown = (left, level) => ending.signal.aborted || showRecording(left, level);
  say(t("recording", { wait: READY / 1000, seconds: WHOLE / 1000 }));
  shown(WHOLE + READY, 0);
  showButtons(true);
  try {
    return await record({ pause: READY, count: CLIPS, length: CLIP, shown, signal: ending.signal });
  } catch (error) {
    if (!ending.signal.aborted) throw error;
    say(t("stopped"));
    return null;
  } finally {
    stop = null;
    showButtons(false);
  }
}

async function enrol() {
  const name = $("name").value.trim();
  const clips = await recordings();
  if (clips === null) return;
  say(t("listeningToIt"));
  const body = new FormData();
  body.append("name", name);
  clips.forEach((one, number) => body.append("clip", one, `clip-${number + 1}`));
  $("record").ariaDisabled = "true"; // it keeps the focus
  try {
    await form("/api/speakers", body);
  } finally {
    $("record").ariaDisabled = null;
  }
  $("name").value = "";
  say(t("nowKnown", { name }));
  await show();
}

// --- the voices that are known ---------------------------------------------------------------

async function forget(name) {
  if (!(await sure(t("forget", { name }), t("forgetSure", { name })))) return;
  await remove(`/api/speakers/${encodeURIComponent(name)}`);
  say(t("forgotten", { name }));
  await show();
  await memories.show(); // it is gone with the voice
  $("known-title").focus(); // the button that had the focus is gone
}

function row({ name, clips, seconds }) {
  const face = make("span", "face", name.slice(0, 1));
  face.ariaHidden = "true";
  const kept = make("small", "", t("voiceOf", { clips, seconds: Math.round(seconds) }));
  const button = make("button", "quiet", t("forget", { name }));
  button.type = "button";
  button.addEventListener("click", () => attempt(() => forget(name)));
  return make("li", "person-row", "", face, make("span", "who", "", make("b", "", name), kept), button);
}

async function show() {
  ({ speakers: known, why_not: whyNot = "" } = await voices());
  draw();
}

function draw() {
  $("enrol").hidden = whyNot !== "";
  $("enrol-why").hidden = whyNot === "";
  $("enrol-why").textContent = whyNot && t("whyNot", { sentence: whyNot });
  $("known-none").hidden = known.length > 0;
  $("known").replaceChildren(...known.map(row));
}

// --- the page --------------------------------------------------------------------------------

function notice(sentence) {
  $("notice-text").textContent = sentence;
  $("notice").hidden = sentence === "";
}

async function load() {
  notice("");
  const shown = await attempt(async () => {
    await show();
    await memories.show();
  }, notice);
  $("sections").hidden = !shown;
}

function speak(wanted) {
  language = wanted;
  t = sentences(language);
  document.documentElement.lang = language;
  document.title = `FirstWord: ${t("voicesPage")}`;
  write(t);
  draw();
  memories.speak(t);
}

$("enrol").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!stop && !$("record").ariaDisabled) attempt(enrol);
});
$("stop").addEventListener("click", () => stop?.());
$("again").addEventListener("click", () => {
  $("main").focus(); // the button goes
  load();
});
$("language").addEventListener("click", () => {
  speak(language === "en" ? "zh-CN" : "en");
  localStorage.setItem(LANGUAGE, language);
});
speak(language);
load();
