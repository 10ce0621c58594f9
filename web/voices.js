// Voices made known from the page: two recordings, sent as a form. A page of its own, that only
// this module and `memories.js` touch.

import * as memories from "./memories.js";
import * as microphone from "./microphone.js";
import { form, ServerError, remove, voices } from "./server.js";
import { chosenLanguage, sentences } from "./strings.js";

const CLIP = 5_000; // ms of one recording
const CLIPS = 2;

const SENTENCES = {
  en: {
    title: "Make a voice known",
    help: "Say your name, press record, and talk for ten seconds about anything. The recordings are not kept: only a voice print is, encrypted, on this machine.",
    name: "Name",
    record: "Record",
    recording: (left) => `Recording, ${left} s left …`,
    working: "Listening to it …",
    done: (name) => `${name} is known now.`,
    forgotten: (name) => `${name} is forgotten.`,
    forget: (name) => `Forget ${name}`,
    noMicrophone: "The microphone could not be opened.",
    failed: "The agent could not be reached.",
  },
  zh: {
    title: "登记声音",
    help: "填上名字，按“录音”，随便说十秒钟。录音不会保存，只在本机加密保存声纹。",
    name: "名字",
    record: "录音",
    recording: (left) => `正在录音，还有 ${left} 秒……`,
    working: "正在听……",
    done: (name) => `已经认识${name}的声音。`,
    forgotten: (name) => `已忘记${name}。`,
    forget: (name) => `忘记${name}`,
    noMicrophone: "无法打开麦克风。",
    failed: "无法连接服务。",
  },
};

const language = localStorage.getItem("firstword.language") ?? chosenLanguage(navigator.languages ?? []);
const t = SENTENCES[language.startsWith("zh") ? "zh" : "en"];
const at = (id) => document.getElementById(id);
const say = (sentence) => (at("said").textContent = sentence);

/** One recording, as the browser packs it. */
function clip(stream) {
  return new Promise((done, failed) => {
    const pieces = [];
    const recorder = new MediaRecorder(stream);
    recorder.ondataavailable = ({ data }) => pieces.push(data);
    recorder.onerror = ({ error }) => failed(error);
    recorder.onstop = () => done(new Blob(pieces, { type: recorder.mimeType }));
    recorder.start();
    setTimeout(() => recorder.stop(), CLIP);
  });
}

async function record() {
  const stream = await microphone.open();
  const clips = [];
  try {
    for (let number = 0; number < CLIPS; number += 1) {
      say(t.recording(((CLIPS - number) * CLIP) / 1000));
      clips.push(await clip(stream));
    }
  } finally {
    stream.getTracks().forEach((track) => track.stop());
  }
  return clips;
}

function reason(error) {
  if (error instanceof microphone.MicrophoneError) return t.noMicrophone;
  return error instanceof ServerError && error.message && error.status ? error.message : t.failed;
}

async function attempt(work) {
  at("record").disabled = true;
  try {
    await work();
  } catch (error) {
    say(reason(error));
  } finally {
    at("record").disabled = false;
  }
}

async function enrol() {
  const name = at("name").value.trim();
  const clips = await record();
  say(t.working);
  const body = new FormData();
  body.append("name", name);
  clips.forEach((one, number) => body.append("clip", one, `clip-${number + 1}`));
  await form("/api/speakers", body);
  say(t.done(name));
  await show();
}

async function forget(name) {
  await remove(`/api/speakers/${encodeURIComponent(name)}`);
  say(t.forgotten(name));
  await show();
  await memories.show(); // it is gone with the voice
}

async function show() {
  const rows = (await voices()).map(({ name }) => {
    const row = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = t.forget(name);
    button.addEventListener("click", () => attempt(() => forget(name)));
    row.append(`${name} `, button);
    return row;
  });
  at("known").replaceChildren(...rows);
}

document.documentElement.lang = language;
at("title").textContent = t.title;
at("help").textContent = t.help;
at("name-label").textContent = t.name;
at("record").textContent = t.record;
at("enrol").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(enrol);
});
attempt(show);
memories.speak(sentences(language.startsWith("zh") ? "zh-CN" : "en"));
