"""What every test shares: one thread, no network, no telemetry."""

from __future__ import annotations

import os

for _name, _value in {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}.items():
    os.environ.setdefault(_name, _value)

from collections.abc import Callable, Iterator  # noqa: E402 - the environment is read while torch is imported
from contextlib import ExitStack  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

from tests.hub_emulator import HubEmulator  # noqa: E402

torch.set_num_threads(1)
# The same examples on every machine and at every hour, however busy it is.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line and the exhibits are named from the project's root, wherever pytest was started."""
    monkeypatch.chdir(ROOT)


StartHub = Callable[..., HubEmulator]


@pytest.fixture
def start_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StartHub]:
    """Starts a hub of this test's own, with an empty cache, and points the project to it."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("WHOSE_WEIGHTS_HUB_CACHE", str(tmp_path / "hub-cache"))
    with ExitStack() as started:

        def start(repositories: Any, **options: Any) -> HubEmulator:
            hub = started.enter_context(HubEmulator(repositories, **options))
            monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
            return hub

        yield start


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read whole but one layer at a time, and samples have sixteen rows of the deep model."""
    monkeypatch.setattr("tools.reading.READ_ALL_BYTES", -1)
    monkeypatch.setattr("tools.sampling.READ_ALL_BYTES", 0)
    monkeypatch.setattr("tools.sampling.TENSOR_VALUES", 16 * 64)
    monkeypatch.setattr("tools.sampling.LAYERS_SAMPLED", 3)
