// The connection to the agent: an offer, a data channel with a heartbeat, and again when it broke.

import { AgentClock } from "./clock.js";
import * as server from "./server.js";

const HEARTBEAT = 1000; // ms
const DEAD = 3000; // ms without a word from the agent
const CONNECT = 10_000; // ms from the answer to the open channel
const GIVE_UP = 25_000; // ms of trying again: the agent keeps a lost call for about 30 s
const FIRST_PAUSE = 300; // ms before the second try; doubled each time
const LONGEST_PAUSE = 4000; // ms

export class Line {
  clock = new AgentClock();
  learnt = new Promise(() => {}); // fulfilled once the clock is known
  #learn = () => {};
  #pc = null;
  #channel = null;
  #beat = null;
  #lastWord = 0;
  #playout = { delay: 0, samples: 0 };
  #timer = null; // of the next try, or of the connect deadline
  #lostAt = null; // when the line broke; null while it stands
  #tries = 0;
  #stood = false; // whether there ever was a connection
  #over = false;
  #call = null;
  #session = null;
  #stream;
  #profile;
  #iceServers;
  #on;

  /**
   * `on`: {message(word), track(stream), status("connecting" | "connected" | "lost"),
   * ended(reason, error)}; reason is "bye", "refused" or "gone".
   */
  constructor({ stream, profile, iceServers, on }) {
    this.#stream = stream;
    this.#profile = profile;
    this.#iceServers = iceServers;
    this.#on = on;
  }

  open() {
    this.#on.status("connecting");
    return this.#connect();
  }

  /** Send a word; false while the line is down (nothing is kept for later). */
  send(word) {
    if (this.#channel?.readyState !== "open") return false;
    this.#channel.send(JSON.stringify(word));
    return true;
  }

  /** Say goodbye and free everything. */
  hangUp() {
    this.send({ type: "hangup" });
    this.#end();
  }

  /** The page goes away: nothing may wait. */
  leave() {
    if (this.#call) server.leave(this.#call);
    this.#end();
  }

  /** Talk into another stream from now on. */
  async replaceStream(stream) {
    this.#stream = stream;
    const sender = this.#pc?.getSenders()[0];
    await sender?.replaceTrack(stream.getAudioTracks()[0]);
  }

  /** The network came back: do not sit out the pause. */
  retryNow() {
    if (this.#lostAt === null || this.#over || this.#pc) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  /**
   * ms from leaving the jitter buffer to the loudspeaker, since it was last asked for, as the
   * browser reckons; 0 if it does not.
   */
  async playoutDelay() {
    for (const report of (await this.#pc?.getStats())?.values() ?? []) {
      if (report.type !== "media-playout") continue;
      const { totalPlayoutDelay: delay, totalSamplesCount: samples } = report;
      const before = samples > this.#playout.samples ? this.#playout : { delay: 0, samples: 0 };
      this.#playout = { delay, samples };
      return samples > 0 ? ((delay - before.delay) / (samples - before.samples)) * 1000 : 0;
    }
    return 0;
  }

  async #connect() {
    this.#tries += 1;
    const pc = new RTCPeerConnection({ iceServers: this.#iceServers, bundlePolicy: "max-bundle" });
    this.#pc = pc;
    pc.ontrack = ({ streams, track }) => this.#on.track(streams[0] ?? new MediaStream([track]));
    pc.onconnectionstatechange = () => {
      if (["failed", "closed"].includes(pc.connectionState)) this.#lost(pc);
    };
    pc.addTrack(this.#stream.getAudioTracks()[0], this.#stream);
    this.#useChannel(pc, pc.createDataChannel("firstword", { ordered: true }));
    try {
      await pc.setLocalDescription(await pc.createOffer());
      await this.#exchange(pc); // at once: waiting for candidates costs 120 ms and gains nothing
    } catch (error) {
      this.#failed(pc, error);
    }
  }

  async #exchange(pc) {
    const { type, sdp } = pc.localDescription;
    const session = this.#session ? { session: this.#session } : {};
    const answer = await server.answer({ sdp, type, profile: this.#profile, ...session });
    if (this.#pc !== pc) return server.leave(answer.call); // hung up while it was on its way
    this.#call = answer.call;
    this.#session = answer.session;
    this.#timer = setTimeout(() => this.#lost(pc), CONNECT);
    return pc.setRemoteDescription({ type: answer.type, sdp: answer.sdp });
  }

  #useChannel(pc, channel) {
    this.#channel = channel;
    channel.onopen = () => this.#opened(pc);
    channel.onclose = () => this.#lost(pc);
    channel.onmessage = ({ data }) => {
      this.#lastWord = performance.now();
      const word = JSON.parse(data);
      if (word.type === "pong") this.#pong(word);
      else if (word.type === "bye") this.#end("bye", word.reason);
      else this.#on.message(word);
    };
  }

  #opened(pc) {
    clearTimeout(this.#timer);
    this.#stood = true;
    this.#lostAt = null;
    this.#tries = 0;
    this.#lastWord = performance.now();
    this.#playout = { delay: 0, samples: 0 };
    this.clock = new AgentClock(); // a restarted agent has another clock
    this.learnt = new Promise((resolve) => (this.#learn = resolve));
    for (const wait of [0, 50, 100, 200]) setTimeout(() => this.#ping(pc), wait); // learn it soon
    this.#beat = setInterval(() => {
      if (performance.now() - this.#lastWord > DEAD) this.#lost(pc);
      else this.#ping(pc);
    }, HEARTBEAT);
    this.#on.status("connected");
  }

  #ping(pc) {
    if (this.#pc === pc) this.send({ type: "ping", t0: performance.now() });
  }

  #pong({ t0, t1, t2 }) {
    this.clock.pong(t0, t1, t2, performance.now());
    if (this.clock.known) this.#learn();
  }

  #failed(pc, error) {
    const status = error instanceof server.ServerError ? error.status : 0;
    const worthTrying = this.#lostAt !== null && (status === 0 || status >= 500);
    if (this.#pc !== pc || worthTrying) this.#lost(pc, (error.retryAfter ?? 0) * 1000);
    else this.#end(this.#lostAt === null ? "refused" : "gone", error);
  }

  #lost(pc, pauseAtLeast = 0) {
    if (this.#over || this.#pc !== pc) return;
    this.#release();
    if (!this.#stood) {
      this.#end("refused", new server.ServerError(0, ""));
      return;
    }
    this.#lostAt ??= performance.now();
    const pause = Math.min(FIRST_PAUSE * 2 ** this.#tries, LONGEST_PAUSE);
    const wait = Math.max(this.#tries === 0 ? 0 : pause, pauseAtLeast);
    if (performance.now() + wait - this.#lostAt > GIVE_UP) {
      this.#end("gone");
      return;
    }
    this.#on.status("lost");
    this.#timer = setTimeout(() => this.#connect(), wait);
  }

  #release() {
    clearTimeout(this.#timer);
    clearInterval(this.#beat);
    const pc = this.#pc;
    this.#pc = null;
    this.#channel = null;
    pc?.close();
  }

  #end(reason, error) {
    if (this.#over) return;
    this.#over = true;
    this.#release();
    if (reason) this.#on.ended(reason, error);
  }
}
