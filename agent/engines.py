"""Stages, opened once and shared by all the calls that choose them alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus

from agent.company import Company
from agent.crowd import Crowd
from agent.profile import Chosen, Profile, VoiceChoice
from stages.contracts import Asr, Counted, Llm, Tts, Turn, Vad
from stages.events import Voice
from stages.models import ModelStore


@dataclass(frozen=True, slots=True)
class Mouth:
    """A voice, and the stage that has it."""

    name: str
    tts: Tts
    voice: Voice


@dataclass(frozen=True, slots=True)
class Stages:
    """What one call runs on."""

    vad: Vad
    turn: Turn
    asr: Asr
    llm: Llm
    mouths: tuple[Mouth, ...]  # the profile's voice, then its fallback
    names: dict[str, str]  # kind to engine, for the record
    company: Company | None = None  # where the profile wants to know who speaks
    crowd: Crowd = field(default_factory=Crowd)  # who else runs on it


def models_of(profile: Profile) -> list[str]:
    """Return the names of the models that a profile needs in the store, each once.

    Raises:
        ProfileError: a stage is unknown or unavailable, or its options are not right.
    """
    names: dict[str, None] = {}
    for section in profile.KINDS:
        if profile.choice(section) is not None:
            chosen = profile.chosen(section)
            names.update(dict.fromkeys(chosen.plugin.models(chosen.options)))
    return list(names)


@dataclass(eq=False)
class Engines:
    """Opens stages when they are first chosen, and keeps them until the end.

    Each open stage has a task of its own that enters and leaves it, so that a stage may keep a
    task group open while it lives.
    """

    store: ModelStore
    _tasks: TaskGroup
    crowd: Crowd = field(default_factory=Crowd)
    _open: list[tuple[Chosen, Any]] = field(default_factory=list)
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def stages(self, profile: Profile) -> Stages:
        """Return what a profile chooses, opened and warm.

        Raises:
            UserError: a stage is unknown or unavailable, or lacks its model.
        """
        speaker = {"speaker": profile.speakers.engine} if profile.speakers is not None else {}
        return Stages(
            vad=await self._stage(profile.chosen("vad")),
            turn=await self._stage(profile.chosen("turn")),
            asr=await self._stage(profile.chosen("asr")),
            llm=await self._stage(profile.chosen("llm")),
            mouths=await self._mouths(profile),
            company=await self._company(profile),
            crowd=self.crowd,
            names={
                "vad": profile.vad.engine,
                "turn": profile.turn.engine,
                "asr": profile.asr.engine,
                **speaker,
                "llm": profile.llm.engine,
                "tts": profile.voice.engine,
            },
        )

    def figures(self) -> Iterator[tuple[str, str, int, Mapping[str, float]]]:
        """Yield kind, engine, number and counters of the open stages that have counters.

        Profiles that want the same engine otherwise set have one each; they are numbered.
        """
        seen: Counter[tuple[str, str]] = Counter()
        for chosen, stage in self._open:
            if isinstance(stage, Counted):
                seen[chosen.kind, chosen.engine] += 1
                number = seen[chosen.kind, chosen.engine]
                yield chosen.kind, chosen.engine, number, stage.figures()

    async def _company(self, profile: Profile) -> Company | None:
        if profile.speakers is None:
            return None
        stage = await self._stage(profile.chosen("speakers"))
        return Company(stage, profile.speakers, profile.language)

    async def _mouths(self, profile: Profile) -> tuple[Mouth, ...]:
        mouths = [self._mouth(profile.voice, await self._stage(profile.chosen("voice")))]
        if profile.fallback_voice is not None:
            stage = await self._stage(profile.chosen("fallback_voice"))
            mouths.append(self._mouth(profile.fallback_voice, stage))
        return tuple(mouths)

    def _mouth(self, choice: VoiceChoice, tts: Tts) -> Mouth:
        return Mouth(choice.engine, tts, choice.speaking)

    async def _stage(self, chosen: Chosen) -> Any:
        async with self._lock:
            for other, stage in self._open:
                if other == chosen:
                    return stage
            stage = await self._tasks.start(self._keep, chosen)
            self._open.append((chosen, stage))
            return stage

    async def _keep(self, chosen: Chosen, *, task_status: TaskStatus[Any]) -> None:
        async with chosen.plugin.open(chosen.options, self.store) as stage:
            task_status.started(stage)
            await anyio.sleep_forever()


@asynccontextmanager
async def open_engines(store: ModelStore) -> AsyncIterator[Engines]:
    """Keep stages open for as long as the block lasts."""
    async with anyio.create_task_group() as tasks:
        yield Engines(store, tasks)
        tasks.cancel_scope.cancel()
