// What was said, turn by turn, out of the agent's words. Pure.

/** Entries in the order of the call: {id, who: "caller" | "agent", turn, text, stable, ...}. */
export class Conversation {
  #entries = new Map();

  get entries() {
    return [...this.#entries.values()].sort((a, b) => a.turn - b.turn || a.rank - b.rank);
  }

  /** Take a word in; returns the entry that changed, or null for words that are not about this. */
  take(word) {
    if (word.type === "transcript") return this.#caller(word);
    if (word.type === "reply") return this.#clause(word);
    if (word.type === "reply_end") return this.#replyEnd(word);
    if (word.type === "timeline") return this.#record(word.record);
    return null;
  }

  #caller({ turn, text, stable, final }) {
    const entry = this.#entry(`caller-${turn}`, { who: "caller", turn, rank: -1 });
    return Object.assign(entry, { text, stable: final ? text.length : stable, final });
  }

  #clause({ turn, reply, clause, text }) {
    const entry = this.#reply(turn, reply);
    entry.clauses[clause] = text;
    entry.text = join(entry.clauses);
    entry.stable = entry.text.length;
    return entry;
  }

  #replyEnd({ turn, reply, heard, interrupted }) {
    const entry = this.#reply(turn, reply);
    if (interrupted) entry.text = heard.trim(); // the rest was never said: do not show it as said
    else if (!entry.text) entry.text = heard.trim();
    return Object.assign(entry, { stable: entry.text.length, final: true, interrupted });
  }

  /** A reply that ended because it had begun too early: only its record tells whose doing it was. */
  #record({ reply, cut_in: cutIn }) {
    const entry = this.#entries.get(`agent-${reply}`);
    if (!entry || !cutIn || entry.cutIn) return null;
    return Object.assign(entry, { cutIn: true });
  }

  #reply(turn, reply) {
    return this.#entry(`agent-${reply}`, { who: "agent", turn, rank: reply, clauses: [] });
  }

  #entry(id, fresh) {
    const blank = { id, text: "", stable: 0, final: false, interrupted: false };
    if (!this.#entries.has(id)) this.#entries.set(id, { ...blank, ...fresh });
    return this.#entries.get(id);
  }
}

/** Clauses carry their own spaces or none: put one between words that would run together. */
function join(clauses) {
  return clauses
    .filter((text) => text)
    .reduce((all, next) => {
      const glue = /[\w.,;:!?)"'’”]$/.test(all) && /^[\w("'‘“]/.test(next) ? " " : "";
      return all + glue + next;
    }, "")
    .trim();
}
