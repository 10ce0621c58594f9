"""Tools that ask somebody else: a broker, a server, an installed package."""

from __future__ import annotations

import json
import re
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import quote

import httpx

from agent.errors import ProfileError
from agent.toolbox.choice import HttpChoice, MqttChoice
from agent.toolbox.tool import Arguments, Hands, Tool, ToolFailed

GROUP = "firstword.tool"
LARGEST = 64 * 1024
"""Bytes of a server's answer that are read, at most."""
_HOLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def mqtt_tool(choice: MqttChoice) -> Tool:
    """Return a tool that publishes its arguments, and may wait for an answer."""

    async def run(arguments: Arguments, hands: Hands) -> str:
        if hands.broker is None:
            raise ToolFailed("There is no MQTT broker; the server was started without --mqtt.")
        payload = (
            json.dumps(dict(arguments), ensure_ascii=False)
            if choice.payload is None
            else _HOLE.sub(lambda hole: _word(arguments.get(hole[1])), choice.payload)
        )
        answer = await hands.broker.ask(choice.topic, payload, choice.reply_topic)
        return answer or "Done."

    return _tool(choice, run)


def http_tool(choice: HttpChoice) -> Tool:
    """Return a tool that asks the one server that its profile names; it follows no redirects."""

    async def run(arguments: Arguments, hands: Hands) -> str:
        holes = {hole[1] for hole in _HOLE.finditer(choice.url)}
        url = _HOLE.sub(lambda hole: quote(_word(arguments.get(hole[1])), safe=""), choice.url)
        rest = {name: value for name, value in arguments.items() if name not in holes}
        asks = choice.method in ("GET", "DELETE")
        more: dict[str, Any] = {"params": rest} if asks and rest else {}
        if not asks:
            more = {"json": rest}
        try:
            async with (
                httpx.AsyncClient(timeout=choice.within_s, trust_env=False) as client,
                client.stream(choice.method, url, **more) as response,
            ):
                text = await _read(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ToolFailed(f"The server did not answer: {type(error).__name__}.") from error
        if not response.is_success:
            raise ToolFailed(f"The server answered {response.status_code}: {text[:300]}")
        return text or "Done."

    return _tool(choice, run)


def python_tool(name: str) -> Tool:
    """Return the tool that an installed package brings under this name.

    Raises:
        ProfileError: there is none, or what is there is no ``Tool``.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ProfileError(f"no installed package brings a tool {name!r}; there are: {known}.")
    try:
        tool = found[name].load()
    except Exception as error:  # a foreign module may raise anything
        raise ProfileError(f"the tool {name!r} cannot be imported: {error}.") from error
    if not isinstance(tool, Tool):
        raise ProfileError(f"what {found[name].value} names is no agent.toolbox.Tool.")
    return tool


def _tool(choice: MqttChoice | HttpChoice, run: Any) -> Tool:
    return Tool(
        choice.name, choice.description, choice.parameters, run, choice.effect, choice.within_s
    )


def _word(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


async def _read(response: httpx.Response) -> str:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > LARGEST:
            break
    return body[:LARGEST].decode("utf-8", errors="replace")
