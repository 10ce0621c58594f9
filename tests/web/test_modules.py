"""The page's pure modules, under Node's own test runner."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.servers.programs import program

MODULES = sorted((Path(__file__).parent / "modules").glob("*.test.mjs"))
FLAG = "--experimental-default-type=module"
"""The modules end in .js, for a web server knows that ending; Node 20 wants to be told."""


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name.split(".")[0])
async def test_a_pure_module_keeps_its_promises(module: Path) -> None:
    node = program("node", "nodejs")
    run = await anyio.run_process([node, FLAG, "--test", str(module)], check=False)
    assert run.returncode == 0, (run.stdout + run.stderr).decode()
