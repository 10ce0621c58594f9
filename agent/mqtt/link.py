"""The connection to the broker: it comes back by itself, and no call ever waits for it."""

from __future__ import annotations

import importlib.metadata
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiomqtt
import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectSendStream

from agent.desk import Desk
from agent.mqtt.client import SteadyClient
from agent.mqtt.commands import Commands
from agent.mqtt.discovery import discovery
from agent.mqtt.outbox import Letter, Outbox
from agent.mqtt.reporter import Reporter
from agent.mqtt.settings import MqttSettings
from agent.mqtt.topics import OFFLINE, ONLINE, Topics
from agent.toolbox.tool import ToolFailed
from stages.errors import UserError, first_of

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
"""Between two tries to connect: doubled each time, with up to half more by chance."""
STEADY_S = 10.0
"""A connection that stood this long counts as a good one: the waits begin anew."""
ANSWER_S = 5.0
"""How long the broker may take for anything."""
KEEPALIVE_S = 20
LEAVE_S = 2.0
"""How long saying goodbye may take at the end."""
LONGEST_ANSWER = 16_000
"""Characters of an answer that a tool waits for; the rest is cut."""
COMMANDS_WAITING = 64
"""Commands that wait, at most; the newest beyond are dropped by the client."""

_log = logging.getLogger(__name__)
_wire = logging.getLogger("agent.mqtt.wire")
_wire.setLevel(logging.CRITICAL)  # the library's own words: what matters of them we say ourselves


@dataclass(eq=False)
class Link:
    """Keeps a connection, sends what is in the outbox, and does what is asked.

    Attributes:
        connections: how often we connected.
        connected: set while a connection stands.
    """

    settings: MqttSettings
    topics: Topics
    outbox: Outbox
    reporter: Reporter
    commands: Commands
    connections: int = 0
    connected: anyio.Event = field(default_factory=anyio.Event)
    _warned: bool = False
    _client: aiomqtt.Client | None = None  # while a connection stands
    _waiting: dict[str, list[MemoryObjectSendStream[str]]] = field(default_factory=dict)

    async def run(self) -> None:
        """Stay connected until cancelled; then say ``offline``, within ``LEAVE_S``."""
        wait = FIRST_WAIT_S
        while True:
            begun = anyio.current_time()
            try:
                await self._connection()
            except* (aiomqtt.MqttError, OSError, ValueError, UserError) as group:
                self._tell(group)
            finally:
                self._client, self.connected = None, anyio.Event()
            if anyio.current_time() - begun >= STEADY_S:
                wait = FIRST_WAIT_S
            await anyio.sleep(wait * random.uniform(1, 1.5))
            wait = min(2 * wait, LONGEST_WAIT_S)

    async def ask(self, topic: str, payload: str, reply_topic: str) -> str:
        """Publish, and return the first answer on ``reply_topic``; empty at once without one.

        The caller of this sets the deadline; cancelling it forgets the answer.

        Raises:
            ToolFailed: no connection stands, or it broke.
        """
        client = self._client
        if client is None:
            raise ToolFailed("The MQTT broker cannot be reached now.")
        try:
            if not reply_topic:
                await client.publish(topic, payload, qos=1)
                return ""
            return await self._answer(client, topic, payload, reply_topic)
        except (aiomqtt.MqttError, ValueError) as error:
            raise ToolFailed(f"The MQTT broker did not take it: {error}.") from error

    async def _answer(
        self, client: aiomqtt.Client, topic: str, payload: str, reply_topic: str
    ) -> str:
        give, take = anyio.create_memory_object_stream[str](1)
        waiting = self._waiting.setdefault(reply_topic, [])
        waiting.append(give)
        try:
            with give, take:
                await client.subscribe(reply_topic, qos=1)
                await client.publish(topic, payload, qos=1)
                return await take.receive()
        finally:
            waiting.remove(give)
            if not waiting:
                self._waiting.pop(reply_topic, None)
                with anyio.move_on_after(LEAVE_S, shield=True), suppress(aiomqtt.MqttError):
                    await client.unsubscribe(reply_topic)

    async def _connection(self) -> None:
        context = await to_thread.run_sync(self.settings.tls_context)
        password = self.settings.password
        client = SteadyClient(
            self.settings.host,
            self.settings.port,
            username=self.settings.user,
            password=password.get_secret_value() if password else None,
            will=aiomqtt.Will(self.topics.status, OFFLINE, qos=1, retain=True),
            tls_context=context,
            logger=_wire,
            timeout=ANSWER_S,
            keepalive=KEEPALIVE_S,
            max_queued_incoming_messages=COMMANDS_WAITING,
        )
        async with _open(client):
            try:
                await self._greet(client)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._listen, client)
                    await self._send(client)
            finally:
                with anyio.move_on_after(LEAVE_S, shield=True), suppress(aiomqtt.MqttError):
                    await client.publish(self.topics.status, OFFLINE, qos=1, retain=True)

    async def _greet(self, client: aiomqtt.Client) -> None:
        """Say everything that is retained, then that we are there, and listen to commands."""
        await client.subscribe(self.topics.commands, qos=1)
        version = importlib.metadata.version("firstword")
        for topic, payload in discovery(self.settings, self.topics, version).items():
            await client.publish(topic, payload, qos=1, retain=True)
        self.connections += 1
        self.reporter.connections = self.connections
        self.reporter.publish_all()
        await client.publish(self.topics.status, ONLINE, qos=1, retain=True)
        if self._warned:
            _log.warning("The MQTT broker %s is back.", self.settings.place)
        self._warned = False
        self._client = client
        self.connected.set()

    async def _send(self, client: aiomqtt.Client) -> None:
        """Send letters as they come; one that was not confirmed is sent again."""
        while True:
            key, letter = await self.outbox.first()
            await client.publish(letter.topic, letter.payload(), qos=1, retain=letter.retain)
            self.outbox.sent(key, letter)

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if self._is_answer(message):
                continue
            name = self.topics.command(message.topic.value)
            payload = message.payload if isinstance(message.payload, bytes) else b""
            answer = await self.commands.do(name, payload, retained=message.retain)
            self.outbox.put(Letter(self.topics.answer, answer))

    def _is_answer(self, message: aiomqtt.Message) -> bool:
        """Hand a message to the tools that wait for it; a retained one is an old answer."""
        if message.topic.value.startswith(self.topics.of("command/")):
            return False
        text = message.payload.decode("utf-8", "replace") if message.payload else ""
        for give in self._waiting.get(message.topic.value, ()) if not message.retain else ():
            with suppress(anyio.WouldBlock, anyio.BrokenResourceError):
                give.send_nowait(text[:LONGEST_ANSWER])
        return True

    def _tell(self, group: BaseExceptionGroup) -> None:
        error = first_of(group)
        level = logging.DEBUG if self._warned else logging.WARNING
        _log.log(
            level,
            "No connection to the MQTT broker %s: %s. Calls go on; we try again.",
            self.settings.place,
            str(error),  # not the error itself: its traceback would keep a broken socket alive
        )
        self._warned = True


