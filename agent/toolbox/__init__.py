"""Tools: what a character may do, beside talking. ``docs/tools.md`` is the same for its users.

- tool: what a tool is, and what it may ask of its call
- choice: how a profile chooses them
- builtin: time, arithmetic, timer, hanging up, changing the character
- remote: MQTT, HTTP and entry points
- belt: checks what a model asks for, runs it within its deadline, and never raises
- thinking: the rounds of one reply, from question to words
- intents: answers the built-in ones for a model that cannot be trusted with tools
"""
