# SPDX-License-Identifier: Apache-2.0
"""
The contributor's menu: `nox -l` lists it, `nox -s NAME` runs one, `.ci/run` runs the gate.

Every session makes its own environment from a dependency group of pyproject.toml. Sessions that
test install the wheel that was built from this tree, never the tree itself.
"""

from __future__ import annotations

import fnmatch
import shutil
import sys
import zipfile
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2026.8.10"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"  # uv would look for builds to download
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "typecheck", "native", "docs", "tests", "tests_pure"]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
MAIN = PYTHONS[0]
RESULTS = ROOT / ".ci" / "results"
_built: dict[str, Path] = {}


def group(name: str) -> tuple[str, ...]:
    """Return the requirements of a dependency group."""
    return nox.project.dependency_groups(PYPROJECT, name)


def requirements() -> list[str]:
    """Return what the package itself requires, for sessions that only read its source."""
    return list(PYPROJECT["project"]["dependencies"])


def wheel(session: nox.Session) -> str:
    """Build the wheel once per run of nox and return its path."""
    if "wheel" not in _built:
        folder = Path(session.create_tmp()).resolve() / "wheel"
        shutil.rmtree(folder, ignore_errors=True)
        session.install("build")
        # By way of the sdist: a left-over build/ in the tree cannot get into it.
        session.run("python", "-m", "build", "--outdir", str(folder), ".", silent=True)
        _built["wheel"] = next(folder.glob("*.whl"))
    return str(_built["wheel"])


def install(session: nox.Session, *groups: str, extras: str = "") -> None:
    """Install the wheel with the requirements of `groups`."""
    needed = [requirement for name in groups for requirement in group(name)]
    session.install(f"{wheel(session)}{extras}", *needed)


def pytest(session: nox.Session, *arguments: str, part: str = "", **env: str) -> None:
    """
    Run pytest on the installed wheel and leave a machine-readable result for the gate.

    A session that runs it several times names the parts, each of which has a result.

    The command `pytest`, unlike `python -m pytest`, does not put the current folder on sys.path.
    Exit code 5 (no test collected) is an error: every session has tests.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    result = RESULTS / f"{session.name.replace(' ', '_')}{part and '-' + part}.xml"
    session.run(
        "pytest",
        f"--junit-xml={result}",
        *(session.posargs or arguments),
        env={"GREENGRASS_TEST_INSTALLED": "1", "PYTHONDEVMODE": "1", **env},
    )


# --- reading the source --------------------------------------------------------


@nox.session(python=MAIN)
def lint(session: nox.Session) -> None:
    """Style, layers, spelling and licences."""
    session.install(*group("lint"), *requirements())
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    session.run("codespell")
    session.run("reuse", "--suppress-deprecation", "lint", "--lines")


@nox.session(python=MAIN)
def typecheck(session: nox.Session) -> None:
    """Run mypy --strict on the package and its tests, and the checkers of users on a user."""
    install(session, "typing")
    session.run("mypy")
    pytest(session, "tests/integration/test_typing.py")


@nox.session(python=False)
def native(session: nox.Session) -> None:
    """Build and test the C alone: plain, under the sanitizers, and through gcc's analyzer."""
    if not (shutil.which("gcc") and shutil.which("make")):
        session.skip("needs gcc and make")
    for target in (
        "test",
        "test-address",
        "test-undefined",
        "test-thread",
        "analyze",
        "fuzz-short",
    ):
        session.run("make", "-C", "native", target, external=True)


@nox.session(python=False)
def cross(session: nox.Session) -> None:
    """Build the C for AArch64 and armhf, and run its tests under user-mode emulation."""
    processors = {
        "aarch64": ("aarch64-linux-gnu-gcc", "qemu-aarch64"),
        "armhf": ("arm-linux-gnueabihf-gcc", "qemu-arm"),
    }
    lacking = []
    for name, (compiler, emulator) in processors.items():
        if not (shutil.which(compiler) and shutil.which("make")):
            lacking.append(f"{name} is not built: no {compiler}")
            continue
        emulated = shutil.which(f"{emulator}-static") or shutil.which(emulator)
        if not emulated:
            lacking.append(f"{name} is built but not run: no {emulator}")
        target = f"emulate-{name}" if emulated else f"cross-{name}"
        session.run("make", "-C", "native", target, external=True)
    if lacking:
        session.skip(f"{'; '.join(lacking)} (Debian: see .ci/run for the packages)")


