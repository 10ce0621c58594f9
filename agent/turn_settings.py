"""The knobs of turn-taking, with three ready sets: ``quick``, ``balanced``, ``patient``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

# The figures come from the curve in docs/turn-taking.md: firstword bench endpoint.
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"confident_ms": 200, "doubtful_ms": 540, "cap_ms": 1500},
    "balanced": {},
    "patient": {"confident_ms": 600, "doubtful_ms": 1200, "cap_ms": 1500},
}


class TurnSettings(BaseModel):
    """How a character takes turns; all times in milliseconds of the caller's audio."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(0.5, gt=0, lt=1, description="speech begins above this probability")
    release: float = Field(0.35, gt=0, lt=1, description="and ends below this one")
    start_ms: int = Field(64, ge=0, le=1000, description="of speech before an utterance begins")
    pre_roll_ms: int = Field(320, ge=0, le=2000, description="kept from before it began")
    pause_ms: int = Field(48, ge=32, le=1000, description="of silence before guesswork begins")
    confident_ms: int = Field(300, ge=100, le=5000, description="of silence when all says: done")
    doubtful_ms: int = Field(520, ge=100, le=8000, description="of silence when little says so")
    cap_ms: int = Field(1500, ge=200, le=15000, description="of silence that ends any turn")
    longest_ms: int = Field(30_000, ge=2000, le=120_000, description="of one utterance, at most")
    speculate: bool = Field(True, description="prepare the reply at the first pause")
    tries: int = Field(8, ge=1, le=10, description="prepared replies a turn, at most")
    guess_tokens: int = Field(48, ge=1, le=1000, description="read for a prepared one, at most")
    hold_ms: int = Field(32, ge=0, le=1000, description="of speech before the reply is held")
    words_ms: int = Field(250, ge=0, le=3000, description="of sure speech before words end it")
    interrupt_ms: int = Field(600, ge=64, le=3000, description="of speech that ends the reply")
    echo_guard: bool = Field(
        True, description="know the reply in the microphone, where no browser cancels it"
    )
    interruptible: bool = Field(True, description="whether the caller may talk over the reply")

    def hold_after(self, *, heard: bool) -> int:
        """Return the speech (ms) that holds a reply; before that is heard there is no hurry."""
        return self.hold_ms if heard else max(self.hold_ms, self.start_ms)
