// How a turn's wait is drawn: from the agent's record to bars that sum to the whole. Pure.

const KINDS = ["endpoint", "asr", "tool_choice", "tool", "llm", "clause", "tts", "playout", "ear", "residual"];

/**
 * The render model of a turn's record, or null where it has no spans:
 * {turn, call, reply, total, end, from, ear, uncertainty, vadEnd, bargeIn, cutIn, saved, trouble,
 *  stalls, spans: [{name, kind, ms, from, share, hidden}], marks: [{name, ms}]}.
 * Times in ms. Shares are of the bar's length and sum to 1; what is below zero takes no room but
 * is listed. `total` is null where no sound of the reply left the agent; `cutIn` is null, or how
 * long the caller had paused before they went on over a reply that had begun too early; `stalls`
 * is null, or {count, ms} of the agent's event loop in this wait.
 */
export function barOf(turn, record) {
  const pairs = record.spans ?? [];
  if (pairs.length === 0) return null;
  const drawn = pairs.reduce((sum, [, ms]) => sum + Math.max(0, ms), 0);
  let reached = 0;
  const spans = pairs.map(([name, ms]) => {
    const from = reached;
    reached += ms;
    return {
      name,
      kind: KINDS.includes(name) ? name : "other",
      ms,
      from,
      share: drawn > 0 ? Math.max(0, ms) / drawn : 0,
      hidden: record.hidden?.[name] ?? 0,
    };
  });
  const marks = Object.entries(record.marks ?? {})
    .map(([name, ms]) => ({ name, ms }))
    .sort((a, b) => a.ms - b.ms);
  return {
    turn,
    call: record.call ?? null,
    reply: record.reply ?? null,
    spans,
    marks,
    total: record.first_response_ms ?? null,
    end: reached,
    from: record.measured_from ?? null,
    ear: record.marks?.heard !== undefined,
    uncertainty: record.heard_uncertainty_ms ?? null,
    vadEnd: record.speech_end_source === "vad",
    bargeIn: record.cut_in ? null : (record.barge_in_ms ?? null),
    cutIn: record.cut_in ? record.interrupted_after_ms : null,
    saved: record.speculation?.hit ? record.speculation.saved_ms : 0,
    trouble: [record.error, ...(record.fallbacks ?? [])].filter(Boolean),
    stalls: stallsOf(record.event_loop),
  };
}

function stallsOf(loop) {
  return loop?.stalls > 0 ? { count: loop.stalls, ms: loop.stalled_ms } : null;
}

/** {count, median, slowest} of the totals (ms), or null without any. */
export function summary(bars) {
  const totals = bars.map((bar) => bar.total).filter((ms) => ms !== null);
  if (totals.length === 0) return null;
  totals.sort((a, b) => a - b);
  const middle = totals.length >> 1;
  const median = totals.length % 2 ? totals[middle] : (totals[middle - 1] + totals[middle]) / 2;
  return { count: totals.length, median, slowest: totals.at(-1) };
}

/** Round up to a length of axis that is read easily: 1, 2, 2.5, 5 or 10 times a power of ten. */
export function niceAxis(ms) {
  const power = 10 ** Math.floor(Math.log10(Math.max(ms, 1)));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= ms);
}
