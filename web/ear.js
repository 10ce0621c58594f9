// The caller's ear: hears microphone and agent in one AudioContext and says when each was loud.

import { ContextClock } from "./clock.js";
import { Envelope, callerEdge, firstAudible, lastAudible } from "./envelope.js";

const BLOCK = 128; // samples: the finest time we tell apart, 2.7 ms at 48 kHz
const SETTLE = 0.1; // s: until a new source gives what it hears, not its first silence
const WAIT_FOR_REPLY = 2000; // ms after `playing`, then this reply stays unmeasured
const WAIT_FOR_SILENCE = 400; // ms after `flush`

export class Ear {
  #context = new AudioContext({ latencyHint: "interactive" });
  #clock = new ContextClock();
  #microphone = new Envelope(BLOCK / this.#context.sampleRate);
  #agent = new Envelope(BLOCK / this.#context.sampleRate);
  #node = null;
  #sources = [null, null];
  #agentSince = Infinity; // s: from here on the agent's silence is silence
  #waiting = []; // measurements that want more audio: functions that return true when done
  #onlevels;

  /** `onlevels(microphone, agent)`: the loudest block of each message, 0..1, 47 times a second. */
  constructor(onlevels) {
    this.#onlevels = onlevels;
  }

  /** Start the analysis; false where this browser (or an insecure page) has no AudioWorklet. */
  async open() {
    await this.#context.resume();
    if (!this.#context.audioWorklet) return false;
    const worklet = new URL("./ear-worklet.js", import.meta.url);
    try {
      await this.#context.audioWorklet.addModule(worklet);
    } catch (error) {
      if (this.#context.state === "closed") return false; // the call was over before it began
      throw error;
    }
    this.#node = new AudioWorkletNode(this.#context, "ear", { numberOfInputs: 2 });
    this.#node.connect(this.#context.destination); // it puts out silence; unconnected it may rest
    this.#node.port.onmessage = ({ data }) => this.#hear(data);
    return true;
  }

  /** A stream without sound, for callers without a microphone: the agent wants an audio line. */
  silence() {
    return this.#context.createMediaStreamDestination().stream;
  }

  listenToMicrophone(stream) {
    this.#attach(stream, 0);
  }

  listenToAgent(stream) {
    this.#attach(stream, 1);
    this.#agentSince = this.#context.currentTime + SETTLE;
  }

  /**
   * When a reply became audible, and when the caller had ended. Times in ms of performance.now();
   * `speechEnd` is null without a hint or where the microphone does not show it. Resolves to null
   * if nothing was heard in time, or it sounded before the ear was open.
   */
  heard(at, speechEndHint) {
    return this.#until(WAIT_FOR_REPLY, () => {
      const start = firstAudible(this.#agent, this.#clock.toContext(at), this.#agentSince);
      if (start === null) return null;
      const speechEnd = this.#caller(speechEndHint, "to");
      return { heard: this.#clock.toOurs(start), speechEnd };
    });
  }

  /** When the agent fell silent after it was cut off at `at` (the page muted it then); ms. */
  silenced(at, speechStartHint) {
    const from = this.#clock.known ? this.#clock.toContext(at) - 0.5 : 0;
    return this.#until(WAIT_FOR_SILENCE, () => {
      const muted = this.#clock.toContext(at);
      if (this.#agent.end < muted + 0.1) return null;
      const last = lastAudible(this.#agent, from, muted);
      const speechStart = this.#caller(speechStartHint, "from");
      return { silent: last === null ? at : this.#clock.toOurs(last), speechStart };
    });
  }

  async close() {
    this.#waiting = [];
    this.#sources.forEach((source) => source?.disconnect());
    if (this.#context.state !== "closed") await this.#context.close();
  }

  #attach(stream, input) {
    this.#sources[input]?.disconnect();
    this.#sources[input] = null;
    if (!this.#node || !stream || stream.getAudioTracks().length === 0) return;
    this.#sources[input] = this.#context.createMediaStreamSource(stream);
    this.#sources[input].connect(this.#node, 0, input);
  }

  #caller(hint, edge) {
    if (hint === null || hint === undefined || !this.#sources[0]) return null;
    const at = callerEdge(this.#microphone, this.#clock.toContext(hint), edge);
    return at === null ? null : this.#clock.toOurs(at);
  }

  #hear({ end, microphone, agent }) {
    this.#clock.block(end, performance.now());
    this.#microphone.add(microphone, end);
    this.#agent.add(agent, end);
    this.#waiting = this.#waiting.filter((done) => !done());
    this.#onlevels(Math.max(...microphone), Math.max(...agent));
  }

  #until(wait, measure) {
    if (!this.#node) return Promise.resolve(null);
    const deadline = performance.now() + wait;
    return new Promise((resolve) => {
      this.#waiting.push(() => {
        const found = measure();
        if (found === null && performance.now() < deadline) return false;
        resolve(found);
        return true;
      });
    });
  }
}
