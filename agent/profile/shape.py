"""What a profile says, as frozen values.

A section such as ``llm`` holds the fields that the agent reads; every other key in it belongs to
the plug-in that it chooses and is checked against that plug-in's ``Options`` by ``chosen``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)

from agent.errors import ProfileError
from agent.profile import stage
from agent.profile.stage import Chosen
from agent.profile.tree import Tree
from agent.profile.units import hertz, ratio
from agent.toolbox.choice import ToolChoice
from agent.turn_settings import PRESETS, TurnSettings
from stages.contracts import Kind
from stages.events import Hearing, Message, Voice

Ratio: TypeAlias = Annotated[float, BeforeValidator(ratio, json_schema_input_type=float | str)]
Hertz: TypeAlias = Annotated[float, BeforeValidator(hertz, json_schema_input_type=float | str)]
Section: TypeAlias = Literal["vad", "turn", "asr", "llm", "voice", "fallback_voice", "speakers"]

ID = r"^[a-z0-9][a-z0-9_-]{0,63}$"
_LONG = 8_000
_SPOKEN = {
    "zh": "你正在和对方通电话。用口语回答，一两句话，不用列表、表情和格式。",
    "en": "You are on the phone. Answer in one or two short spoken sentences, without lists.",
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Example(_Frozen):
    """A turn that shows the model how the character speaks."""

    user: str = Field(min_length=1, max_length=_LONG)
    assistant: str = Field(min_length=1, max_length=_LONG)


class Choice(_Frozen):
    """A stage and its options, which stand beside ``engine``."""

    model_config = ConfigDict(extra="allow")

    engine: str = Field(min_length=1, max_length=64, description="name of the plug-in")

    @property
    def options(self) -> dict[str, Any]:
        """What the plug-in is told, as written: ``${NAME}`` is not filled in."""
        return dict(self.model_extra or {})


class TurnChoice(Choice, TurnSettings):
    """How the character takes turns: a turn detector, a preset, and any knob of its own."""

    model_config = ConfigDict(extra="allow")

    engine: str = Field(default="silence", description="name of the turn detector")
    preset: Literal["quick", "balanced", "patient"] = "balanced"

    @property
    def settings(self) -> TurnSettings:
        """The knobs: those of the preset, and over them those that the profile sets."""
        own = self.model_dump(include=self.model_fields_set & set(TurnSettings.model_fields))
        return TurnSettings(**(PRESETS[self.preset] | own))

    @model_validator(mode="after")
    def _in_order(self) -> TurnChoice:
        settings = self.settings
        if settings.release > settings.threshold:
            raise ValueError(
                f"has a release ({settings.release}) above its threshold ({settings.threshold});"
                " speech must end at a lower probability than it begins"
            )
        return self


class AsrChoice(Choice):
    """The recogniser, and what it is told to listen for."""

    language: str = Field(default="", max_length=35, description="BCP 47; empty is the profile's")
    hotwords: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(
        default=(), max_length=500, description="words to expect"
    )

    @property
    def hearing(self) -> Hearing:
        """What the recogniser is told when a call starts."""
        return Hearing(language=self.language or "en", hotwords=self.hotwords)


class LlmChoice(Choice):
    """The mind; an OpenAI-compatible server where ``base_url`` stands, else the embedded one."""

    engine: str = Field(default="smollm", description="plug-in; 'openai' with a base_url")
    temperature: float = Field(default=0.7, ge=0, le=2)
    max_tokens: int = Field(default=256, ge=1, le=32_000, description="of one reply, at most")

    @model_validator(mode="before")
    @classmethod
    def _engine(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "base_url" in data and "engine" not in data:
            return {"engine": "openai", **data}
        return data


class VoiceChoice(Choice):
    """How the character sounds."""

    voice: str = Field(default="", max_length=200, description="the engine's name for it")
    rate: Ratio = Field(default=1.0, ge=0.25, le=4, description="of speaking: +10% or 1.1")
    pitch: Hertz = Field(default=0.0, ge=-500, le=500, description="up or down: +5Hz or 5")
    volume: Ratio = Field(default=1.0, ge=0, le=4, description="+10% or 1.1")

    @property
    def speaking(self) -> Voice:
        """What the voice is told."""
        return Voice(name=self.voice, rate=self.rate, pitch=self.pitch, volume=self.volume)


class SpeakersChoice(Choice):
    """What is made of whose voice it is; voices are made known by ``firstword speaker enrol``."""

    engine: str = Field(default="voicefilter", description="name of the plug-in")
    owner: str = Field(default="", max_length=60, description="empty: whoever is enrolled")
    greet: bool = Field(default=False, description="say hello by name, once a call")
    owner_only: bool = Field(default=False, description="answer nobody else")
    ignore_others: bool = Field(default=False, description="let nobody else talk over a reply")
    threshold: float | None = Field(
        default=None, ge=-1, le=1, description="likeness that is enough; empty: the plug-in's own"
    )
    margin: float = Field(default=0.05, ge=0, le=2, description="ahead of the next likest voice")


class MemoryChoice(_Frozen):
    """Whether a known speaker's conversation continues the next time: docs/memory.md."""

    keep: bool = Field(default=False, description="remember voices that are known")
    turns: int = Field(default=8, ge=1, le=32, description="latest turns that are kept as heard")
    days: int = Field(default=90, ge=1, le=3650, description="after the latest it is forgotten")
    characters: int = Field(
        default=2_400, ge=200, le=6_000, description="of it in a request, at most"
    )


