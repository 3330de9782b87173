"""The house: maps, links and folders agree; heavy packages stay in their rooms; tracked files name no machine."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parents[1]
LINKS = ROOT / "src" / "redbutton"
ROOMS = (
    "estop",
    "robots",
    "sandbox",
    "envs",
    "llm_controller",
    "hardware",
    "experiments",
    "baselines",
    "organisms",
    "cli",
)


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("not a checkout: pyproject.toml is missing")
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return settings


@pytest.fixture(scope="module")
def package_dir(project: dict[str, Any]) -> dict[str, str]:
    folders: dict[str, str] = project["tool"]["setuptools"]["package-dir"]
    return folders


# -- map, links, folders ---------------------------------------------------------------------------------------


def test_the_list_of_packages_and_the_map_of_folders_agree(
    project: dict[str, Any], package_dir: dict[str, str]
) -> None:
    packages = project["tool"]["setuptools"]["packages"]
    assert len(packages) == len(set(packages))
    assert set(packages) == set(package_dir)
    assert {f"redbutton.{room}" for room in ROOMS} <= set(packages)


def test_every_package_is_a_folder_with_a_docstring(package_dir: dict[str, str]) -> None:
    for package, folder in package_dir.items():
        init = ROOT / folder / "__init__.py"
        assert init.is_file(), package
        assert ast.get_docstring(ast.parse(init.read_text("utf-8"))), package


def test_every_link_is_relative_and_leads_to_the_mapped_folder(package_dir: dict[str, str]) -> None:
    links = {path.name: path for path in LINKS.iterdir() if path.is_symlink()}
    top = {package.split(".", 1)[1]: folder for package, folder in package_dir.items() if package.count(".") == 1}
    assert set(links) == set(top)
    for name, link in links.items():
        assert not link.readlink().is_absolute()
        assert link.resolve() == ROOT / top[name]


def test_the_map_of_a_package_inside_a_room_follows_the_room(package_dir: dict[str, str]) -> None:
    for package, folder in package_dir.items():
        if package.count(".") == 2:
            parent, name = package.rsplit(".", 1)
            assert folder == f"{package_dir[parent]}/{name}"


def test_every_folder_with_python_files_in_a_room_is_a_listed_package(package_dir: dict[str, str]) -> None:
    for room in ROOMS:
        for file in _python(ROOT / room):
            assert str(file.parent.relative_to(ROOT)) in package_dir.values(), file


def test_bare_imports_of_every_room_are_banned(project: dict[str, Any]) -> None:
    banned = project["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    assert set(ROOMS) <= set(banned)


# -- who imports what ------------------------------------------------------------------------------------------


def _python(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.py")) if "__pycache__" not in path.parts]


def _sources() -> Iterator[Path]:
    for room in ROOMS:
        yield from _python(ROOT / room)
    yield from (LINKS / name for name in ("__init__.py", "__main__.py"))


def _imports(path: Path) -> set[str]:
    """Full names of everything that a file imports, at the top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write redbutton.… instead of a relative import"
            found.add(node.module or "")
    return found


def _users(package: str) -> list[str]:
    """Files that import a package or a part of it, from the repository's root."""
    return [
        str(path.relative_to(ROOT))
        for path in _sources()
        if any(name == package or name.startswith(f"{package}.") for name in _imports(path))
    ]


def test_the_scan_sees_imports_inside_functions() -> None:
    assert "robots/engine.py" in _users("pybullet")
    assert "robots/calls.py" in _users("jsonschema")


def test_the_physics_engine_is_imported_in_exactly_one_file() -> None:
    assert len(_users("pybullet")) == 1
    assert _users("pybullet_data") == []


@pytest.mark.parametrize(
    ("package", "rooms"),
    [
        ("rclpy", {"hardware"}),
        ("torch", {"baselines", "organisms"}),
        ("stable_baselines3", {"baselines"}),
        ("sb3_contrib", {"baselines"}),
        ("ollama", {"llm_controller", "cli"}),
        ("xllamacpp", {"llm_controller"}),
        ("gguf", {"organisms"}),
    ],
)
def test_a_heavy_package_stays_in_its_rooms(package: str, rooms: set[str]) -> None:
    assert {user.split("/")[0] for user in _users(package)} <= rooms


