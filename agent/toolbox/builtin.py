"""The tools that come along. Their answers are sentences, in the character's language."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from agent.errors import CallRefused
from agent.toolbox.arithmetic import NoArithmetic, calculate
from agent.toolbox.choice import NO_ARGUMENTS
from agent.toolbox.tool import Arguments, Hands, Tool, ToolFailed

LONGEST_TIMER_S = 24 * 3600

_DAYS = "一二三四五六日"


def builtin(name: str, language: str) -> Tool:
    """Return a tool that comes along."""
    return _MAKERS[name](language.lower().startswith("zh"))


def _time(chinese: bool) -> Tool:
    async def run(arguments: Arguments, hands: Hands) -> str:
        now = datetime.now().astimezone()
        if chinese:
            day = f"{now:%Y}年{now.month}月{now.day}日星期{_DAYS[now.weekday()]}"
            return f"现在是{day}{now:%H:%M}。"
        return f"It is {now:%H:%M} on {now:%A}, {now:%B} {now.day}, {now:%Y}."

    return Tool("time", "Tell the time and the date.", NO_ARGUMENTS, run, effect=False)


def _calculate(chinese: bool) -> Tool:
    async def run(arguments: Arguments, hands: Hands) -> str:
        try:
            result = calculate(arguments["expression"])
        except NoArithmetic as error:
            raise ToolFailed(str(error)) from error
        return f"结果是{result}。" if chinese else f"That is {result}."

    expression = {"type": "string", "maxLength": 200, "description": "such as (12.5 + 3) * 4"}
    parameters = _object(expression=expression)
    return Tool("calculate", "Work out arithmetic exactly.", parameters, run, effect=False)


def _timer(chinese: bool) -> Tool:
    async def run(arguments: Arguments, hands: Hands) -> str:
        seconds, about = float(arguments["seconds"]), str(arguments.get("about", "")).strip()
        length = _length(seconds, chinese)
        if chinese:
            later = f"{length}到了：{about}。" if about else f"{length}到了。"
        else:
            later = (
                f"Your timer of {length} is over: {about}."
                if about
                else (f"Your timer of {length} is over.")
            )
        if not hands.say_later(seconds, later):
            raise ToolFailed("There are too many timers already.")
        return f"好的，{length}后叫你。" if chinese else f"The timer is set for {length}."

    parameters = _object(
        seconds={"type": "number", "minimum": 1, "maximum": LONGEST_TIMER_S},
        about={"type": "string", "maxLength": 200, "description": "what it is for"},
        optional=("about",),
    )
    description = "Set a timer; when it is over the caller is told, in this call."
    return Tool("timer", description, parameters, run)


def _hang_up(chinese: bool) -> Tool:
    async def run(arguments: Arguments, hands: Hands) -> str:
        hands.end_after_reply()
        return "好的，再见。" if chinese else "Goodbye."

    description = "End the call, after your reply, when the caller wants to."
    return Tool("hang_up", description, NO_ARGUMENTS, run)


def _switch(chinese: bool) -> Tool:
    async def run(arguments: Arguments, hands: Hands) -> str:
        try:
            await hands.switch(arguments["profile"])
        except CallRefused as refused:
            raise ToolFailed(str(refused)) from refused
        return "好的。" if chinese else "Done."

    parameters = _object(profile={"type": "string", "minLength": 1, "maxLength": 64})
    description = "Hand the call to another character, by its id."
    return Tool("switch_character", description, parameters, run, within_s=30)


_MAKERS: dict[str, Callable[[bool], Tool]] = {
    "time": _time,
    "calculate": _calculate,
    "timer": _timer,
    "hang_up": _hang_up,
    "switch_character": _switch,
}


def _object(*, optional: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _length(seconds: float, chinese: bool) -> str:
    """Return a length of time as people say it: ``1 hour 5 minutes``, ``90 秒``."""
    whole = round(seconds)
    parts = [(whole // 3600, "hour", "小时"), (whole // 60 % 60, "minute", "分钟")]
    parts.append((whole % 60, "second", "秒"))
    said = [part for part in parts if part[0]] or [(whole, "second", "秒")]
    if chinese:
        return "".join(f"{count}{han}" for count, _, han in said)
    return " ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word, _ in said)
