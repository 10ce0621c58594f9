"""Where the time of one turn went: marks on one clock, and spans that sum to the whole.

The caller of these functions reads the clock (``time.monotonic()``, seconds) and says when
things happened; nothing here does. A ``Timeline`` is filled while the turn goes on and makes a
``TurnRecord`` whenever one is wanted, again when the caller's ear reports late.

How the spans are made. The turn begins at ``speech_end`` (the caller's own, where the caller
reports it, else the VAD's), or at ``endpoint`` where nothing was spoken (typed text), or at the
first mark (a greeting). It ends at ``heard`` where the caller reports it, else at
``playout_first``. Walking along the marks in their order, each span is the time by which its
mark lies behind *all* before it. So

- work that was done before the endpoint costs nothing and its span is 0: ``hidden`` says how
  much of it the wait for the endpoint hid;
- a mark that is missing is a stage that had no part in the turn (no ASR for typed text, no LLM
  for a greeting): it has no span, and the next one counts from the mark before;
- a turn that failed before any sound has the spans up to where it came, and no total.

What the walk cannot explain (the ear heard the reply before we played it: clocks) is the span
``residual``, shown whenever it is not zero. It is the only span that can be negative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from pydantic import TypeAdapter

Mark: TypeAlias = Literal[
    "speech_end",
    "endpoint",
    "asr_final",
    "tool_called",
    "tool_done",
    "llm_first_token",
    "llm_first_clause",
    "tts_first_audio",
    "playout_first",
    "heard",
]

MARKS: tuple[Mark, ...] = get_args(Mark)
"""In the order of the critical path."""

SPANS: Mapping[Mark, str] = {
    "endpoint": "endpoint",
    "asr_final": "asr",
    "tool_called": "tool_choice",
    "tool_done": "tool",
    "llm_first_token": "llm",
    "llm_first_clause": "clause",
    "tts_first_audio": "tts",
    "playout_first": "playout",
    "heard": "ear",
}
"""The span that ends at each mark."""

RESIDUAL = "residual"

CUT_IN_MS = 1_000.0
"""A caller who takes the word back sooner than this after their own last sound was cut into.

