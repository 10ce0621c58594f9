"""Makes the tiny model that the tests of the running stage use; needs the extra ``train``.

    python -m tests.stages.asr.campp.make_tiny

Its weights are random, but its output is loud enough that it says many different tokens.
"""

from __future__ import annotations

from pathlib import Path

import torch

from stages.asr.campp.features import Fbank, whole
from stages.asr.campp.training.export import export
from stages.asr.campp.training.network import Network
from stages.asr.campp.training.sizes import alphabet, network
from tests.stages.asr.campp.conftest import noise

FILE = Path(__file__).parent / "tiny.onnx"
TOKENS = 60


def talkative(**geometry: object) -> Network:
    """Return a tiny network that says something: its output is centred on what noise gives."""
    torch.manual_seed(3)
    made = network("tiny", alphabet(TOKENS), **geometry)
    fbank = Fbank(made.geometry.front)
    frames = torch.tensor(whole(made.geometry, fbank, noise(8))[0])[None]
    inner: list[torch.Tensor] = []
    hook = made.norm.register_forward_hook(lambda module, taken, given: inner.append(given))
    with torch.no_grad():
        made.get_buffer("cmvn_mean").copy_(frames.mean(dim=(0, 1)))
        made.get_buffer("cmvn_istd").copy_(1 / frames.std(dim=(0, 1)))
        made(frames, torch.tensor([frames.shape[1]]))
        hook.remove()
        spread = inner[0].std(dim=(0, 1)).clamp(min=1e-3)
        made.output.weight.copy_(torch.randn_like(made.output.weight) / spread)
        made.output.bias.copy_(-made.output.weight @ inner[0].mean(dim=(0, 1)))
        made.output.bias[0] += 5.0  # a little silence between the tokens
    return made


if __name__ == "__main__":
    export(talkative(), alphabet(TOKENS), FILE)
