"""All that can be told about a training before any hour is spent; nothing is written."""

from __future__ import annotations

from pathlib import Path

from stages.asr.campp.training import checkpoint, corpus, room
from stages.asr.campp.training.checkpoint import BadCheckpoint
from stages.asr.campp.training.config import Config
from stages.asr.campp.training.corpus import Sources
from stages.asr.campp.training.manifest import BadInput
from stages.asr.campp.training.room import Need


def checked(config: Config, data: Path, work: Path, run: Path) -> Sources:
    """Return what a training will hear.

    Args:
        config: the training.
        data: folder that {data} in its manifests stands for.
        work: the folder for everything that is made.
        run: folder of its checkpoints; neither of the two need be there.

    Raises:
        BadInput: with the faults of the data, of the checkpoint that it would go on from, and of
            the disks that are too full, all at once.
    """
    found: Sources = []
    faults: list[str] = []
    try:
        checkpoint.can_go_on(run, config)
    except BadCheckpoint as error:
        faults.append(f"{error.file}: {error.reason}")
    try:
        found = corpus.clips_of(config, data, work)
    except BadInput as error:
        faults += error.faults
    frames = Need("frames", work, corpus.bytes_of(config, found, work))
    faults += room.faults([frames, Need("checkpoints", run, checkpoint.bytes_of(config, run))])
    if faults:
        raise BadInput("the training", faults)
    return found
