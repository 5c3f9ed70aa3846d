"""The parts around the rooms: the lock, the package's metadata and ./dev.

They break in ways that no other test sees, since every other test runs where they have already worked: an
import that only the developer's machine has, a template missing in the wheel, a set-up that stops halfway.

Nothing here uses the network: ./dev is tried on a lock of one package, which the test makes itself.
"""

from __future__ import annotations

import ast
import base64
import configparser
import fcntl
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("consent", "verifier", "wallet_api", "scanner_kiosk")
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+))?", re.MULTILINE)


def settings() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins() -> dict[str, Version]:
    """What the lock installs on this Python: canonical name → version."""
    found = {}
    for pin in PIN.finditer((ROOT / "requirements" / "dev.lock").read_text(encoding="utf-8")):
        marker = pin["marker"]
        if marker and not Requirement(f"x ; {marker.strip()}").marker.evaluate():  # type: ignore[union-attr]
            continue
        found[str(canonicalize_name(pin["name"]))] = Version(pin["version"])
    return found


def requirements(*, extras: tuple[str, ...]) -> list[Requirement]:
    parser = settings()
    texts = [parser["options"]["install_requires"]]
    texts += [parser["options.extras_require"][extra] for extra in extras]
    return [Requirement(line) for text in texts for line in lines(text)]


def third_party_imports(*folders: str) -> set[str]:
    """Top-level names of all imports, also those inside functions, that are neither ours nor Python's."""
    ours = {*ROOMS, "tests", "bench", "conftest", "huzheng_wallet", "vendor_app"}
    found: set[str] = set()
    for folder in folders:
        ours.update(path.stem for path in (ROOT / folder).rglob("*.py")) if folder in {
            "tests",
            "bench",
        } else None
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
                if isinstance(node, ast.Import):
                    found.update(alias.name.split(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.split(".")[0])
    return found - ours - sys.stdlib_module_names


packages_distributions = functools.cache(importlib.metadata.packages_distributions)


def distributions(module: str) -> set[str]:
    """Canonical names of the installed distributions that hold this top-level module."""
    return {str(canonicalize_name(name)) for name in packages_distributions().get(module, [])}


# --- the lock and the metadata --------------------------------------------------------------------


def test_every_import_of_rooms_tests_and_bench_is_in_the_lock() -> None:
    locked = set(pins())
    folders = [name for name in (*ROOMS, "tests", "bench") if (ROOT / name).is_dir()]
    missing = {name for name in third_party_imports(*folders) if not distributions(name) & locked}
    assert missing == set()


def test_every_import_of_the_rooms_is_required_by_the_package() -> None:
    required = {str(canonicalize_name(one.name)) for one in requirements(extras=("postgres",))}
    imports = third_party_imports(*(name for name in ROOMS if (ROOT / name).is_dir()))
    assert {name for name in imports if not distributions(name) & required} == set()


def test_the_ranges_of_the_package_accept_the_versions_of_the_lock() -> None:
    locked = pins()
    wrong = [
        f"{one} but {locked.get(canonicalize_name(one.name))} is locked"
        for one in requirements(extras=("postgres", "test"))
        if (version := locked.get(canonicalize_name(one.name))) is None or not one.specifier.contains(version)
    ]
    assert wrong == []


def test_the_lock_holds_all_that_its_packages_need() -> None:
    """./dev installs without a search for dependencies, so a gap would only show at the first import."""
    locked = pins()
    gaps = []
    for name in locked:
        for text in importlib.metadata.requires(name) or []:
            need = Requirement(text)
            if need.marker and not need.marker.evaluate({"extra": ""}):
                continue
            version = locked.get(canonicalize_name(need.name))
            if version is None or not need.specifier.contains(version, prereleases=True):
                gaps.append(f"{name} needs {need}, locked is {version}")
    assert gaps == []


def test_every_package_of_the_lock_has_a_hash() -> None:
    text = (ROOT / "requirements" / "dev.lock").read_text(encoding="utf-8")
    entries = [entry for entry in re.split(r"\n(?=[A-Za-z0-9])", text) if PIN.match(entry)]
    assert len(entries) > 50
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", ["dev", "requirements/dev.lock", "requirements/dev.in", "setup.cfg"])
def test_no_file_that_installs_names_a_package_index(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.findall(r"https?://\S+|pypi\.org|(?<!no-emit-)(?<!no-)index-url", text) == []


def test_pyproject_says_how_to_build_and_nothing_else() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert [line.split(" ")[0] for line in text.splitlines()] == [
        "[build-system]",
        "requires",
        "build-backend",
    ]


def test_every_file_that_the_coverage_gate_names_is_there_and_is_measured() -> None:
    """Coverage is silent about a file that nobody imports; imported here, it counts as not covered."""
    named = lines(settings()["coverage:run"]["include"])
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).is_file()] == []
    for name in named:
        importlib.import_module(name.removesuffix(".py").replace("/", "."))


