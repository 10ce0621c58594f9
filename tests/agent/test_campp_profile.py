"""Profile ``campp``: its place on the curve of the benchmark stands in it, and it opens with it."""

from __future__ import annotations

import pytest

from agent.profile import load
from stages.asr.campp.options import CamppOptions, shipped
from stages.asr.campp.stage import open_campp
from stages.asr.two_pass import TwoPassAsr
from stages.models import ModelStore
from tests.conftest import ROOT

PROFILE = ROOT / "profiles" / "campp.yaml"


def test_the_chosen_language_model_and_its_weight_stand_in_the_profile() -> None:
    settings = load(PROFILE).chosen("asr").options.partials.settings  # type: ignore[attr-defined]

    assert settings["language_model_weight"] == 0.6
    assert CamppOptions.model_validate(settings).language_file == shipped("en-small.lm")


@pytest.mark.timeout(60)
async def test_the_profile_s_recogniser_opens_with_those_settings(store: ModelStore) -> None:
    chosen = load(PROFILE).chosen("asr")

    async with chosen.plugin.open(chosen.options, store) as asr:
        assert isinstance(asr, TwoPassAsr)
    settings = chosen.options.partials.settings  # type: ignore[attr-defined]
    async with open_campp(CamppOptions.model_validate(settings), store) as partials:
        assert partials.stats().slots > 0
