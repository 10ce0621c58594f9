// Two clocks against ours (performance.now, ms): the agent's, and the audio context's. Pure.

const KEPT_PONGS = 10;
const KEPT_BLOCKS = 250; // about 5 s of envelope messages

/** The agent's monotonic clock, learnt from ping and pong: the quickest of the last ten counts. */
export class AgentClock {
  #pongs = [];

  /** All in ms: t0 sent and t3 received on our clock, t1 received and t2 sent on the agent's. */
  pong(t0, t1, t2, t3) {
    const roundTrip = t3 - t0 - (t2 - t1);
    if (![t0, t1, t2, t3].every(Number.isFinite) || roundTrip < 0) return;
    this.#pongs.push({ roundTrip, offset: (t1 - t0 + (t2 - t3)) / 2 });
    if (this.#pongs.length > KEPT_PONGS) this.#pongs.shift();
  }

  get known() {
    return this.#pongs.length > 0;
  }

  /** ms either way: half the quickest round trip; the answer cannot be further off than that. */
  get uncertainty() {
    return this.#best().roundTrip / 2;
  }

  get roundTrip() {
    return this.#best().roundTrip;
  }

  toAgent(ours) {
    return ours + this.#best().offset;
  }

  toOurs(agents) {
    return agents - this.#best().offset;
  }

  #best() {
    if (!this.known) throw new Error("no pong has come yet");
    return this.#pongs.reduce((a, b) => (b.roundTrip <= a.roundTrip ? b : a));
  }
}

/**
 * The audio context's clock. A block of audio is seen on the main thread some time after it was
 * rendered, never before: the least delayed of the last seconds tells where the two clocks stand.
 */
export class ContextClock {
  #offsets = [];

  /** A block that ended at `contextEnd` (s) was seen at `now` (ms, ours). */
  block(contextEnd, now) {
    this.#offsets.push(now - contextEnd * 1000);
    if (this.#offsets.length > KEPT_BLOCKS) this.#offsets.shift();
  }

  get known() {
    return this.#offsets.length > 0;
  }

  /** s of the context -> ms of ours */
  toOurs(contextTime) {
    return contextTime * 1000 + Math.min(...this.#offsets);
  }

  /** ms of ours -> s of the context */
  toContext(ours) {
    return (ours - Math.min(...this.#offsets)) / 1000;
  }
}
