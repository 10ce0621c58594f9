// A bar in words: what the page writes around it, ready to show. Pure; `t` is from strings.js.

export const whole = (ms) => (ms === null ? "–" : String(Math.round(ms)));
const tenth = (ms) => (Math.round(ms * 10) / 10).toFixed(1);

/** The name of a span for people; one that we do not know keeps its own. */
export const named = ({ name, kind }, t) => (kind === "other" ? name : t(`span.${kind}`));

export const spanLabel = (span, t) => t("spanLabel", { name: named(span, t), ms: whole(span.ms) });

/** The whole bar as one sentence, for those who do not see it. */
export function described(bar, t) {
  const spans = bar.spans.map((span) => spanLabel(span, t)).join(", ");
  return t("barLabel", { turn: bar.turn, total: whole(bar.total), spans });
}

/** From when to when the total was measured. */
export function meaning({ total, ear, from }, t) {
  if (total === null) return t("waitNoSound");
  if (from === "speech_end") return t(ear ? "meaningEar" : "meaningMedia");
  if (from === "endpoint") return t(ear ? "meaningTyped" : "meaningTypedMedia");
  return t("meaningOther");
}

/** What else is to be said about the turn: failures first. */
export function notes(bar, t) {
  const lines = [...bar.trouble];
  if (bar.saved > 0) lines.push(t("noteSaved", { ms: whole(bar.saved) }));
  if (bar.stalls) lines.push(t("noteStalls", { ...bar.stalls, ms: whole(bar.stalls.ms) }));
  if (bar.cutIn !== null) lines.push(t("noteCutIn", { ms: whole(Math.max(0, bar.cutIn)) }));
  if (bar.bargeIn !== null) lines.push(t("noteBargeIn", { ms: whole(bar.bargeIn) }));
  if (bar.vadEnd) lines.push(t("noteVad"));
  if (bar.ear && bar.uncertainty !== null) {
    lines.push(t("noteUncertainty", { ms: tenth(bar.uncertainty) }));
  }
  return lines;
}

/** Two tables, {caption, heads, rows}: the spans with their sum, and the marks. */
export function tables(bar, t) {
  const spans = bar.spans.map((span) => [
    named(span, t),
    tenth(span.from),
    tenth(span.ms),
    span.hidden > 0 ? tenth(span.hidden) : "",
  ]);
  if (bar.total !== null) spans.push([t("sum"), "", tenth(bar.total), ""]);
  const marks = bar.marks.map(({ name, ms }) => [t(`mark.${name}`), tenth(ms)]);
  return [
    { caption: t("tableSpans", bar), heads: ["span", "from", "length", "hidden"].map((key) => t(key)), rows: spans },
    { caption: t("tableMarks", bar), heads: [t("event"), t("at")], rows: marks },
  ];
}
