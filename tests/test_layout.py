"""The repository's shape: imports flow one way, and what is installed is what should be."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("dialects", "lowering", "irkit", "tools")
"""Each may import itself and those before it."""

TEST_ONLY = {
    *("lit", "pytest", "hypothesis", "filecheck", "sklearn"),
    *("torch", "onnx", "onnxscript", "onnxruntime", "openvino", "jax", "numba", "scipy", "matplotlib"),
}
"""Packages that an installed irkit must not need."""

EXTRAS = {"onnx": ROOT / "irkit" / "onnx"}
"""The one folder that may need a package which an extra brings."""


def sources(layer: str) -> list[Path]:
    return sorted((ROOT / layer).rglob("*.py"))


def imported(path: Path) -> list[tuple[int, str]]:
    """The line and name of each absolute import in a file, wherever it stands."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append((node.lineno, node.module))
    return found


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_flow_one_way(layer: str):
    later = set(LAYERS[LAYERS.index(layer) + 1 :]) | {"lit_tests"}
    if layer != "tools":  # the op reference runs the tests' samples
        later.add("tests")
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources(layer)
        for line, name in imported(path)
        if name.split(".")[0] in later
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("layer", ("dialects", "lowering", "irkit"))
def test_installed_code_needs_no_test_packages(layer: str):
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources(layer)
        for line, name in imported(path)
        if name.split(".")[0] in TEST_ONLY and EXTRAS.get(name.split(".")[0]) not in path.parents
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("layer", ("dialects", "lowering", "irkit"))
def test_every_folder_of_a_package_is_a_package(layer: str):
    folders = {path.parent for path in sources(layer)}
    missing = [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()]
    assert not missing


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_packages_are_listed_with_their_data():
    """The three packages, typed, and nothing else; data files are of the kinds that pyproject.toml names."""
    settings = project()["tool"]["setuptools"]
    assert {name.split(".")[0] for name in settings["packages"]["find"]["include"]} == set(LAYERS[:3])
    kinds = {pattern.lstrip("*.") for pattern in settings["package-data"]["*"]}
    for layer in LAYERS[:3]:
        assert (ROOT / layer / "py.typed").exists()
        data = [p for p in (ROOT / layer).rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")]
        assert not [p for p in data if p.suffix.lstrip(".") not in kinds and p.name not in kinds]


def test_xdsl_is_pinned_exactly():
    assert "xdsl==0.74.0" in project()["project"]["dependencies"]


def test_readme_and_ci_agree_on_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = [line.split('"')[1] for line in ci.splitlines() if line.startswith(("MAIN=", "CHECK="))]
    assert len(commands) == 2
    assert all(command in readme for command in commands)


def test_importing_irkit_is_light():
    """`import irkit` loads neither the C runtime's helpers nor any package of the extras."""
    code = f"import sys, irkit; print(sorted(set(sys.modules) & {TEST_ONLY | {'rich', 'safetensors'}!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
