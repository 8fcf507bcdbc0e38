# SPDX-License-Identifier: Apache-2.0
"""
The house rules that no linter knows.

Tests mirror the package, modules say what they export, and the manual names everything that the
code offers. Each exemption stands in a table here with its reason; one that is no longer needed
fails, so the tables only hold what is true.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "greengrass_sdk"
UNIT = ROOT / "tests" / "unit"
DOCS = ROOT / "docs"

MODULE_LINES = 600
FUNCTION_LINES = 50

# module -> why no test file mirrors it
NO_MIRROR: dict[str, str] = {
    "_native/_abc.py": "Protocols only; both implementations are tested against them",
    "_native/_py/router/events.py": "value types, seen in every conversation of test_machine.py",
    "core/ports.py": "Protocols only",
}

# test file -> what it tests, where that is no single module
NO_MODULE: dict[str, str] = {
    "test_layout.py": "the house rules",
}

# module -> why a function in it is longer than the limit
LONG_FUNCTIONS: dict[str, str] = {}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def mirrors_of(module: Path) -> list[Path]:
    """Return where a module's tests may stand: `_c.py` -> `test_c.py` or `test__c.py`."""
    relative = module.relative_to(PACKAGE)
    stems = [relative.stem, relative.stem.strip("_")]
    if relative.stem == "__init__":
        stems = ["init", module.parent.name, module.parent.name.strip("_")]
    return [UNIT / relative.parent / f"test_{stem}.py" for stem in stems]


def is_mirrored(module: Path) -> bool:
    return any(path.is_file() for path in mirrors_of(module))


def exported(module: ast.Module) -> list[str] | None:
    for node in module.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
                assert node.value is not None
                return list(ast.literal_eval(node.value))
    return None


def is_public(module: Path) -> bool:
    parts = module.relative_to(PACKAGE).parts
    return not any(part.startswith("_") and part != "__init__.py" for part in parts)


def has_code(module: Path) -> bool:
    """Whether there is more in a module than its docstring, imports and `__all__`."""
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for node in parsed(module).body
    )


# --- the mirror ----------------------------------------------------------------


def test_every_module_has_a_test_file_at_the_same_place():
    missing = [
        name_of(module)
        for module in modules()
        if not is_mirrored(module)
        and name_of(module) not in NO_MIRROR
        and (module.name != "__init__.py" or has_code(module))
    ]
    assert [] == missing


def test_every_unit_test_file_mirrors_a_module():
    mirrors = {path for module in modules() for path in mirrors_of(module)}
    strays = [
        path.relative_to(UNIT).as_posix()
        for path in sorted(UNIT.rglob("test_*.py"))
        if path not in mirrors and path.relative_to(UNIT).as_posix() not in NO_MODULE
    ]
    assert [] == strays


def test_every_exemption_is_still_needed():
    stale = [name for name in NO_MIRROR if not (PACKAGE / name).is_file()]
    stale += [name for name in NO_MIRROR if is_mirrored(PACKAGE / name)]
    stale += [name for name in NO_MODULE if not (UNIT / name).is_file()]
    stale += [name for name in LONG_FUNCTIONS if not long_functions(PACKAGE / name)]
    assert [] == stale


# --- what a module says of itself ------------------------------------------------


def test_every_public_module_says_what_it_exports():
    silent = [
        name_of(module)
        for module in modules()
        if is_public(module) and has_code(module) and exported(parsed(module)) is None
    ]
    assert [] == silent


def test_every_exported_name_is_defined_and_every_exported_class_and_function_is_documented():
    wrong = []
    for module in modules():
        names = set(exported(parsed(module)) or [])
        for node in parsed(module).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                overload = any("overload" in ast.unparse(one) for one in node.decorator_list)
                if node.name in names and not overload and not ast.get_docstring(node):
                    wrong.append(f"{name_of(module)}: {node.name}")
    exempt = [entry for entry in wrong if entry.startswith("dropin/")]  # reference/greengrasssdk.md
    assert [] == sorted(set(wrong) - set(exempt))


def test_the_package_exports_what_it_says():
    import greengrass_sdk

    missing = [name for name in greengrass_sdk.__all__ if not hasattr(greengrass_sdk, name)]
    assert [] == missing


def test_the_package_exports_all_of_the_client_and_only_errors_beside_it():
    """Errors of parts that do not exist yet stay in `greengrass_sdk.errors`."""
    import greengrass_sdk
    from greengrass_sdk import client, errors

    names = set(greengrass_sdk.__all__) - {"__version__"}
    assert set() == set(client.__all__) - names
    assert set() == names - set(client.__all__) - set(errors.__all__)


def test_the_version_is_the_same_everywhere():
    import greengrass_sdk

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == greengrass_sdk.__version__


def test_every_package_starts_with_a_map():
    bare = []
    for module in modules():
        if module.name == "__init__.py" and "dropin" not in module.parts:
            docstring = ast.get_docstring(parsed(module)) or ""
            if not 3 <= len(docstring.splitlines()) <= 25:
                bare.append(name_of(module))
    assert [] == bare


def test_no_module_is_longer_than_the_limit():
    long = {
        name_of(module): lines
        for module in modules()
        if (lines := len(module.read_text().splitlines())) > MODULE_LINES
    }
    assert {} == long


def long_functions(module: Path) -> list[str]:
    found = []
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body and (body[-1].end_lineno or 0) - body[0].lineno + 1 > FUNCTION_LINES:
                found.append(node.name)
    return found


def test_no_function_is_longer_than_the_limit():
    long = {
        name_of(module): names
        for module in modules()
        if (names := long_functions(module)) and name_of(module) not in LONG_FUNCTIONS
    }
    assert {} == long


