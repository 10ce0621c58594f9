// The wait of each turn, drawn: its part of the call page's document is touched by this alone.

import { $, make } from "./elements.js";
import { niceAxis, summary } from "./latency-bar.js";
import { described, meaning, named, notes, spanLabel, tables, whole } from "./latency-text.js";

const EARLIER = 4; // turns below the big bar

export class WaitView {
  #t = (key) => key;
  #bars = [];
  #shown = null; // turn in the big bar

  get empty() {
    return this.#bars.length === 0;
  }

  /** Show everything in another language. */
  speak(t) {
    this.#t = t;
    $("earlier").setAttribute("aria-label", t("earlier"));
    if (!this.empty) this.#draw();
  }

  /** Begin a call. */
  clear() {
    this.#bars = [];
    this.#shown = null;
    $("wait-turn").hidden = true;
    $("wait-empty").hidden = false;
    $("wait-summary").textContent = "";
    $("earlier").hidden = true;
  }

  /** All bars of the call so far. A new turn becomes the big one; a late correction does not. */
  show(bars) {
    const newest = bars.at(-1).turn;
    if (this.#shown === null || newest !== this.#bars.at(-1)?.turn) this.#shown = newest;
    this.#bars = bars;
    this.#draw();
  }

  #draw() {
    const t = this.#t;
    const bar = this.#bars.find((other) => other.turn === this.#shown);
    const all = summary(this.#bars);
    const values = { ...all, median: whole(all?.median ?? null), slowest: whole(all?.slowest ?? null) };
    $("wait-empty").hidden = true;
    $("wait-turn").hidden = false;
    $("wait-summary").textContent = all?.count > 1 ? t("summary", values) : "";
    $("total").textContent = whole(bar.total);
    $("total-meaning").textContent = `${t("turn", bar)} · ${meaning(bar, t)}`;
    $("bar").replaceChildren(...this.#segments(bar));
    $("bar").setAttribute("aria-label", described(bar, t));
    $("legend").replaceChildren(...bar.spans.map((span) => this.#legendItem(span)));
    const lines = notes(bar, t).map((note) => make("li", "", note));
    $("wait-notes").replaceChildren(...lines, ...this.#inReport(bar));
    $("tables").replaceChildren(...tables(bar, t).map(table));
    this.#drawEarlier();
  }

  #segments({ spans }) {
    return spans
      .filter((span) => span.share > 0)
      .map((span) => {
        const segment = make("span", `segment ${span.kind}`);
        segment.style.setProperty("--share", String(span.share));
        segment.title = spanLabel(span, this.#t);
        return segment;
      });
  }

  #legendItem(span) {
    const ms = make("b", "", whole(span.ms), make("small", "", "ms"));
    const name = make("span", "", named(span, this.#t));
    const item = make("li", span.kind, "", make("i"), name, ms);
    if (span.hidden > 0) {
      item.append(make("em", "", this.#t("hiddenMs", { ms: whole(span.hidden) })));
    }
    return item;
  }

  #drawEarlier() {
    const recent = this.#bars.slice(-EARLIER);
    const axis = niceAxis(Math.max(...recent.map((bar) => bar.end)));
    const focused = document.activeElement?.dataset?.turn;
    const buttons = recent.map((bar) => this.#earlierTurn(bar, axis));
    $("earlier").hidden = recent.length < 2;
    $("earlier").replaceChildren(...buttons);
    buttons.find((button) => button.dataset.turn === focused)?.focus();
  }

  /** Where the turn is among others; the report waits for it until the reply is over. */
  #inReport({ call, turn, reply }) {
    if (!call || reply === null) return [];
    const link = make("a", "", this.#t("inReport"));
    const named = encodeURIComponent(call);
    link.href = `/report?call=${named}#t-${named}-${turn}-${reply}`;
    link.target = "_blank";
    link.rel = "noopener";
    return [make("li", "", "", link)];
  }

  #earlierTurn(bar, axis) {
    const small = make("span", "bar small", "", ...this.#segments(bar));
    small.style.setProperty("--length", String(Math.max(0, bar.end) / axis));
    small.setAttribute("aria-hidden", "true");
    const name = make("span", "turn", this.#t("turn", bar));
    const total = make("span", "ms", `${whole(bar.total)} ms`);
    const button = make("button", "", "", name, make("span", "track", "", small), total);
    button.type = "button";
    button.dataset.turn = bar.turn;
    button.setAttribute("aria-pressed", String(bar.turn === this.#shown));
    button.addEventListener("click", () => {
      this.#shown = bar.turn;
      this.#draw();
    });
    return button;
  }
}

function table({ caption, heads, rows }) {
  const cell = (tag, text, scope) => Object.assign(make(tag, "", text), scope && { scope });
  const head = make("tr", "", "", ...heads.map((text) => cell("th", text, "col")));
  const body = rows.map(([first, ...rest]) =>
    make("tr", "", "", cell("th", first, "row"), ...rest.map((text) => cell("td", text))),
  );
  const parts = [make("thead", "", "", head), make("tbody", "", "", ...body)];
  return make("table", "", "", make("caption", "", caption), ...parts);
}