@asynccontextmanager
async def _open(client: aiomqtt.Client) -> AsyncIterator[None]:
    """Connect; leaving the block lets go of the socket and all that the client started.

    Connecting is not cut off in the middle, since the client's thread would go on with it and
    leave a socket behind; it ends by itself within ``2 * ANSWER_S``.
    """
    try:
        with anyio.move_on_after(2 * ANSWER_S, shield=True) as patience:
            await client.__aenter__()
        if patience.cancelled_caught:
            raise aiomqtt.MqttError("it did not answer in time")
        await anyio.lowlevel.checkpoint()
        yield
    finally:
        with anyio.move_on_after(LEAVE_S, shield=True), suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)


@asynccontextmanager
async def open_mqtt(settings: MqttSettings, desk: Desk) -> AsyncIterator[Link]:
    """Tell a broker of calls for as long as the block lasts; the broker need not be there.

    At the end what waits is sent, within ``LEAVE_S``, if a connection stands.

    The block gives the link; its ``reporter`` is the observer to be told of calls.

    Raises:
        NotPossible: the certificates cannot be used.
    """
    await to_thread.run_sync(settings.tls_context)
    topics, outbox = Topics(settings.name), Outbox()
    reporter = Reporter(topics, settings.content, outbox)
    link = Link(settings, topics, outbox, reporter, Commands(desk, reporter.publish_all))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        yield link
        if link.connected.is_set():
            with anyio.move_on_after(LEAVE_S):
                await outbox.empty()
        tasks.cancel_scope.cancel()
