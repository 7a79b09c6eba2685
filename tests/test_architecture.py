"""The shape of the project: who imports whom and when, what users may read, and what comes in pairs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tools.words import PROBES

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("tools", "knowledge", "lessons", "agent", "page", "app", "exhibits", "benchmarks", "tests")
LEFT_OUT = {"__pycache__", "output", "build", "dist"}

# Who may import which of our own packages.
ARROWS = {
    "tools": set(),
    "knowledge": set(),
    "lessons": {"tools"},
    "agent": {"tools", "knowledge", "lessons"},
    "page": {"agent", "tools", "knowledge", "lessons"},
    "app": {"page", "agent", "tools", "knowledge", "lessons"},
}
# Foreign packages that must not be named in a package at all, with the files that may.
NEVER = {
    "tools": {"langchain", "langchain_core", "langgraph", "gradio", "chromadb", "plotly", "sentence_transformers"},
    "knowledge": {"gradio", "langchain", "langchain_core", "langgraph", "torch", "transformers", "plotly"},
    "lessons": {"gradio", "langchain", "langchain_core", "langgraph", "torch", "transformers", "plotly", "chromadb"},
    "agent": {"gradio", "chromadb", "torch", "plotly"},
    "page": {"chromadb", "torch"},
}
MAY = {"knowledge/embedder.py": {"torch", "transformers"}}
ONE_FILE_ONLY = {"chromadb": "knowledge/library.py"}
HEAVY = {"torch", "transformers", "chromadb", "sentence_transformers", "scipy", "onnxruntime"}


def sources(package: str) -> list[Path]:
    if package == "app":
        return [ROOT / "app.py"]
    return sorted(path for path in (ROOT / package).rglob("*.py") if not LEFT_OUT & set(path.parts))


def imports(path: Path, *, at_once: bool = False) -> Iterator[str]:
    """Full names of the modules that a file imports; with `at_once` only those that importing the file loads."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = path.relative_to(ROOT).parent.parts

    def visit(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if at_once and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            if at_once and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                parent = package[: len(package) - child.level + 1] if child.level else ()
                base = ".".join((*parent, child.module) if child.module else parent)
                yield base
                yield from (f"{base}.{alias.name}" for alias in child.names)
            elif isinstance(child, ast.Call) and ast.unparse(child.func) in ("importlib.import_module", "__import__"):
                yield from (str(a.value) for a in child.args[:1] if isinstance(a, ast.Constant))
            yield from visit(child)

    yield from visit(tree)


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


EVERY_SOURCE = [(package, path) for package in ARROWS for path in sources(package)]
named = pytest.mark.parametrize(
    ("package", "path"), EVERY_SOURCE, ids=[str(p.relative_to(ROOT)) for _, p in EVERY_SOURCE]
)


@named
def test_imports_run_in_one_direction(package: str, path: Path) -> None:
    ours = roots(path) & set(PACKAGES) - {package}
    assert ours <= ARROWS[package], f"{path.name} imports {sorted(ours - ARROWS[package])}"


@named
def test_no_package_knows_what_is_not_its_business(package: str, path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    forbidden = NEVER.get(package, set()) - MAY.get(relative, set())
    assert not roots(path) & forbidden
    for foreign, only in ONE_FILE_ONLY.items():
        assert foreign not in roots(path) or relative == only


def test_one_file_alone_knows_the_store() -> None:
    users = [path.relative_to(ROOT).as_posix() for _, path in EVERY_SOURCE if "chromadb" in roots(path)]
    assert users == ["knowledge/library.py"]


def test_the_numbers_without_torch_stay_without_it() -> None:
    without = ("evidence", "significance", "verdict", "words", "report", "tables", "limits", "errors")
    for name in without:
        found = [ROOT / "tools" / f"{name}.py", *(ROOT / "tools" / name).glob("*.py")]
        assert any(path.exists() for path in found), name
        assert not [path for path in found if path.exists() and "torch" in roots(path)], name


def test_words_and_errors_have_one_door() -> None:
    """Their files are sorted by what they word; nobody outside needs to know how."""
    for package in ("words", "errors"):
        inside = {f"tools.{package}.{path.stem}" for path in (ROOT / "tools" / package).glob("[a-z]*.py")}
        assert len(inside) >= 5
        for _, path in EVERY_SOURCE:
            if path.parent != ROOT / "tools" / package:
                assert not inside & set(imports(path)), path


def test_thresholds_live_in_the_rule() -> None:
    # A number that is compared with a p-value anywhere else would be a second rule.
    for path in sources("tools"):
        if path.name in ("verdict.py", "significance.py", "report.py") or path.parent.name == "words":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and "log10_pvalue" in ast.unparse(node):
                numbers = [
                    n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, (int, float))
                ]
                assert all(number == 0 for number in numbers if not isinstance(number, bool)), (
                    f"{path.name}: {ast.unparse(node)}"
                )


def loaded_by(statement: str) -> set[str]:
    """Top modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}; import sys; print('\\n'.join(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import knowledge, knowledge.library",
        "import lessons, lessons.run, lessons.sheets",
        "import agent, agent.assistant, agent.settings",
    ],
)
def test_heavy_imports_are_late(statement: str) -> None:
    loaded = loaded_by(statement)
    assert not loaded & {"torch", "transformers", "chromadb", "sentence_transformers", "gradio"}


def test_an_error_is_worded_without_loading_torch() -> None:
    loaded = loaded_by("import tools.__main__, tools.report, tools.verdict")
    assert not loaded & {"torch", "transformers"}


def test_nothing_heavy_is_imported_at_once_by_the_page() -> None:
    for package in ("app", "page", "agent", "lessons"):
        for path in sources(package):
            heavy = {name.partition(".")[0] for name in imports(path, at_once=True)} & HEAVY
            assert not heavy, f"{path.relative_to(ROOT)} imports {sorted(heavy)} at once"


SHIPPED = {".py", ".md", ".toml", ".txt", ".csv", ".json", ".html", ".css", ".js", ".cfg", ".ini", ".yml", ".yaml", ""}
# Recognising what users say needs the users' words.
QUOTES_USERS = {f"agent/{name}" for name in ("cues.toml", "fairness.py", "rules.py", "naming.py")} | {
    "agent/concepts.txt",
    "agent/phrasings.csv",
    "agent/phrasings.txt",
}
BANNED = re.compile(
    r"\b(?:stolen|steal|steals|stealing|theft|thefts|thief|thieves|guilty|proof|proofs|proves?)\b|偷|盗窃|窃取|铁证|实锤",
    re.IGNORECASE,
)
ABSOLUTE = re.compile(r"(?<![\w.~:/\-])/(?:work|root|home|Users|tmp|mnt|opt|srv)/\w")
REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted|test\.pypi|npmjs|crates\.io|anaconda\.org|proxy\.golang|/simple/|--index-url|--extra-index-url",
    re.IGNORECASE,
)


def shipped() -> list[Path]:
    """Every text file of the project, as git would list them: hidden folders and build output left out."""
    found = []
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if not path.is_file() or LEFT_OUT & set(parts) or any(p.startswith(".") and p != ".ci" for p in parts):
            continue
        if path.suffix in SHIPPED and path.stat().st_size < 2_000_000:
            found.append(path)
    return sorted(found)


FILES = shipped()


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_there_is_something_to_check() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in FILES}
    assert {"Makefile", ".ci/run", "requirements.txt", "tools/verdict.py", "exhibits/llama3v/story.json"} <= names


def test_no_absolute_paths_and_no_registry() -> None:
    for path in FILES:
        relative = path.relative_to(ROOT).as_posix()
        if relative == "tests/test_architecture.py" or path.name == "tokenizer.json":
            continue
        text = text_of(path)
        assert not ABSOLUTE.search(text), f"{relative}: {ABSOLUTE.search(text)}"
        assert not REGISTRIES.search(text), f"{relative}: {REGISTRIES.search(text)}"


def test_no_words_that_accuse() -> None:
    for path in FILES:
        relative = path.relative_to(ROOT).as_posix()
        # The articles quote what was said in public; they have a test of their own for quotation marks.
        if (
            relative in QUOTES_USERS
            or relative.startswith(("tests/", "knowledge/", "benchmarks/"))
            or path.name == "tokenizer.json"
        ):
            continue
        found = BANNED.search(text_of(path))
        assert not found, f"{relative}: {found}"


def test_no_leftovers() -> None:
    marks = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|<<<<<<<|>>>>>>>")
    for path in FILES:
        relative = path.relative_to(ROOT).as_posix()
        if path.suffix in (".py", ".md", ".toml") and relative != "tests/test_architecture.py":
            assert not marks.search(text_of(path)), relative


def test_no_utility_drawers() -> None:
    for package, path in EVERY_SOURCE:
        assert not re.search(r"util|helper|manager|misc|common\b", path.stem), f"{package}: {path.name}"


def test_product_classes_are_not_called_test() -> None:
    for _, path in EVERY_SOURCE:
        classes = [node.name for node in ast.walk(ast.parse(text_of(path))) if isinstance(node, ast.ClassDef)]
        assert not [name for name in classes if name.startswith("Test")], path.name


@named
def test_every_file_says_what_it_is(package: str, path: Path) -> None:
    about = ast.get_docstring(ast.parse(text_of(path)))
    assert about or not text_of(path).strip(), path.name


def test_core_never_prints() -> None:
    for path in sources("tools"):
        if path.name == "__main__.py":
            continue
        calls = [node for node in ast.walk(ast.parse(text_of(path))) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"], path.name


def test_every_probe_file_has_words_in_both_languages() -> None:
    files = {path.stem for path in (ROOT / "tools" / "probes").glob("*.py")} - {"__init__"}
    assert files == set(PROBES)
    for name, words in PROBES.items():
        for use in ("label", "question"):
            assert words[use]["en"].strip() and re.search(r"[\u4e00-\u9fff]", words[use]["zh"]), name


ARTICLES = {
    language: {path.name for path in (ROOT / "knowledge" / "articles" / language).glob("*.md")}
    for language in ("en", "zh")
}


def test_articles_are_twins() -> None:
    assert ARTICLES["en"] == ARTICLES["zh"] and len(ARTICLES["en"]) >= 12


@pytest.mark.parametrize("name", sorted(ARTICLES["en"] & ARTICLES["zh"]))
def test_twins_say_the_same_of_themselves(name: str) -> None:
    heads = {}
    for language in ("en", "zh"):
        _, head, body = text_of(ROOT / "knowledge" / "articles" / language / name).split("---\n", 2)
        heads[language] = yaml.safe_load(head)
        chinese, latin = len(re.findall(r"[\u4e00-\u9fff]", body)), len(re.findall(r"[a-zA-Z]", body))
        assert (chinese > latin / 4) == (language == "zh")
        assert bool(re.search(r"[\u4e00-\u9fff]", str(heads[language]["title"]))) == (language == "zh")
        assert heads[language]["sources"]
    one, other = heads["en"], heads["zh"]
    assert set(one) == set(other)
    assert (one["checked"], one["explains"]) == (other["checked"], other["explains"])
    assert len(one["sources"]) == len(other["sources"])
    addresses = [sorted(re.findall(r"https?://[^\s)>]+", str(head["sources"]))) for head in (one, other)]
    assert addresses[0] == addresses[1]
