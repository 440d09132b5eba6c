"""The rules the package is built by, checked on its source."""

import ast
import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import her2pkpd

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "her2pkpd"
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [
    p for folder in ("her2pkpd", "tests", "fits", "examples", "benchmarks") for p in (ROOT / folder).rglob("*.py")
]
TEXT_SUFFIXES = {".py", ".md", ".toml", ".csv", ".cff", ".json", ".yml", ".txt", ""}

LAYERS = (
    "callable_package portable errors sources units settings runinfo assays model sbml engine export dosing library "
    "mechanisms systems simulate data fit posterior design petab synergy cohort report cli"
).split()
"""Each layer may import those before it, and itself."""


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module):
    """Position of a module, by the longest layer name that fits; None for the package itself."""
    inner = module.removeprefix("her2pkpd").removeprefix(".")
    if not inner:
        return None
    fitting = [name for name in LAYERS if inner == name or inner.startswith(name + ".")]
    assert fitting, f"{module} belongs to no layer: add it to LAYERS and to docs/architecture.md"
    return LAYERS.index(max(fitting, key=len))


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def own_imports(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "her2pkpd")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            if (node.module or "").split(".")[0] == "her2pkpd":
                for alias in node.names:
                    below = f"{node.module}.{alias.name}"
                    yield below if (PACKAGE / Path(*below.split(".")[1:])).with_suffix(".py").exists() else node.module


def test_imports_point_one_way():
    wrong = []
    for path in MODULES:
        name = module_name(path)
        own = layer(name)
        if own is None:
            continue  # the package itself only names what the layers offer
        for imported in own_imports(path):
            other = layer(imported)
            if other is not None and other > own:
                wrong.append(f"{name} imports {imported}")
    assert wrong == []


def test_files_are_short():
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text("utf-8").splitlines())) > 500}
    assert long == {}


def test_functions_are_short():
    long = {}
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > 80:
                    long[f"{path.relative_to(ROOT)}:{node.name}"] = lines
    assert long == {}


def public_definitions(body, prefix=""):
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node.body, f"{prefix}{node.name}.")


def test_everything_public_is_documented():
    bare = []
    for path in MODULES:
        parsed = tree(path)
        if not ast.get_docstring(parsed):
            bare.append(module_name(path))
        bare += [
            f"{module_name(path)}.{n}" for n, node in public_definitions(parsed.body) if not ast.get_docstring(node)
        ]
    assert bare == []


def called(node):
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def test_nothing_global_is_changed_and_no_code_is_read_from_data():
    wrong = []
    for path in MODULES:
        for node in ast.walk(tree(path)):
            name = called(node)
            if name.endswith("config.update") or name in {"eval", "exec", "pickle.load", "pickle.loads"}:
                wrong.append(f"{module_name(path)}: {name}")
            if any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in getattr(node, "keywords", [])):
                wrong.append(f"{module_name(path)}: allow_pickle")
            if isinstance(node, ast.Import) and {a.name for a in node.names} & {"pickle", "marshal", "shelve", "dill"}:
                wrong.append(f"{module_name(path)}: {ast.unparse(node)}")
    assert wrong == []


def test_no_path_of_any_one_machine():
    pattern = re.compile(
        "|".join(f"(?<![\\w.])/{word}/" for word in ("wor" + "k", "tm" + "p", "roo" + "t", "hom" + "e", "Use" + "rs"))
    )
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in TEXT_SUFFIXES and path.is_file():
            found += [
                f"{name}: {line.strip()}" for line in path.read_text("utf-8").splitlines() if pattern.search(line)
            ]
    assert found == []


def test_the_command_line_answers_without_the_heavy_libraries():
    code = "import sys, her2pkpd.cli; print([m for m in ('jax', 'pandas', 'matplotlib', 'scipy') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_public_names_exist_and_are_declared_once():
    assert set(her2pkpd.__all__) == {*her2pkpd._HOME, "__version__"}
    assert all(hasattr(her2pkpd, name) for name in her2pkpd.__all__)
    assert set(her2pkpd.__all__) <= set(dir(her2pkpd))
    block = next(n for n in tree(PACKAGE / "__init__.py").body if isinstance(n, ast.If))
    declared = {a.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert declared == her2pkpd._HOME
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = her2pkpd.nothing


def test_one_version():
    version = her2pkpd.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\n## {version} " in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize("path", [p for p in MODULES if ">>> " in p.read_text("utf-8")], ids=module_name)
def test_examples_in_docstrings(path):
    module = importlib.import_module(module_name(path))
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
