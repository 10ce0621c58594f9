// What the caller sees and does. With `view-wait.js` and `dialogs.js` it is the only module that
// touches the call page's document.

import { askToken } from "./dialogs.js";
import { $, loudness, make, write } from "./elements.js";
import { WaitView } from "./view-wait.js";

const STATES = ["connecting", "listening", "thinking", "speaking", "lost"];
const DECAY = 0.82; // of a meter, each message
const HERE = ["127.0.0.1", "localhost", "[::1]"]; // elsewhere these pages ask for more than a click

export class View {
  #do;
  #t = (key) => key;
  #profiles = [];
  #profile = null;
  #state = "connecting";
  #typing = false;
  #muted = false;
  #entries = new Map(); // id -> {entry, item}
  #following = true; // the end of the conversation, unless the caller scrolled back
  #scrolled = 0; // how far down the conversation was when that was last told
  #wait = new WaitView();
  #microphones = [[], ""];
  #levels = [0, 0];
  #frame = null;

  /**
   * `actions`: {call(profile, withMicrophone), hangUp, mute, say(text), language, microphone(id),
   * character(id)}.
   */
  constructor(actions) {
    this.#do = actions;
    $("pages").hidden = !HERE.includes(location.hostname);
    $("picker").addEventListener("submit", (event) => {
      event.preventDefault();
      actions.call(this.#picked(), true);
    });
    $("call-typing").addEventListener("click", () => actions.call(this.#picked(), false));
    $("hangup").addEventListener("click", actions.hangUp);
    $("mute").addEventListener("click", actions.mute);
    $("language").addEventListener("click", actions.language);
    $("microphone").addEventListener("change", (event) => actions.microphone(event.target.value));
    $("character").addEventListener("change", (event) => actions.character(event.target.value));
    $("typing").addEventListener("submit", (event) => this.#say(event));
    const list = $("conversation");
    list.addEventListener("scroll", () => {
      // Told a frame late: by then more may have come, and the list be lower. Only callers go back.
      const left = list.scrollHeight - list.scrollTop - list.clientHeight;
      this.#following = left < 40 || (this.#following && list.scrollTop >= this.#scrolled);
      this.#scrolled = list.scrollTop;
    });
    new ResizeObserver(() => this.#follow()).observe(list);
  }

  /** Show everything in another language. */
  speak(language, t) {
    this.#t = t;
    document.documentElement.lang = language;
    write(t);
    $("words").placeholder = t("typeHere");
    this.showState(this.#state);
    this.showMuted(this.#muted);
    this.showMicrophones(...this.#microphones);
    for (const { entry } of this.#entries.values()) this.showEntry(entry);
    this.#wait.speak(t);
  }

  // --- sentences -------------------------------------------------------------------------

  /** A sentence that matters, with buttons: {label: what it does}. */
  notice(sentence, actions = {}) {
    const all = { ...actions, [this.#t("close")]: () => {} };
    const buttons = Object.entries(all).map(([label, act]) => {
      const button = make("button", "quiet", label);
      button.type = "button";
      button.addEventListener("click", () => {
        this.clearNotice();
        act();
        if (document.activeElement === button) $("main").focus(); // it is gone: go on below it
      });
      return button;
    });
    $("notice-text").textContent = sentence;
    $("notice-actions").replaceChildren(...buttons);
    $("notice").hidden = false;
  }

  clearNotice() {
    $("notice").hidden = true;
  }

  /** For screen readers only, once the line is quiet. */
  announce(sentence) {
    $("status").textContent = sentence;
  }

  /** Resolves to the token that the caller enters. */
  askToken(help) {
    return askToken(help);
  }

  // --- before the call -------------------------------------------------------------------

  showCharacters(profiles, remembered) {
    this.#profiles = profiles;
    const usable = profiles.filter((profile) => profile.usable !== false);
    const first =
      usable.find((profile) => profile.id === remembered) ??
      usable.find((profile) => profile.default) ??
      usable[0];
    $("characters").replaceChildren(
      ...profiles.map((profile) => this.#card(profile, profile === first)),
    );
    $("call").disabled = !first;
    $("call-typing").disabled = !first;
  }

  showMicrophones(devices, chosen) {
    this.#microphones = [devices, chosen];
    const known = devices.filter((device) => device.id !== "default");
    $("device").hidden = known.length === 0;
    const options = [{ id: "", name: this.#t("defaultMicrophone") }, ...known];
    $("microphone").replaceChildren(...options.map(({ id, name }) => new Option(name, id)));
    $("microphone").value = known.some((device) => device.id === chosen) ? chosen : "";
  }

  showLobby() {
    document.body.dataset.phase = "idle";
    $("lobby").hidden = false;
    $("room").hidden = this.#entries.size === 0 && this.#wait.empty;
    $("main").append($("device"));
    $("voice").srcObject = null;
    this.showLevels(0, 0);
    $("call").focus();
  }

  #card(profile, checked) {
    const input = make("input");
    const disabled = profile.usable === false;
    Object.assign(input, { type: "radio", name: "character", value: profile.id, checked, disabled });
    const name = make("span", "name", profile.name);
    const greeting = make("span", "greeting", (disabled ? profile.why : profile.greeting) ?? "");
    const text = make("span", "text", "", name, greeting);
    if (profile.language && !disabled) text.lang = profile.language;
    const face = make("span", "face");
    this.#paint(face, profile);
    return make("label", "card", "", input, face, text);
  }

  #picked() {
    const id = new FormData($("picker")).get("character");
    return this.#profiles.find((profile) => profile.id === id);
  }

  /** An avatar is a picture of the agent's own, or an emoji; else the first letter of the name. */
  #paint(face, { avatar, name }) {
    face.setAttribute("aria-hidden", "true");
    if (avatar?.startsWith("/avatars/")) {
      const picture = make("img");
      Object.assign(picture, { src: avatar, alt: "" });
      face.replaceChildren(picture);
    } else {
      face.textContent = avatar || name.slice(0, 1);
    }
  }

  // --- the call --------------------------------------------------------------------------

  showCall(profile, typing) {
    this.#profile = profile;
    this.#typing = typing;
    this.#entries.clear();
    this.#wait.clear();
    document.body.dataset.phase = "call";
    $("lobby").hidden = true;
    $("room").hidden = false;
    $("person").append($("device"));
    $("conversation").replaceChildren();
    this.#following = true;
    // With a microphone nothing is read out: a screen reader's voice would reach the agent.
    $("conversation").setAttribute("aria-live", typing ? "polite" : "off");
    this.showCharacter(profile.id, profile.name);
    $("other").hidden = true; // until the call stands
    this.showState("connecting");
    this.showMuted(false);
    this.silence(false);
    (typing ? $("words") : $("hangup")).focus();
  }

  /** The character that the call has now, and those that it could have. */
  showCharacter(id, name) {
    const known = this.#profiles.find((profile) => profile.id === id);
    this.#profile = known ?? { ...this.#profile, name };
    this.#paint($("face"), this.#profile);
    const usable = this.#profiles.filter((profile) => profile.usable !== false);
    $("character").replaceChildren(...usable.map((one) => new Option(one.name, one.id)));
    $("character").value = id;
    $("other").hidden = usable.length < 2;
    this.showName(name);
  }

  showName(name) {
    $("who-name").textContent = name;
    $("meter-agent-label").textContent = name;
  }

  showState(state) {
    this.#state = state;
    for (const other of STATES) document.body.classList.toggle(other, other === state);
    $("state-text").textContent = this.#t(state);
  }

  showMuted(muted) {
    this.#muted = muted;
    $("mute").disabled = this.#typing;
    $("mute").classList.toggle("muted", muted);
    const key = this.#typing ? "noMicrophone" : muted ? "unmute" : "mute";
    $("mute-text").textContent = this.#t(key);
  }

  /** 0..1 each; falls slowly, so that eyes can follow. */
  showLevels(you, agent) {
    this.#levels = [you, agent].map((level, i) =>
      Math.max(loudness(level), this.#levels[i] * DECAY),
    );
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      [$("meter-you").value, $("meter-agent").value] = this.#levels;
      $("face").style.setProperty("--level", this.#levels[1].toFixed(2));
    });
  }

  play(stream) {
    $("voice").srcObject = stream;
    $("voice").play().catch((error) => {
      if (error.name !== "AbortError") this.notice(error.message);
    });
  }

  /** Nothing of the agent is to be heard, from this moment on. */
  silence(silent) {
    $("voice").muted = silent;
  }

  /** A new or changed entry of the conversation; one without words vanishes. */
  showEntry(entry) {
    const old = this.#entries.get(entry.id)?.item;
    const item = this.#entryItem(entry);
    item.hidden = !entry.text;
    this.#entries.set(entry.id, { entry, item });
    if (old) {
      old.replaceWith(item);
    } else {
      const later = [...this.#entries.values()]
        .filter(({ entry: other }) => other !== entry)
        .find(({ entry: other }) => (other.turn - entry.turn || other.rank - entry.rank) > 0);
      $("conversation").insertBefore(item, later?.item ?? null);
    }
    this.#follow();
  }

  #follow() {
    if (this.#following) $("conversation").scrollTop = $("conversation").scrollHeight;
  }

  #entryItem({ who, text, stable, final, interrupted, cutIn }) {
    const name = who === "caller" ? this.#t("you") : this.#profile.name;
    const item = make("li", who, "", make("span", "away", `${name}: `));
    const words = make("p", "", "", make("span", "", text.slice(0, stable)));
    if (!final && who === "caller") {
      words.append(make("span", "unsure", text.slice(stable)), make("span", "caret"));
      words.append(make("span", "away", ` (${this.#t("stillSaying")})`));
    }
    if (interrupted) {
      const cut = make("span", "cut", this.#t(cutIn ? "cutIn" : "interrupted"));
      cut.title = this.#t(cutIn ? "cutInHelp" : "interruptedHelp");
      words.append(" ", cut);
    }
    item.append(words);
    return item;
  }

  #say(event) {
    event.preventDefault();
    const text = $("words").value.trim();
    if (text && this.#do.say(text)) $("words").value = "";
  }

  /** All bars of the call so far. */
  showWait(bars) {
    this.#wait.show(bars);
  }
}
