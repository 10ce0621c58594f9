"""Arithmetic, orders said outright, and what a belt makes of anything a model asks for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agent.errors import CallRefused
from agent.toolbox.arithmetic import NoArithmetic, calculate
from agent.toolbox.belt import LONGEST_RESULT, Belt, Errands, open_belt
from agent.toolbox.choice import BuiltinChoice, ToolChoice
from agent.toolbox.intents import intent
from agent.toolbox.tool import Arguments, Broker, Hands, Tool
from stages.events import ToolCall
from tests.conftest import ROOT

ALL = ("time", "calculate", "timer", "hang_up", "switch_character")


@dataclass
class NotedHands:
    later: list[tuple[float, str]] = field(default_factory=list)
    ended: bool = False
    switched: list[str] = field(default_factory=list)
    broker: Broker | None = None

    def say_later(self, seconds: float, text: str) -> bool:
        self.later.append((seconds, text))
        return len(self.later) < 3

    def end_after_reply(self) -> None:
        self.ended = True

    async def switch(self, profile_id: str) -> None:
        if profile_id == "wolf":
            raise CallRefused(400, "there is no profile 'wolf'; there are: fox.")
        self.switched.append(profile_id)


def belt(hands: NotedHands | None = None, language: str = "en") -> Belt:
    choices = [BuiltinChoice(name=name) for name in ALL]  # type: ignore[arg-type]
    return open_belt(choices, language, hands or NotedHands())


async def ask(of: Belt, name: str, arguments: Any = "{}") -> tuple[str, bool]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    sure = anyio.Event()
    sure.set()
    return await of.run(ToolCall("1", name, text), sure)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1+1", "2"),
        ("0.1 + 0.2", "0.3"),
        ("2 + 3 * 4", "14"),
        ("(2 + 3) * 4", "20"),
        ("2 ^ 3 ^ 2", "512"),
        ("-2 ** 2", "-4"),
        ("1,299.5 * 2", "2599"),
        ("200 * 15%", "30"),
        ("10 / 4 =", "2.5"),
        ("1/3", "0.333333333333"),
        ("6 × 7 ÷ 2", "21"),
        ("2 ** 100", "1.26765060023e+30"),
    ],
)
def test_sums_are_exact(expression: str, result: str) -> None:
    assert calculate(expression) == result


@pytest.mark.parametrize(
    "expression",
    ["", "1 +", "1 / 0", "(1", "1 2", "__import__('os')", "9**9**9**9", "x" * 300, "0 ** -1",
     "((((", "1e9", "9 ^ 999999", "-" * 190],
)  # fmt: skip
def test_what_is_no_sum_is_refused(expression: str) -> None:
    with pytest.raises(NoArithmetic):
        calculate(expression)


@given(st.integers(-10**6, 10**6), st.sampled_from("+-*"), st.integers(-10**6, 10**6))
def test_whole_numbers_come_out_right(left: int, sign: str, right: int) -> None:
    wanted = {"+": left + right, "-": left - right, "*": left * right}[sign]
    assert Decimal(calculate(f"({left}) {sign} ({right})")) == wanted


@given(st.text(alphabet="0123456789+-*/%^(). ", max_size=60))
def test_no_expression_breaks_the_calculator(expression: str) -> None:
    with suppress(NoArithmetic):
        calculate(expression)


@pytest.mark.parametrize(
    ("said", "name", "arguments"),
    [
        ("What time is it?", "time", {}),
        ("现在几点了", "time", {}),
        ("今天星期几？", "time", {}),
        ("What is twelve times 7?", "calculate", {"expression": "12 * 7"}),
        ("how much is 3 plus 4", "calculate", {"expression": "3 + 4"}),
        ("三加五等于几", "calculate", {"expression": "3 + 5"}),
        ("3加5等于几", "calculate", {"expression": "3 + 5"}),
        ("Set a timer for five minutes.", "timer", {"seconds": 300}),
        ("set a 10-minute timer", "timer", {"seconds": 600}),
        ("十分钟后叫我", "timer", {"seconds": 600}),
        ("定一个二十五分钟的闹钟", "timer", {"seconds": 1500}),
        ("Please hang up.", "hang_up", {}),
        ("挂断电话吧", "hang_up", {}),
        ("Hey, what time is it right now, please?", "time", {}),
        ("请问现在几点了？", "time", {}),
        ("What time is it in Tokyo?", None, {}),
        ("what is the date of the battle", None, {}),
        ("What's the time complexity of that?", None, {}),
        ("东京现在几点？", None, {}),
        ("What is love?", None, {}),
        ("Time flies like an arrow.", None, {}),
        ("She hung up on me and would not end the call nicely.", None, {}),
        ("what is the capital of France", None, {}),
        ("Set a timer for some minutes", None, {}),
    ],
)
def test_only_what_is_said_outright_is_an_order(
    said: str, name: str | None, arguments: dict[str, Any]
) -> None:
    call = intent(said, ALL)
    if name is None:
        assert call is None
    else:
        assert call is not None
        assert (call.name, json.loads(call.arguments)) == (name, arguments)
    assert intent(said, ()) is None, "a profile without the tool does nothing"


@given(st.text(max_size=120))
def test_any_words_are_an_order_or_none(said: str) -> None:
    intent(said, ALL)


async def test_the_tools_that_come_along_answer_in_sentences() -> None:
    hands = NotedHands()
    of = belt(hands)
    assert (await ask(of, "calculate", {"expression": "6*7"})) == ("That is 42.", True)
    assert (await ask(of, "time"))[0].startswith("It is ")
    assert (await ask(of, "timer", {"seconds": 3690, "about": "the eggs"}))[0] == (
        "The timer is set for 1 hour 1 minute 30 seconds."
    )
    assert hands.later == [(3690, "Your timer of 1 hour 1 minute 30 seconds is over: the eggs.")]
    assert (await ask(of, "hang_up"))[1]
    assert hands.ended
    assert (await ask(of, "switch_character", {"profile": "fox"}))[1]
    assert await ask(of, "switch_character", {"profile": "wolf"}) == (
        "there is no profile 'wolf'; there are: fox.",
        False,
    )
    await ask(of, "timer", {"seconds": 5})
    assert await ask(of, "timer", {"seconds": 5}) == ("There are too many timers already.", False)
    chinese = belt(language="zh-CN")
    assert (await ask(chinese, "calculate", {"expression": "6*7"}))[0] == "结果是42。"


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("launch", "{}", "There is no tool 'launch'; there are: time, calculate"),
        ("calculate", "{", "were no JSON; nothing was done"),
        ("calculate", "[" * 9999, "were no JSON; nothing was done"),
        ("calculate", "{}", "'expression' is a required property"),
        ("calculate", '{"expression": 5}', "is not of type 'string'"),
        ("calculate", '{"expression": "1", "and": 2}', "unexpected"),
        ("timer", '{"seconds": -1}', "less than the minimum"),
        ("timer", '{"seconds": 1e99}', "greater than the maximum"),
        ("time", "[]", "is not of type 'object'"),
        ("calculate", '{"expression": "1/0"}', "divided by zero"),
    ],
)
async def test_whatever_a_model_asks_for_has_a_sentence(
    name: str, arguments: str, says: str
) -> None:
    hands = NotedHands()
    answer, ok = await ask(belt(hands), name, arguments)
    assert not ok
    assert says in answer
    assert hands == NotedHands(), "nothing was done"


def tool(run: Callable[[Arguments, Hands], Awaitable[str]], **more: Any) -> Belt:
    return Belt({"it": Tool("it", "Does it.", {"type": "object"}, run, **more)}, NotedHands())


async def test_a_tool_that_hangs_is_given_up() -> None:
    async def hangs(arguments: Arguments, hands: Hands) -> str:
        await anyio.sleep_forever()
        return ""

    assert await ask(tool(hangs, within_s=0.05), "it") == (
        "The tool it did not answer within 0.05 s.",
        False,
    )


async def test_a_tool_that_breaks_says_nothing_of_its_insides() -> None:
    async def breaks(arguments: Arguments, hands: Hands) -> str:
        raise RuntimeError("password=hunter2")

    assert await ask(tool(breaks), "it") == ("The tool it failed.", False)


async def test_a_long_result_is_cut_and_cleaned() -> None:
    async def floods(arguments: Arguments, hands: Hands) -> str:
        return "\x1b[2J\x00" + "x" * 1_000_000

    answer, ok = await ask(tool(floods), "it")
    assert ok
    assert len(answer) < LONGEST_RESULT + 60
    assert "more characters were cut" in answer
    assert "\x1b" not in answer


async def test_an_effect_waits_until_the_turn_is_over_for_sure() -> None:
    done: list[str] = []

    async def switches(arguments: Arguments, hands: Hands) -> str:
        done.append("on")
        return "on"

    errands = Errands(tool(switches))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(errands.run, [ToolCall("1", "it", "{}")])
        await anyio.wait_all_tasks_blocked()
        assert not done
        errands.sure.set()
    assert done == ["on"]
    assert [(use.name, use.ok) for use in errands.used] == [("it", True)]


async def test_several_tools_run_side_by_side_but_not_without_number() -> None:
    together = anyio.Event()
    running = 0

    async def meets(arguments: Arguments, hands: Hands) -> str:
        nonlocal running
        running += 1
        if running == 8:
            together.set()
        await together.wait()
        return "met"

    errands = Errands(tool(meets))
    errands.sure.set()
    answers = await errands.run([ToolCall(str(n), "it", "{}") for n in range(12)])
    assert answers[:8] == ["met"] * 8
    assert all("was not done" in answer for answer in answers[8:])


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ("dance", "time"),
        ({"kind": "mqtt", "name": "lamp", "description": "x", "topic": "lamp/#"}, "topic"),
        ({"kind": "http", "name": "a", "description": "x", "url": "file:///etc/passwd"}, "http"),
        ({"kind": "http", "name": "a", "description": "x", "url": "http://{host}/"}, "clear"),
        ({"kind": "http", "name": "a", "description": "x", "url": "http://me:pw@h/"}, "clear"),
        (
            {"kind": "mqtt", "name": "a", "description": "x", "topic": "t"}
            | {"parameters": {"type": 5}},
            "no JSON Schema",
        ),
        (
            {"kind": "mqtt", "name": "a b", "description": "x", "topic": "t"},
            "pattern",
        ),
    ],
)
def test_a_tool_that_cannot_be_is_refused_with_its_profile(choice: Any, says: str) -> None:
    adapter: TypeAdapter[ToolChoice] = TypeAdapter(ToolChoice)
    with pytest.raises(ValidationError, match=says):
        adapter.validate_python(choice)


SHELF = """
from agent.toolbox.tool import Tool

async def run(arguments, hands):
    return f"On the shelf: {arguments['what']}."

SCHEMA = {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]}
tool = Tool("shelf", "Looks at the shelf.", SCHEMA, run)
"""
ASKS = """
import anyio
from agent.toolbox.belt import open_belt
from agent.toolbox.choice import PythonChoice
from stages.events import ToolCall

async def main():
    belt = open_belt([PythonChoice(kind="python", name="shelf")], "en", None)
    sure = anyio.Event()
    sure.set()
    print(await belt.run(ToolCall("1", "shelf", '{"what": "tea"}'), sure))
    print(await belt.run(ToolCall("2", "shelf", '{"what": 5}'), sure))

anyio.run(main)
"""


def test_a_tool_that_an_installed_package_brings_is_the_characters(tmp_path: Path) -> None:
    (tmp_path / "my_shelf.py").write_text(SHELF)
    facts = tmp_path / "my_shelf-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: my-shelf\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[firstword.tool]\nshelf = my_shelf:tool\n")
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", ASKS], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    answers = done.stdout.splitlines()
    assert answers[0] == "('On the shelf: tea.', True)", done.stderr
    assert "The arguments of shelf were wrong, nothing was done" in answers[1]
