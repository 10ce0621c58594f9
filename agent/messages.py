"""The words between page and agent, as JSON objects on the data channel ``firstword``.

``docs/protocol.md`` is the same for people who write a page or a caller of their own. Times are
milliseconds on the agent's monotonic clock; a page learns it with ``ping`` and ``pong``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

PROTOCOL = 1
LONGEST_TEXT = 2_000
"""Characters of a typed message, at most."""


class _Word(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# --- from the agent to the page -------------------------------------------------------------


class Welcome(_Word):
    """The first message: the call stands."""

    type: Literal["welcome"] = "welcome"
    protocol: int = PROTOCOL
    call: str
    session: str  # shown again, it lets a new connection go on with this call
    profile: str  # its id
    name: str  # of the character


class State(_Word):
    """What the agent is doing."""

    type: Literal["state"] = "state"
    state: Literal["listening", "thinking", "speaking"]


class Heard(_Word):
    """The caller's words: a partial may still change after its first ``stable`` characters."""

    type: Literal["transcript"] = "transcript"
    turn: int
    text: str
    stable: int = 0
    final: bool = False


class Reply(_Word):
    """A clause of the reply, as it goes to the voice."""

    type: Literal["reply"] = "reply"
    turn: int
    reply: int
    clause: int
    text: str


class Playing(_Word):
    """The first audible sample of a reply was just handed to the media track.

    The page now waits for it in the remote audio, and answers with ``heard``.
    """

    type: Literal["playing"] = "playing"
    turn: int
    reply: int
    at: float  # ms
    speech_end: float | None = None  # ms; where the agent thinks the caller ended; none: a greeting


class HoldWord(_Word):
    """Somebody makes a sound: mute the reply at once; ``go_on`` or ``playing`` lifts it."""

    type: Literal["hold"] = "hold"
    turn: int
    reply: int


class GoOnWord(_Word):
    """It was nothing: the reply that was held goes on."""

    type: Literal["go_on"] = "go_on"
    turn: int
    reply: int


class Flush(_Word):
    """The reply was cut off: be silent at once; ``playing`` lifts it."""

    type: Literal["flush"] = "flush"
    turn: int
    reply: int
    speech_start: float | None = None  # ms; where the caller began to interrupt


class ReplyEnd(_Word):
    """A reply is over. ``heard`` is what the history keeps of it."""

    type: Literal["reply_end"] = "reply_end"
    turn: int
    reply: int
    heard: str
    interrupted: bool


class TimelineWord(_Word):
    """The finished record of a turn, as ``firstword turns --json`` shows it."""

    type: Literal["timeline"] = "timeline"
    turn: int
    record: dict[str, Any]


class Pong(_Word):
    """Answer to ``ping``: the page's own time back, with ours."""

    type: Literal["pong"] = "pong"
    t0: float  # the page's, as it came
    t1: float  # ms, agent's clock, when it came
    t2: float  # ms, agent's clock, when this left


class Trouble(_Word):
    """Something failed; the sentence is for the caller to read."""

    type: Literal["error"] = "error"
    sentence: str


class Switched(_Word):
    """The call goes on as another character."""

    type: Literal["switched"] = "switched"
    profile: str  # its id
    name: str


class Recognised(_Word):
    """Whose voice a final was, where the character asks that."""

    type: Literal["speaker"] = "speaker"
    turn: int
    name: str  # empty: nobody's who is known
    score: float  # likeness to the likest, -1 to 1
    margin: float  # by how much it is ahead of the next; 2: there is no next


class Bye(_Word):
    """The agent hangs up."""

    type: Literal["bye"] = "bye"
    reason: str


ToPage: TypeAlias = (
    Welcome
    | State
    | Heard
    | Reply
    | Playing
    | HoldWord
    | GoOnWord
    | Flush
    | ReplyEnd
    | TimelineWord
    | Pong
    | Trouble
    | Switched
    | Recognised
    | Bye
)


# --- from the page to the agent -------------------------------------------------------------


class Ping(_Word):
    """Heartbeat and clock, once a second: three seconds without one end the connection."""

    type: Literal["ping"] = "ping"
    t0: float  # ms, the page's clock


class HeardReply(_Word):
    """The caller's ear: when the reply was first audible, and when their own speech ended."""

    type: Literal["heard"] = "heard"
    turn: int
    reply: int
    heard: float  # ms, agent's clock
    speech_end: float | None = None  # ms, agent's clock; none where the page could not tell
    uncertainty: float = Field(default=0.0, ge=0)  # ms, of putting page times on our clock


class Silenced(_Word):
    """The caller's ear: when a reply that was cut off fell silent."""

    type: Literal["silenced"] = "silenced"
    turn: int
    reply: int
    at: float  # ms, agent's clock
    speech_start: float | None = None  # ms, agent's clock: first sample of the interruption


class Say(_Word):
    """Typed instead of spoken."""

    type: Literal["say"] = "say"
    text: str = Field(min_length=1, max_length=LONGEST_TEXT)


class Switch(_Word):
    """The caller wants another character."""

    type: Literal["switch"] = "switch"
    profile: str = Field(min_length=1, max_length=64)  # its id


class HangUp(_Word):
    """The caller hangs up."""

    type: Literal["hangup"] = "hangup"


FromPage: TypeAlias = Ping | HeardReply | Silenced | Say | Switch | HangUp

_from_page: TypeAdapter[FromPage] = TypeAdapter(Annotated[FromPage, Field(discriminator="type")])


def from_page(text: str | bytes) -> FromPage:
    """Read a message of the page.

    Raises:
        pydantic.ValidationError: it is no JSON, or no message that we know.
    """
    return _from_page.validate_json(text)


_to_page: TypeAdapter[ToPage] = TypeAdapter(Annotated[ToPage, Field(discriminator="type")])


def to_page(text: str | bytes) -> ToPage:
    """Read a message of the agent, as a caller does.

    Raises:
        pydantic.ValidationError: it is no JSON, or no message that we know.
    """
    return _to_page.validate_json(text)