# --- testing the wheel ---------------------------------------------------------


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Unit tests everywhere; the main Python also replays fuzz corpora and runs state machines."""
    install(session, "test")
    if session.python == MAIN:
        folders = [
            name for name in ("unit", "stateful", "fuzz") if (ROOT / "tests" / name).is_dir()
        ]
        pytest(session, *(f"tests/{name}" for name in folders))
    else:
        pytest(session, "tests/unit", "tests/integration/test_smoke.py")


@nox.session(python=MAIN)
def tests_pure(session: nox.Session) -> None:
    """The same behaviour without the C extension."""
    install(session, "test")
    pytest(
        session,
        "tests/unit",
        "tests/conformance",
        "tests/integration/test_smoke.py",
        GREENGRASS_SDK_NATIVE="python",
    )


@nox.session(python=MAIN)
def conformance(session: nox.Session) -> None:
    """V1's documented behaviour, and the examples' tests: on the double and on a real core."""
    install(session, "test")
    pytest(session, "tests/conformance", "-m", "slow or not slow")  # the real intervals, too
    if not session.posargs:
        for world in ("fake", "core"):
            pytest(session, "examples", f"--greengrass={world}", part=f"examples-{world}")


@nox.session(python=MAIN)
def integration(session: nox.Session) -> None:
    """Real processes on loopback: crashes, kills, leaks, AWS's own greengrasssdk, the examples."""
    install(session, "test", extras="[cli]")
    pytest(session, "tests/integration")


@nox.session(python=MAIN)
def slow(session: nox.Session) -> None:
    """Run what takes its time, by hand: soaks, and leak tests of hours of work in minutes."""
    install(session, "test", extras="[cli]")
    pytest(session, "tests", "-m", "slow")


@nox.session(python=MAIN)
def docs(session: nox.Session) -> None:
    """Build the manual offline with every warning an error, then run every code block in it."""
    install(session, "docs")
    out = Path(session.create_tmp()).resolve() / "html"
    session.run("sphinx-build", "-n", "-W", "--keep-going", "-q", "-E", "docs", str(out))
    pytest(session, "docs", "README.md", "-p", "no:randomly")


@nox.session(python=MAIN)
def package(session: nox.Session) -> None:
    """Build sdist and wheel, check them, try each in an empty environment outside the tree."""
    session.install(*group("package"))
    dist = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist), ".", silent=True)
    sdist, built = next(dist.glob("*.tar.gz")), next(dist.glob("*.whl"))
    session.run("twine", "check", "--strict", str(sdist), str(built))
    session.run("check-wheel-contents", str(built))
    _assert_complete(session, built)
    session.run("abi3audit", "--strict", str(built))
    for number, archive in enumerate((built, sdist)):
        _try_outside_the_tree(
            session, archive, Path(session.create_tmp()).resolve() / f"venv{number}"
        )


def _assert_complete(session: nox.Session, built: Path) -> None:
    names = zipfile.ZipFile(built).namelist()
    wanted = {
        "the C extension": "greengrass_sdk/_native/_lib.abi3*",
        "the drop-in's path file": "*greengrass_sdk.pth",
        "the drop-in": "greengrass_sdk/dropin/greengrasssdk/__init__.py",
        "py.typed": "greengrass_sdk/py.typed",
        "the drop-in's py.typed": "greengrass_sdk/dropin/greengrasssdk/py.typed",
        "the JSON Schema": "greengrass_sdk/model/group.schema.json",
    }
    for what, pattern in wanted.items():
        if not fnmatch.filter(names, pattern):
            session.error(f"{built.name} lacks {what} ({pattern})")