Whoever interrupts a reply has listened to it first, and it begins some 400 to 600 ms after their
last sound; to hear, judge and begin to speak takes the rest. A silence of about a second is also
what conversation bears before somebody fills it (Jefferson 1989, "a standard maximum silence of
approximately one second"), so one who goes on within it was pausing. In doubt we are to blame.
"""

_WORK: tuple[Mark, ...] = (
    "asr_final",
    "tool_called",
    "tool_done",
    "llm_first_token",
    "llm_first_clause",
    "tts_first_audio",
)
"""What can be done on a guess, before the endpoint."""

_DIGITS = 3  # of a millisecond: finer than any clock here, coarse enough to sum exactly


@dataclass(frozen=True, slots=True)
class Speculation:
    """What preparing the reply before the endpoint brought, and cost."""

    started_ms_before_endpoint: float | None  # of the try that was used; none: none was
    tries: int
    hit: bool  # the prepared reply was used: a sound of it went out
    saved_ms: float  # of work that lay before the endpoint; 0 without a hit
    tokens_wasted: int  # of replies that were thrown away


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that the model asked for in a turn."""

    name: str
    ms: float  # from being asked for to its result; waiting for the endpoint included
    ok: bool


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late the event loop, which all calls share, was while a turn's caller waited."""

    worst_ms: float  # of the latest wake-up
    stalls: int  # wake-ups that were 50 ms late or more
    stalled_ms: float  # of those, what lay within the wait


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """What is kept of a turn. Times are milliseconds; texts are as shown."""

    call: str
    turn: int
    reply: int
    profile: str
    stages: dict[str, str]  # kind to the name of the engine that served
    started_at: str  # wall clock, ISO 8601: a label, never computed with
    user_text: str
    reply_text: str
    heard_text: str  # what the caller heard of the reply
    interrupted: bool  # the reply was cut off, by the caller's word or by the end of the line
    error: str | None  # a sentence
    fallbacks: tuple[str, ...]  # sentences
    marks: dict[str, float]  # ms after the beginning of the turn, see ``measured_from``
    spans: tuple[tuple[str, float], ...]  # in order; they sum to first_response_ms
    first_response_ms: float | None  # none: no sound of the reply left us
    residual_ms: float
    measured_from: str | None  # the mark at 0: "speech_end", for typed text "endpoint"
    measured_to: str | None  # "heard", or "playout_first" where the ear reported nothing
    heard_uncertainty_ms: float | None
    speech_end_source: Literal["caller", "vad"] | None  # none: nothing was spoken
    vad_error_ms: float | None  # the VAD's speech_end minus the caller's
    speculation: Speculation | None
    hidden: dict[str, float]  # span name to ms of its work that the endpoint's wait hid
    barge_in_ms: float | None  # first sample of the interruption to silence in the ear
    tools: tuple[ToolUse, ...] = ()
    interrupted_after_ms: float | None = None  # its first sample; none: not spoken, or not told
    event_loop: Lateness | None = None  # until the reply was heard; none: nobody watched it
    line_ended: bool = False
    """The line's end cut the reply off (the caller hung up or was lost, or the server stopped),
    and not the caller's word. Of replies before this was kept nobody knows; it is false there."""

    @property
    def cut_in(self) -> bool:
        """Whether the caller was still speaking their turn, and heard the reply cut in.

        They went on within ``CUT_IN_MS`` of their last sound, though the reply had begun to sound.
        That is an endpoint decided too early, and not a barge-in.
        """
        after = self.interrupted_after_ms
        return after is not None and after < CUT_IN_MS and "playout_first" in self.marks

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON knows it; ``spans`` are pairs, and ``cut_in`` is said as well."""
        shown: dict[str, Any] = _record.dump_python(self, mode="json")
        return shown | {"cut_in": self.cut_in}

    @classmethod
    def from_dict(cls, shown: Mapping[str, Any]) -> TurnRecord:
        """Return the record that ``to_dict`` showed; keys that we do not know are ignored.

        Raises:
            pydantic.ValidationError: it is not a record of ours.
        """
        return _record.validate_python(dict(shown))


_record: TypeAdapter[TurnRecord] = TypeAdapter(TurnRecord)


@dataclass(slots=True)
class Timeline:
    """One turn while it goes on: fill it in, then ask for its ``record()``.

    ``late`` is asked how late the event loop was between two moments, in seconds.
    """

    call: str
    turn: int
    profile: str
    started_at: str = ""  # wall clock, ISO 8601
    reply: int = 0
    stages: dict[str, str] = field(default_factory=dict)
    user_text: str = ""
    reply_text: str = ""
    heard_text: str = ""
    interrupted: bool = False
    line_ended: bool = False
    error: str | None = None
    fallbacks: list[str] = field(default_factory=list)
    tools: list[ToolUse] = field(default_factory=list)
    marks: dict[Mark, float] = field(default_factory=dict)  # seconds, as they were given
    late: Callable[[float, float], Lateness | None] = lambda begin, end: None
    _caller_end: float | None = None
    _uncertainty_ms: float | None = None
    _guess_at: float | None = None
    _tries: int = 0
    _hit: bool = False
    _wasted: int = 0
    _barge_in_ms: float | None = None
    _interruption: float | None = None

    def mark(self, name: Mark, at: float) -> None:
        """Say that something happened at ``at`` seconds; the first to say so wins."""
        self.marks.setdefault(name, at)

    def guess(self, at: float) -> None:
        """Say that the reply began to be prepared before the endpoint, at ``at`` seconds."""
        self._tries += 1
        self._guess_at, self._hit = at, False

    def guess_used(self) -> None:
        """Say that the caller was done: the prepared reply is the reply."""
        self._hit = self._guess_at is not None

    def guess_dropped(self, tokens: int = 0) -> None:
        """Say that the prepared reply was thrown away, and forget its marks."""
        self._wasted += tokens
        self._guess_at, self._hit = None, False
        for name in _WORK:
            self.marks.pop(name, None)

    def unheard(self, tokens: int) -> None:
        """Say that the reply ended before any sound of it: if it was prepared, it was in vain."""
        if self._hit:
            self._wasted += tokens
            self._guess_at, self._hit = None, False

    def ear(
        self, heard: float, speech_end: float | None = None, uncertainty_ms: float = 0.0
    ) -> None:
        """Take the caller's own measurement, in seconds on our clock; the first one wins.

        Args:
            heard: when the reply was first audible at the caller.
            speech_end: when the caller's speech ended there; the truth, where it is known.
            uncertainty_ms: of putting the caller's times on our clock.
        """
        if "heard" in self.marks:
            return
        self.marks["heard"] = heard
        self._caller_end, self._uncertainty_ms = speech_end, uncertainty_ms

    def barge_in(self, speech_start: float, silent: float) -> None:
        """Say when an interruption's speech began and when the ear fell silent, in seconds.

        That may be before: in a pause of the reply, or if another sound had held it already.
        """
        if self._barge_in_ms is None:
            self._barge_in_ms = milliseconds(max(0.0, silent - speech_start))

    def interruption(self, speech_start: float) -> None:
        """Say when the speech that ended the reply began, in seconds, as we heard it here."""
        self._interruption = speech_start

    def record(self) -> TurnRecord:
        """Return the turn as it stands now."""
        origin, begins = self._origin()
        after = self._after(origin)
        total, ends = _total(after)
        spans = _walk(after, begins)
        residual = 0.0 if total is None else _round(total - sum(ms for _, ms in spans))
        if residual:
            spans.append((RESIDUAL, residual))
        hidden = self._hidden(after, origin)
        return TurnRecord(
            call=self.call,
            turn=self.turn,
            reply=self.reply,
            profile=self.profile,
            stages=dict(self.stages),
            started_at=self.started_at,
            user_text=self.user_text,
            reply_text=self.reply_text,
            heard_text=self.heard_text,
            interrupted=self.interrupted,
            error=self.error,
            fallbacks=tuple(self.fallbacks),
            marks={str(name): ms for name, ms in after.items()},
            spans=tuple(spans),
            first_response_ms=total,
            residual_ms=residual,
            measured_from=begins,
            measured_to=ends,
            heard_uncertainty_ms=self._uncertainty_ms,
            speech_end_source=self._source(),
            vad_error_ms=self._vad_error(),
            speculation=self._speculation(hidden),
            hidden=hidden,
            barge_in_ms=self._barge_in_ms,
            tools=tuple(self.tools),
            interrupted_after_ms=self._interrupted_after(origin, begins),
            event_loop=self._lateness(origin),
            line_ended=self.line_ended,
        )

    def _origin(self) -> tuple[float, Mark | None]:
        if self._caller_end is not None:
            return self._caller_end, "speech_end"
        for name in ("speech_end", "endpoint"):
            if name in self.marks:
                return self.marks[name], name
        if not self.marks:
            return 0.0, None
        first = min((name for name in MARKS if name in self.marks), key=self.marks.__getitem__)
        return self.marks[first], first

    def _after(self, origin: float) -> dict[Mark, float]:
        marks = dict(self.marks)
        if self._caller_end is not None:
            marks["speech_end"] = self._caller_end
        return {name: milliseconds(marks[name] - origin) for name in MARKS if name in marks}

    def _source(self) -> Literal["caller", "vad"] | None:
        if self._caller_end is not None:
            return "caller"
        return "vad" if "speech_end" in self.marks else None

    def _vad_error(self) -> float | None:
        if self._caller_end is None or "speech_end" not in self.marks:
            return None
        return milliseconds(self.marks["speech_end"] - self._caller_end)

    def _interrupted_after(self, origin: float, begins: Mark | None) -> float | None:
        if self._interruption is None or begins != "speech_end":
            return None
        return milliseconds(self._interruption - origin)

    def _lateness(self, origin: float) -> Lateness | None:
        """Return how late the loop was until the reply was heard, or until where it came."""
        if not self.marks:
            return None
        sent = self.marks.get("playout_first", max(self.marks.values()))
        return self.late(origin, self.marks.get("heard", sent))

    @property
    def _used(self) -> bool:
        """Whether the prepared reply is what the caller got: it needs a sound for that."""
        return self._hit and "playout_first" in self.marks

    def _hidden(self, after: Mapping[Mark, float], origin: float) -> dict[str, float]:
        """Return how much of each stage's own time lay before the endpoint."""
        if self._guess_at is None or not self._used or "endpoint" not in after:
            return {}
        endpoint, done = after["endpoint"], milliseconds(self._guess_at - origin)
        hidden: dict[str, float] = {}
        for name in _WORK:
            if name in after and done < endpoint:
                reached = max(done, min(after[name], endpoint))
                if reached > done:
                    hidden[SPANS[name]] = _round(reached - done)
                done = reached
        return hidden

    def _speculation(self, hidden: Mapping[str, float]) -> Speculation | None:
        if not self._tries:
            return None
        before = None
        if self._guess_at is not None and "endpoint" in self.marks:
            before = milliseconds(self.marks["endpoint"] - self._guess_at)
        return Speculation(
            started_ms_before_endpoint=before,
            tries=self._tries,
            hit=self._used,
            saved_ms=_round(sum(hidden.values())),
            tokens_wasted=self._wasted,
        )


def _total(after: Mapping[Mark, float]) -> tuple[float | None, str | None]:
    for name in ("heard", "playout_first"):
        if name in after:
            return after[name], name
    return None, None


def _walk(after: Mapping[Mark, float], begins: Mark | None) -> list[tuple[str, float]]:
    """Return the spans by a running maximum: none is negative, and they add up to the last."""
    spans: list[tuple[str, float]] = []
    reached = 0.0
    for name, span in SPANS.items():
        if name in after and name != begins:
            spans.append((span, _round(max(0.0, after[name] - reached))))
            reached = max(reached, after[name])
    return spans


def milliseconds(seconds: float) -> float:
    """Return seconds as a record has them."""
    return _round(seconds * 1000)


def _round(ms: float) -> float:
    return round(ms, _DIGITS) + 0.0  # no minus zero in a table
