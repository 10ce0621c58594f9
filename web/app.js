// Wires it all: what the caller does, what the agent says, what the ear measures.

import { Conversation } from "./conversation.js";
import { Ear } from "./ear.js";
import { barOf } from "./latency-bar.js";
import { Line } from "./line.js";
import * as microphone from "./microphone.js";
import * as server from "./server.js";
import { chosenLanguage, sentences } from "./strings.js";
import { View } from "./view.js";

const LANGUAGE = "firstword.language";
const CHARACTER = "firstword.character";

let language = localStorage.getItem(LANGUAGE) ?? chosenLanguage(navigator.languages ?? []);
let t = sentences(language);
let offered = { info: {}, profiles: [] };
let call = null; // {line, ear, stream, typing, conversation, bars, muted, heldAt}

const view = new View({
  call: (profile, withMicrophone) => start(profile, withMicrophone),
  hangUp: () => finish(),
  mute: () => mute(!call?.muted),
  say: (text) => call?.line.send({ type: "say", text }) ?? false,
  language: () => speak(language === "en" ? "zh-CN" : "en"),
  microphone: (id) => changeMicrophone(id),
  character: (id) => call?.line.send({ type: "switch", profile: id }),
});

function speak(wanted) {
  language = wanted;
  t = sentences(language);
  localStorage.setItem(LANGUAGE, language);
  view.speak(language, t);
}

// --- before the call ---------------------------------------------------------------------

async function load() {
  if (!window.RTCPeerConnection) return view.notice(t("noWebRtc"));
  try {
    const info = await server.info();
    const profiles = await server.profiles();
    offered = { info, profiles };
  } catch (error) {
    if (error.status === 401) return login(load);
    return view.notice(problem(error), { [t("tryAgain")]: load });
  }
  if (offered.profiles.length === 0) return view.notice(t("noProfiles"), { [t("tryAgain")]: load });
  view.clearNotice();
  view.showCharacters(offered.profiles, localStorage.getItem(CHARACTER));
  return showMicrophones();
}

let asked = false;

async function login(andThen) {
  server.setToken(await view.askToken(t(asked ? "tokenWrong" : "tokenAsk")));
  asked = true;
  return andThen();
}

function problem(error) {
  if (error.status === 0) return t(error.message ? "unreachable" : "notConnected");
  const said = { sentence: error.message, seconds: error.retryAfter };
  if (error.status === 503) return t(error.retryAfter ? "busy" : "busySoon", said);
  if (error.message) return t("serverSaid", said);
  return t("serverFailed", { status: error.status });
}

// --- the call ----------------------------------------------------------------------------

async function start(profile, withMicrophone) {
  if (call) return;
  localStorage.setItem(CHARACTER, profile.id);
  view.clearNotice();
  view.showCall(profile, !withMicrophone);
  const mine = {
    ear: new Ear((mouth, agent) => view.showLevels(mouth, agent)),
    conversation: new Conversation(),
    bars: new Map(),
    typing: !withMicrophone,
    muted: false,
    heldAt: null, // ms: since when a held reply is mute
  };
  call = mine;
  const opened = mine.ear.open(); // goes on beside the microphone and the connection
  try {
    mine.stream = withMicrophone ? await microphone.open() : mine.ear.silence();
  } catch (error) {
    finish();
    if (!(error instanceof microphone.MicrophoneError)) throw error;
    return view.notice(t(error.key), {
      [t("tryAgain")]: () => start(profile, true),
      [t("callTyping")]: () => start(profile, false),
    });
  }
  if (call !== mine) return stop(mine.stream); // hung up meanwhile
  mine.line = new Line({
    stream: mine.stream,
    profile: profile.id,
    iceServers: offered.info.ice_servers ?? [],
    on: {
      message: (word) => listen(mine, word),
      track: (stream) => hear(mine, stream, opened),
      status: (status) => showStatus(mine, status, profile),
      ended: (reason, error) => ended(mine, reason, error, profile),
    },
  });
  mine.line.open();
  if (withMicrophone) useMicrophone(mine, opened);
}

async function useMicrophone(mine, opened) {
  mine.stream.getAudioTracks()[0].onended = () => view.notice(t("microphoneLost"));
  showMicrophones();
  await opened;
  if (call === mine) mine.ear.listenToMicrophone(mine.stream);
}

async function hear(mine, stream, opened) {
  view.play(stream); // Chromium decodes nothing that no element plays
  await opened;
  if (call === mine) mine.ear.listenToAgent(stream);
}

function showStatus(mine, status, profile) {
  view.showState(status === "connected" ? "listening" : status);
  if (status === "lost") view.notice(t("lostNotice"));
  if (status !== "connected") return;
  view.clearNotice();
  view.announce(t("connected", { name: profile.name }));
}

function ended(mine, reason, error, profile) {
  if (call !== mine) return;
  finish();
  if (error?.status === 401) return login(() => start(profile, !mine.typing));
  if (reason === "bye") return view.notice(t(error ? "endedBecause" : "ended", { reason: error }));
  const sentence = reason === "gone" ? t("gone") : problem(error);
  view.notice(sentence, { [t("tryAgain")]: () => start(profile, !mine.typing) });
}

