// What was loud when: ten seconds of levels on a context's clock, and searches in it. Pure.

export const SECONDS = 10;
const AUDIBLE = 10 ** (-50 / 20); // of full scale: what the agent, too, counts as sound
const ABOVE_FLOOR = 2.5; // 8 dB over the background counts as speech
const BELOW_PEAK = 0.02; // 34 dB under the loudest: the tail of a word still belongs to it
const SMOOTH = 4; // bins: a mean over 10 ms is steady enough to set a bar close to the noise
const JOIN = 0.06; // s: a gap shorter than this is inside a word
const SHORTEST = 0.03; // s: anything shorter is a click
const QUIET = 0.02; // s of quiet that must come before an onset

/** A ring of peak levels, one for each `step` seconds. */
export class Envelope {
  #levels;
  #next = 0; // number of the bin to be written next, since the context began

  constructor(step, seconds = SECONDS) {
    this.step = step;
    this.#levels = new Float32Array(Math.ceil(seconds / step));
  }

  /** `levels` follow each other; the last of them ends at `end` (s). A gap becomes silence. */
  add(levels, end) {
    const first = Math.round(end / this.step) - levels.length;
    if (first > this.#next) {
      const gap = Math.min(first - this.#next, this.#levels.length);
      for (let i = first - gap; i < first; i += 1) this.#levels[i % this.#levels.length] = 0;
    }
    levels.forEach((level, i) => {
      this.#levels[(first + i) % this.#levels.length] = level;
    });
    this.#next = first + levels.length;
  }

  /** s: up to here the envelope is known. */
  get end() {
    return this.#next * this.step;
  }

  /** The bins that cover [from, to] (s) and are still kept: [{start, level}, ...]. */
  between(from, to) {
    const oldest = Math.max(0, this.#next - this.#levels.length);
    const first = Math.max(oldest, Math.floor(from / this.step));
    const last = Math.min(this.#next, Math.ceil(to / this.step));
    const bins = [];
    for (let i = first; i < last; i += 1) {
      bins.push({ start: i * this.step, level: this.#levels[i % this.#levels.length] });
    }
    return bins;
  }
}

/** Above which level a bin counts as speech, given the bins around it; null where none can be. */
export function speechThreshold(bins) {
  if (bins.length === 0) return null;
  const sorted = bins.map((bin) => bin.level).sort((a, b) => a - b);
  const floor = sorted[Math.floor(sorted.length / 10)];
  const peak = sorted[sorted.length - 1];
  const threshold = Math.max(AUDIBLE, Math.min(floor * ABOVE_FLOOR, peak / 2), peak * BELOW_PEAK);
  return peak > threshold ? threshold : null;
}

/** The bins with the mean of their neighbours for a level. */
export function smoothed(bins) {
  return bins.map((bin, i) => {
    const some = bins.slice(Math.max(0, i - SMOOTH / 2), i + SMOOTH / 2);
    return { ...bin, level: some.reduce((sum, { level }) => sum + level, 0) / some.length };
  });
}

/** Stretches of sound [{from, to}] (s): short gaps are closed, clicks are dropped. */
export function stretches(bins, threshold, step) {
  const found = [];
  for (const { start, level } of bins) {
    if (level <= threshold) continue;
    const last = found.at(-1);
    if (last && start - last.to < JOIN) last.to = start + step;
    else found.push({ from: start, to: start + step });
  }
  return found.filter((stretch) => stretch.to - stretch.from >= SHORTEST);
}

/**
 * When the caller's speech ended (`edge` "to") or began ("from"), near where the agent thinks.
 * Returns s, or null where the microphone was silent or speech ran through the whole window.
 */
export function callerEdge(envelope, near, edge, window = 0.4) {
  const bins = smoothed(envelope.between(near - 3, near + window + 0.1));
  const threshold = speechThreshold(bins);
  if (threshold === null) return null;
  const edges = stretches(bins, threshold, envelope.step)
    .map((stretch) => stretch[edge])
    .filter((at) => Math.abs(at - near) <= window && at < envelope.end - envelope.step);
  if (edges.length === 0) return null;
  return edges.reduce((a, b) => (Math.abs(b - near) < Math.abs(a - near) ? b : a));
}

/**
 * The first audible bin at or after `from` that follows quiet (s), or null if none yet. What lies
 * before `since` is not known.
 */
export function firstAudible(envelope, from, since = 0) {
  let quiet = 0;
  for (const { start, level } of envelope.between(Math.max(from - 0.2, since), Infinity)) {
    if (level < AUDIBLE) quiet += envelope.step;
    else if (start >= from - envelope.step && quiet >= QUIET) return start;
    else quiet = 0;
  }
  return null;
}

/** The end of the last audible bin in [from, to] (s); null if all of it is quiet. */
export function lastAudible(envelope, from, to) {
  const loud = envelope.between(from, to).filter((bin) => bin.level >= AUDIBLE);
  return loud.length === 0 ? null : loud.at(-1).start + envelope.step;
}