def test_the_drop_in_imports_the_client_only():
    """What stands in a function's path knows one layer; import-linter cannot see this folder."""
    wrong = []
    for module in sorted((PACKAGE / "dropin").rglob("*.py")):
        for node in ast.walk(parsed(module)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
                if node.module == "greengrass_sdk":
                    names = [f"greengrass_sdk.{alias.name}" for alias in node.names]
            wrong += [
                f"{name_of(module)}: {name}"
                for name in names
                if name.startswith("greengrass_sdk")
                and not name.startswith("greengrass_sdk.client")
            ]
    assert [] == wrong


# --- what the manual must name ---------------------------------------------------


def page(name: str) -> str:
    return (DOCS / name).read_text()


def test_the_manual_names_everything_that_the_package_exports():
    import greengrass_sdk

    text = page("reference/api.md") + page("reference/errors.md")
    names = [name for name in greengrass_sdk.__all__ if not name.startswith("__")]
    assert [] == [name for name in names if name not in text]


def test_the_manual_names_every_error():
    from greengrass_sdk import errors

    text = page("reference/errors.md")
    assert [] == [name for name in errors.__all__ if name.endswith("Error") and name not in text]


def test_the_manual_names_every_key_of_the_group_file():
    schema = json.loads((PACKAGE / "model" / "group.schema.json").read_text())
    keys: set[str] = set()

    def collect(node: object) -> None:
        if isinstance(node, dict):
            properties = node.get("properties")
            if isinstance(properties, dict):
                keys.update(properties)
            for value in node.values():
                collect(value)
        elif isinstance(node, list):
            for value in node:
                collect(value)

    collect(schema)
    text = page("reference/group-file.md")
    assert [] == sorted(key for key in keys if not re.search(rf"\b{re.escape(key)}\b", text))


def test_the_manual_names_every_variable_of_a_function():
    source = parsed(PACKAGE / "core" / "functions" / "environment.py")
    variables = {
        node.value
        for node in ast.walk(source)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", node.value)
    }
    text = page("reference/environment.md")
    assert [] == sorted(name for name in variables if name not in text)


def test_the_manual_names_every_command():
    from greengrass_sdk.cli import COMMANDS

    text = page("reference/cli.md")
    names = [f"greengrass {command.name}" for command in COMMANDS]
    assert [] == [name for name in [*names, "greengrassd"] if name not in text]


def test_the_manual_names_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = chain(project["dependencies"], *project["optional-dependencies"].values())
    names = [re.split(r"[^a-zA-Z0-9-]", requirement)[0] for requirement in requirements]
    text = page("project/dependencies.md")
    assert [] == [name for name in names if name not in text]


def test_the_list_of_behaviours_and_the_conformance_tests_agree():
    listed = set(re.findall(r"\bGG-\w+-\d\d\b", page("reference/conformance.md")))
    tested: set[str] = set()
    for path in (ROOT / "tests" / "conformance").glob("test_*.py"):
        tested |= set(re.findall(r"\bGG-\w+-\d\d\b", path.read_text()))
    assert listed == tested


def behaviours(path: Path) -> dict[str, str]:
    """Return what the tests of a file run on, by the ids in their docstrings."""
    functions = [node for node in parsed(path).body if isinstance(node, ast.FunctionDef)]
    both = {"greengrass"}  # the fixture, and fixtures of the file that ask for it
    both |= {f.name for f in functions if "greengrass" in {each.arg for each in f.args.args}}
    whole = {"double": '"greengrass_world", ["fake"]', "core": '"greengrass_world", ["core"]'}
    marks = next((ast.unparse(n) for n in parsed(path).body if "pytestmark" in ast.unparse(n)), "")

    def runs_on(function: ast.FunctionDef) -> str:
        text = marks + "".join(ast.unparse(each) for each in function.decorator_list)
        for name, mark in whole.items():
            if mark in text.replace("'", '"'):
                return name
        return "both" if both & {each.arg for each in function.args.args} else "core"

    return {
        found: runs_on(function)
        for function in functions
        if function.name.startswith("test_")
        for found in re.findall(r"\bGG-\w+-\d\d\b", ast.get_docstring(function) or "")
    }


def test_the_list_of_behaviours_says_on_what_each_one_is_tested():
    rows = re.findall(
        r"^\| (GG-\w+-\d\d) \|.*\| (both|core|double) \|",
        page("reference/conformance.md"),
        re.MULTILINE,
    )
    tested: dict[str, str] = {}
    for path in (ROOT / "tests" / "conformance").glob("test_*.py"):
        tested |= behaviours(path)
    assert {name: tested[name] for name, _ in rows} == dict(rows)
    assert len(rows) > 60


@pytest.mark.parametrize("name", ["README.md", "docs/explanation/architecture.md"])
def test_every_path_that_guides_a_newcomer_exists(name):
    text = (ROOT / name).read_text()
    paths = set(re.findall(r"`((?:greengrass_sdk|tests|native|docs|examples)/[\w./*-]*)`", text))
    links = {link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link}
    folder = (ROOT / name).parent
    missing = [path for path in paths if not list(ROOT.glob(path.rstrip("/")))]
    missing += [link for link in links if not (folder / link).exists()]
    assert [] == sorted(missing)


def test_every_example_is_listed_and_has_a_group_file_and_a_readme():
    folders = sorted(path.name for path in (ROOT / "examples").iterdir() if path.is_dir())
    text = (ROOT / "examples" / "README.md").read_text()
    incomplete = [
        name
        for name in folders
        if name not in text
        or not (ROOT / "examples" / name / "group.toml").is_file()
        or not (ROOT / "examples" / name / "README.md").is_file()
    ]
    assert [] == incomplete