# --- ./dev ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dev() -> ModuleType:
    loader = SourceFileLoader("dev_under_test", str(ROOT / "dev"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Without this a dev_under_test.pyc would be written beside ./dev.
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def run_dev(*arguments: str, root: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, str(root / "dev"), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def test_dev_is_executable_and_imports_the_standard_library_only() -> None:
    assert os.access(ROOT / "dev", os.X_OK)
    tree = ast.parse((ROOT / "dev").read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in names if name.split(".")[0] not in sys.stdlib_module_names} == set()


def test_help_names_every_command_and_prints_chinese_in_the_c_locale(dev: ModuleType) -> None:
    done = run_dev("--help", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode("utf-8")
    assert "互证" in text
    assert [name for name in dev.COMMANDS if f"./dev {name} " not in text] == []


def test_an_unknown_command_is_refused_with_the_known_ones() -> None:
    done = run_dev("tset")
    assert done.returncode == 2
    assert b"'tset'" in done.stderr
    assert b"test" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "selected"),
    [
        ([], False),
        (["-x", "--durations=10", "--maxfail=3"], False),
        (["-p", "no:randomly"], False),
        (["tests/test_skeleton.py::test_help"], True),
        (["-k", "help"], True),
        (["-mfull"], True),
        (["--lf"], True),
    ],
)
def test_the_coverage_gate_judges_whole_runs_only(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, arguments: list[str], selected: bool
) -> None:
    monkeypatch.chdir(ROOT)
    assert dev.selects(arguments) is selected


def test_pip_too_old_to_fill_another_venv_is_not_used(dev: ModuleType) -> None:
    assert dev.release("22.2.1") < dev.PIP_WITH_PYTHON <= dev.release("22.3") < dev.release("26.1rc1")


def test_a_plain_user_without_sudo_gets_the_line_to_type(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuses(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command == ["sudo", "-n", "true"]
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(dev.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(dev.os.path, "realpath", lambda path: "/usr/bin/python3.11")
    monkeypatch.setattr(dev.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(dev.subprocess, "run", refuses)
    with pytest.raises(SystemExit, match="1"):
        dev.get_venv_from_debian("/usr/bin/python3")
    assert capsys.readouterr().err.endswith("type: sudo apt-get install -y python3-venv\n")


def small_wheel(folder: Path) -> str:
    """Write a wheel of one module, return its line for a lock."""
    folder.mkdir()
    path = folder / "pebble-1.0-py3-none-any.whl"
    members = {
        "pebble.py": "WORD = '互证'\n",
        "pebble-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: pebble\nVersion: 1.0\n",
        "pebble-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text.encode())}\n"
        archive.writestr("pebble-1.0.dist-info/RECORD", record + "pebble-1.0.dist-info/RECORD,,\n")
    return f"pebble==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A checkout whose lock names one package, kept in a wheelhouse, and whose bench prints a word of it."""
    if importlib.util.find_spec("ensurepip") is None:
        pytest.skip("this Python has no ensurepip (Debian: apt-get install python3-venv)")
    root = tmp_path / "checkout"
    (root / "requirements").mkdir(parents=True)
    (root / "bench").mkdir()
    (root / "bench" / "__main__.py").write_text("import sys, pebble\nprint(pebble.WORD, *sys.argv[1:])\n", "utf-8")
    for name in ("dev", "setup.cfg", "pyproject.toml"):
        shutil.copy2(ROOT / name, root / name)
    (root / "requirements" / "dev.lock").write_text(small_wheel(tmp_path / "wheelhouse"), "utf-8")
    yield root
    shutil.rmtree(root)


@pytest.mark.full
def test_dev_prepares_once_completes_what_is_there_and_waits_for_another_shell(checkout: Path) -> None:
    wheelhouse = str(checkout.parent / "wheelhouse")
    first = run_dev("bench", "one", root=checkout, HUZHENG_WHEELHOUSE=wheelhouse, LC_ALL="C")
    assert (first.returncode, first.stdout.decode()) == (0, "互证 one\n")
    assert b"making .venv" in first.stderr
    assert b"WARNING" not in first.stderr

    again = run_dev("bench", "two", root=checkout)
    assert (again.returncode, again.stdout.decode(), again.stderr) == (0, "互证 two\n", b"")

    # Another setup.cfg: the same .venv is kept and completed, after the shell that holds the lock lets go.
    (checkout / "setup.cfg").write_text("[metadata]\nname = other\n", "utf-8")
    with (checkout / "var" / "set-up.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = subprocess.Popen(
            [sys.executable, str(checkout / "dev"), "bench", "three"],
            env={"PATH": os.environ["PATH"], "HUZHENG_WHEELHOUSE": wheelhouse},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert waiting.stderr is not None
        assert b"another shell" in waiting.stderr.readline()
        fcntl.flock(held, fcntl.LOCK_UN)
        out, err = waiting.communicate(timeout=120)
    assert (waiting.returncode, out.decode()) == (0, "互证 three\n")
    assert b"making .venv" not in err
    assert b"ready" in err


@pytest.mark.full
def test_a_package_with_another_hash_stops_dev_with_the_words_of_pip(checkout: Path) -> None:
    lock = checkout / "requirements" / "dev.lock"
    lock.write_text(re.sub(r"sha256:\w{4}", "sha256:0000", lock.read_text("utf-8")), "utf-8")
    done = run_dev("bench", root=checkout, HUZHENG_WHEELHOUSE=str(checkout.parent / "wheelhouse"))
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert re.search(rb"Expected sha256 0000\w{60}", done.stderr)
    assert not (checkout / ".venv" / "huzheng.stamp").exists()


# --- the package ----------------------------------------------------------------------------------


def build_wheel(folder: Path) -> Path:
    """A wheel of the rooms, built in a copy, since a build leaves its own folders beside the sources."""
    source = folder / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source / name)
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index"]
    subprocess.run([*command, "-w", str(folder / "dist"), str(source)], check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("huzheng-*.whl")
    return wheel


@pytest.mark.full
def test_the_wheel_holds_every_file_and_its_programs_run(tmp_path: Path) -> None:
    if absent := [room for room in ROOMS[1:] if not (ROOT / room / "__main__.py").exists()]:
        pytest.skip(f"no __main__ yet in {', '.join(absent)}")
    wheel = build_wheel(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    sources = (path for room in ROOMS for path in (ROOT / room).rglob("*") if path.is_file())
    names = {str(path.relative_to(ROOT)) for path in sources if "__pycache__" not in path.parts}
    assert names - packed == set()

    # An empty environment that sees this one's libraries and not its .pth files, so not this checkout.
    place = tmp_path / "place"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = place / "bin" / "python"
    (site,) = (place / "lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text(str(Path(pytest.__file__).parent.parent) + "\n", encoding="utf-8")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)

    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    for program in ("wallet-api", "verifier", "scanner-kiosk"):
        done = subprocess.run(
            [str(place / "bin" / program), "--help"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (program, done.returncode, done.stderr) == (program, 0, "")
        assert "usage" in done.stdout.lower()
    where = [str(python), "-c", "import consent; print(consent.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(place)