def test_inspect_is_imported_in_exactly_one_file_of_two_rooms() -> None:
    assert _users("inspect_ai") == ["llm_controller/inspect_brain.py", "experiments/inspect_logs.py"]


ALLOWED = {
    "estop": {"estop"},
    "robots": {"robots", "estop"},
    "envs": {"envs", "robots", "estop", "sandbox"},
    "llm_controller": {"llm_controller", "robots", "estop"},
    "hardware": {"hardware", "envs", "robots", "estop"},
}


@pytest.mark.parametrize("room", list(ALLOWED))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    for path in _python(ROOT / room):
        used = {name.split(".")[1] for name in _imports(path) if name.startswith("redbutton.")}
        assert used <= ALLOWED[room], path


def test_the_stop_chain_needs_the_standard_library_only() -> None:
    for path in _python(ROOT / "estop"):
        outside = {name.split(".")[0] for name in _imports(path)} - {"redbutton"}
        assert outside <= set(sys.stdlib_module_names), path


@pytest.mark.parametrize("module", ["gate", "latch", "chain", "monitor"])
def test_no_controller_imports_a_link_of_the_stop(module: str) -> None:
    for path in _python(ROOT / "llm_controller"):
        assert f"redbutton.estop.{module}" not in _imports(path), path


HEAVY = ("pybullet", "torch", "rclpy", "inspect_ai", "ollama", "pyarrow", "PIL", "jinja2", "pydantic")


def test_importing_the_package_registers_the_ids_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, redbutton, gymnasium\n"
        "assert 'redbutton/CoffeeFetch-v0' in gymnasium.registry\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_import_contracts_hold(project: dict[str, Any]) -> None:
    if "importlinter" not in project["tool"]:
        pytest.skip("pyproject.toml has no section [tool.importlinter]")
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        pytest.skip("import-linter is not installed (pip install 'redbutton[dev]')")
    done = subprocess.run([str(tool), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# -- what must not stand in a tracked file ---------------------------------------------------------------------

TEXT = {".py", ".toml", ".md", ".yaml", ".yml", ".json", ".html", ".css", ".js", ".txt", ".cfg", ".sh", ""}
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:work|root|home/(?!robot/)\w+|Users/\w+)/[\w.]")
"""The home of the robot's own computer, which lies in a sandbox, is no path of a machine."""
REGISTRY = re.compile(
    "(?:index|registry)" + r"[-_]?url\s*[=:]|/api/" + r"pypi/|https?://\S+/simple/?(?:[\s\"']|$)", re.I
)


def _tracked() -> list[Path]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    files = [ROOT / name for name in names.stdout.split("\0") if name]
    here = Path(__file__).resolve()  # which holds examples of what must not be there
    return [f for f in files if f.is_file() and not f.is_symlink() and f.suffix in TEXT and f != here]


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY], ids=["path of a machine", "address of a registry"])
def test_no_tracked_file_names_a_machine_or_a_registry(pattern: re.Pattern[str]) -> None:
    found = []
    for path in _tracked():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


@pytest.mark.parametrize("text", ["x = '/root/x'", "see /home/ann/runs", "(/work/x)", "/Users/me/.venv"])
def test_the_pattern_for_paths_finds_one(text: str) -> None:
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize(
    "text", ["/home/", "/home/robot/notes", "a/work/x", "docs/root/x", "https://x.org/home/ann/y", "/estop_latch/reset"]
)
def test_the_pattern_for_paths_leaves_other_text_alone(text: str) -> None:
    assert not MACHINE_PATH.search(text)


def test_the_pattern_for_registries_finds_one() -> None:
    assert REGISTRY.search("index" + "-url = x")
    assert REGISTRY.search("https://example.org/api" + "/pypi/x")
    assert REGISTRY.search("https://example.org" + "/simple/")
    assert not REGISTRY.search("pip install redbutton")


@pytest.mark.xdist_group("house")
def test_tests_of_one_group_share_a_worker(request: pytest.FixtureRequest) -> None:
    """Tests that measure time disturb each other where this is lost, as it is with pytest 9.2 and pytest-xdist 3.8."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("not run with --dist loadgroup")
    assert request.node.nodeid.endswith("@house")