function finish() {
  const mine = call;
  call = null;
  mine?.line?.hangUp();
  release(mine);
  view.showLobby();
}

function release(mine) {
  stop(mine?.stream);
  mine?.ear.close();
}

function stop(stream) {
  stream?.getTracks().forEach((track) => {
    track.onended = null;
    track.stop();
  });
}

// --- what the agent says -----------------------------------------------------------------

const WORDS = {
  welcome: (mine, word) => view.showCharacter(word.profile, word.name),
  switched(mine, word) {
    view.showCharacter(word.profile, word.name);
    view.announce(t("switched", { name: word.name }));
  },
  state: (mine, word) => view.showState(word.state),
  transcript: (mine, word) => view.showEntry(mine.conversation.take(word)),
  reply: (mine, word) => view.showEntry(mine.conversation.take(word)),
  reply_end: (mine, word) => view.showEntry(mine.conversation.take(word)),
  error: (mine, word) => view.notice(word.sentence),
  playing(mine, word) {
    unmute(mine);
    reportHeard(mine, word);
  },
  hold(mine) {
    view.silence(true); // the agent has stopped too: this spares the 60 ms already on their way
    mine.heldAt = performance.now();
  },
  go_on: (mine) => unmute(mine),
  flush(mine, word) {
    view.silence(true);
    reportSilenced(mine, word, mine.heldAt ?? performance.now());
    mine.heldAt = null;
  },
  timeline(mine, word) {
    const entry = mine.conversation.take(word);
    if (entry) view.showEntry(entry);
    const bar = word.turn > 0 ? barOf(word.turn, word.record) : null; // 0: the greeting
    if (!bar) return;
    mine.bars.set(word.turn, bar);
    view.showWait([...mine.bars.values()].sort((a, b) => a.turn - b.turn));
  },
};

function unmute(mine) {
  mine.heldAt = null;
  view.silence(false);
}

function listen(mine, word) {
  if (call === mine && Object.hasOwn(WORDS, word.type)) WORDS[word.type](mine, word);
}

async function reportHeard(mine, { turn, reply, at, speech_end: hint }) {
  await mine.line.learnt;
  const { clock } = mine.line;
  const delay = mine.line.playoutDelay();
  const soonest = clock.toOurs(at) - clock.uncertainty;
  const found = await mine.ear.heard(soonest, toOurs(clock, hint));
  if (!found || call !== mine) return;
  const spoken = found.speechEnd === null ? null : found.speechEnd - inputLatency(mine);
  mine.line.send({
    type: "heard",
    turn,
    reply,
    heard: clock.toAgent(found.heard + (await delay)),
    speech_end: spoken === null ? null : clock.toAgent(spoken),
    uncertainty: clock.uncertainty,
  });
}

async function reportSilenced(mine, { turn, reply, speech_start: hint }, mutedAt) {
  await mine.line.learnt;
  const { clock } = mine.line;
  const delay = mine.line.playoutDelay();
  const found = await mine.ear.silenced(mutedAt, toOurs(clock, hint));
  if (!found || call !== mine) return;
  const spoken = found.speechStart === null ? null : found.speechStart - inputLatency(mine);
  mine.line.send({
    type: "silenced",
    turn,
    reply,
    at: clock.toAgent(found.silent + (await delay)),
    speech_start: spoken === null ? null : clock.toAgent(spoken),
  });
}

const toOurs = (clock, at) => (typeof at === "number" ? clock.toOurs(at) : null);

const inputLatency = (mine) => microphone.inputLatency(mine.stream.getAudioTracks()[0]);

// --- the microphone ----------------------------------------------------------------------

function mute(muted) {
  if (!call?.stream || call.typing) return;
  call.muted = muted;
  call.stream.getAudioTracks()[0].enabled = !muted;
  view.showMuted(muted);
}

async function showMicrophones() {
  view.showMicrophones(await microphone.list(), microphone.remembered());
}

async function changeMicrophone(id) {
  microphone.remember(id);
  const mine = call;
  if (!mine?.line || mine.typing) return;
  try {
    const stream = await microphone.open(id);
    if (call !== mine) return stop(stream);
    stop(mine.stream);
    mine.stream = stream;
    mute(mine.muted);
    await mine.line.replaceStream(stream);
    await useMicrophone(mine);
    view.clearNotice();
  } catch (error) {
    if (!(error instanceof microphone.MicrophoneError)) throw error;
    view.notice(t(error.key));
  }
}

// --- the page ----------------------------------------------------------------------------

addEventListener("pagehide", () => {
  const mine = call;
  call = null;
  mine?.line?.leave();
  release(mine);
});
addEventListener("pageshow", ({ persisted }) => persisted && view.showLobby());
addEventListener("online", () => call?.line?.retryNow());
microphone.watch(showMicrophones);
view.speak(language, t);
load();