class Profile(_Frozen):
    """One character: who it is, how it sounds, hears, thinks and takes turns."""

    KINDS: ClassVar[dict[Section, Kind]] = {
        "vad": "vad",
        "turn": "turn",
        "asr": "asr",
        "llm": "llm",
        "voice": "tts",
        "fallback_voice": "tts",
        "speakers": "speaker",
    }

    id: str = Field(pattern=ID, description="by default the file's name")
    name: str = Field(min_length=1, max_length=100)
    avatar: str = Field(default="🎙️", max_length=200, description="an emoji, or a file of the page")
    language: str = Field(default="en", pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    persona_prompt: str = Field(default="", max_length=_LONG, description="who the character is")
    greeting: str = Field(default="", max_length=1_000, description="empty: the caller begins")
    speaking_style: str = Field(default="", max_length=_LONG)
    examples: tuple[Example, ...] = Field(default=(), max_length=50)
    vad: Choice = Choice(engine="silero")
    turn: TurnChoice = Field(default_factory=lambda: TurnChoice.model_validate({}))
    asr: AsrChoice
    llm: LlmChoice
    voice: VoiceChoice
    fallback_voice: VoiceChoice | None = None
    tools: tuple[ToolChoice, ...] = Field(
        default=(), max_length=32, description="what the character may do: docs/tools.md"
    )
    speakers: SpeakersChoice | None = None
    memory: MemoryChoice | None = None

    _tree: Tree = PrivateAttr(default_factory=lambda: Tree({}))

    def model_post_init(self, context: Any) -> None:
        """Keep the lines of the file, for sentences about options."""
        if isinstance(context, Tree):
            self._tree = context

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        data = {"name": data.get("id"), **data}
        asr = data.get("asr")
        if isinstance(asr, Mapping) and "language" not in asr and "language" in data:
            data["asr"] = {**asr, "language": data["language"]}
        return data

    @model_validator(mode="after")
    def _remembers_the_known(self) -> Profile:
        if self.memory is not None and self.memory.keep and self.speakers is None:
            raise ValueError(
                "'memory' needs a section 'speakers': only a voice that is known is remembered"
            )
        return self

    def choice(self, section: Section) -> Choice | None:
        """Return what a section says; none for a voice to fall back to that is not there."""
        choice: Choice | None = getattr(self, section)
        return choice

    def chosen(self, section: Section, environment: Mapping[str, str] | None = None) -> Chosen:
        """Find the plug-in that a section chooses, with its options ready for use.

        Args:
            section: ``fallback_voice`` only where the profile has one.
            environment: where ``${NAME}`` is looked up; by default the process's.

        Raises:
            ProfileError: no such plug-in, a package it needs is missing, an option is wrong, or
                a variable is not set; with file and line.
        """
        source = os.environ if environment is None else environment
        return stage.chosen(self._spot(section), environment=source)

    def check(self) -> None:
        """Import every stage it chooses and check their options; variables may be unset.

        Raises:
            ProfileError: as ``chosen``.
        """
        for section in self.KINDS:
            if self.choice(section):
                stage.chosen(self._spot(section), environment=None)

    def why_unusable(self, environment: Mapping[str, str] | None = None) -> str:
        """Return a sentence that says why a call with it cannot start; empty if it can.

        Every stage that it chooses is imported; whether their models are there is not asked.
        """
        try:
            for section in self.KINDS:
                if self.choice(section):
                    self.chosen(section, environment)
        except ProfileError as error:
            return error.reason
        return ""

    def system_prompt(self) -> str:
        """Return the persona, how it speaks, and that this is speech."""
        spoken = _SPOKEN.get(self.language.split("-")[0].lower(), _SPOKEN["en"])
        parts = (self.persona_prompt.strip(), self.speaking_style.strip(), spoken)
        return "\n".join(part for part in parts if part)

    def opening(self) -> tuple[Message, ...]:
        """Return what every conversation begins with: the system prompt and the examples."""
        turns = (
            (Message("user", example.user), Message("assistant", example.assistant))
            for example in self.examples
        )
        return (Message("system", self.system_prompt()), *(m for turn in turns for m in turn))

    def _spot(self, section: Section) -> stage.Spot:
        choice = self.choice(section)
        if choice is None:
            raise LookupError(f"{self.id} has no {section}")
        return stage.Spot(
            self.id,
            section,
            self.KINDS[section],
            choice.engine,
            choice.options,
            tuple(type(choice).model_fields),
            self._tree,
        )