def _try_outside_the_tree(session: nox.Session, archive: Path, venv: Path) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    session.run("python", "-m", "venv", str(venv))
    python = venv / "bin" / "python"
    session.run(str(python), "-m", "pip", "install", "-q", str(archive), external=True)
    smoke = shutil.copy(ROOT / "tests" / "smoke.py", venv)
    examples = shutil.copytree(ROOT / "examples", venv / "examples")
    with session.chdir(venv):
        session.run(str(python), "-I", smoke, str(examples / "hello_world"), external=True)


# --- by hand -------------------------------------------------------------------


@nox.session(python=MAIN)
def bench(session: nox.Session) -> None:
    """Measure speed and size beside floors in C and other systems; prints tables, writes JSON."""
    install(session, "bench")
    for requirement in group("peers"):
        try:
            session.install(requirement)
        except CommandFailed:
            session.warn(f"{requirement} does not install; the benchmarks skip it")
    # Outside the session's environment, which is made anew: what was fetched stays.
    cache = ROOT / ".nox" / "bench-cache"
    session.run("python", "tests/benchmarks/run.py", "--cache", str(cache), *session.posargs)


@nox.session(python=MAIN)
def oracle(session: nox.Session) -> None:
    """Compare what others implemented, too, with their implementations."""
    install(session, "oracle")
    pytest(session, "tests/oracle")


@nox.session(python=MAIN)
def fuzz(session: nox.Session) -> None:
    """Fuzz one parser: `nox -s fuzz -- frames -max_total_time=60`."""
    install(session, "fuzz")
    harnesses = {
        path.stem.removeprefix("fuzz_"): path for path in ROOT.glob("tests/fuzz/fuzz_*.py")
    }
    name, *options = session.posargs or ["", ""]
    if name not in harnesses:
        session.error(f"name one of: {', '.join(sorted(harnesses))}")
    session.run("python", "-P", str(harnesses[name]), *options)


@nox.session(python=MAIN)
def sanitize(session: nox.Session) -> None:
    """Run the native unit tests on an extension built with ASan and UBSan."""
    flags = "-fsanitize=address,undefined -fno-omit-frame-pointer -g -O1"
    session.install(*group("test"))
    session.install("--no-cache", "--force-reinstall", ".", env={"CFLAGS": flags, "LDFLAGS": flags})
    libraries = [
        str(session.run("gcc", f"-print-file-name={name}", external=True, silent=True)).strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    pytest(
        session,
        "tests/unit/_native",
        "-p",
        "no:randomly",
        LD_PRELOAD=" ".join(libraries),
        ASAN_OPTIONS="detect_leaks=0",
        GREENGRASS_SDK_NATIVE="c",
    )


@nox.session(python=MAIN)
def coverage(session: nox.Session) -> None:
    """Measure branch coverage of the unit and conformance tests, function processes included."""
    install(session, "test")
    session.run("coverage", "erase")
    session.run(
        "coverage", "run", "-m", "pytest", "tests/unit", "tests/conformance", "-m", "not slow"
    )
    session.run("coverage", "combine", success_codes=[0, 1])
    session.run("coverage", "report", *session.posargs)


@nox.session(python=MAIN)
def lowest(session: nox.Session) -> None:
    """Unit tests with the oldest allowed version of every requirement."""
    if session.venv_backend != "uv":
        session.skip("needs uv")
    session.install("--resolution", "lowest-direct", wheel(session))
    session.install(*group("test"))
    pytest(session, "tests/unit")


@nox.session(python=MAIN)
def changelog(session: nox.Session) -> None:
    """Build CHANGELOG.md from changes/ for a release: `nox -s changelog -- 0.2.0`."""
    if not session.posargs:
        session.error("name the version")
    session.install(*group("release"))
    session.run("towncrier", "build", "--yes", "--version", session.posargs[0])


@nox.session(python=MAIN)
def dev(session: nox.Session) -> None:
    """Make .venv with everything a contributor needs and the package installed in place."""
    session.run(sys.executable, "-m", "venv", ".venv", external=True)
    session.run(".venv/bin/pip", "install", "-q", "-e", ".[cli]", *group("dev"), external=True)
