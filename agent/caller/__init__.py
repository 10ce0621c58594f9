"""The scripted caller: calls an agent with recorded speech and measures what a caller would.

It is a real WebRTC peer that speaks the page's protocol. How exact it is:

- The microphone is a grid of 20 ms on the monotonic clock. A frame that is due at T carries the
  20 ms of sound before T, as a sound card would have taken it; so every sample of a recording
  has an exact time, and so has its last speech sample. Frames leave later than they are due by
  the send jitter, which the result states.
- ``heard`` is exact to the sample within the packet it came in, from the moment this process
  had the packet. An ideal ear is assumed: no buffer, no sound card; a browser adds some 50 ms.
- Times go to the agent on its own clock, learnt from the fastest of the pings; the result
  states half its round trip, the most by which this can be wrong.
"""

from __future__ import annotations

from agent.caller.place import Manners, place, recording
from agent.caller.result import CallResult, Exactness, TurnResult

__all__ = ["CallResult", "Exactness", "Manners", "TurnResult", "place", "recording"]
