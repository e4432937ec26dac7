"""Loading of plugin files and packages, and one-line errors for those that do not load."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rewards import registry
from rewards.errors import MissingModuleError, RewardError
from rewards.plugins import loading
from rewards.plugins.loading import broken_packages, list_rewards, load
from tests.rewards.conftest import Plugin

FUNCTION = """
@register("mine")
def mine(data_source, solution_str, ground_truth, extra_info, *, bonus: float = 0.5):
    "Half of everything."
    return bonus
"""


def test_file_provides_its_rewards(plugin: Plugin) -> None:
    path = plugin(FUNCTION)
    found = load("mine", path)
    assert (found.name, found.source, found.help, found.options) == (
        "mine",
        f"file {path}",
        "Half of everything.",
        {"bonus": 0.5},
    )
    assert found.location == f"{path}:3"
    assert found in list_rewards(path)
    assert "mine" not in {each.name for each in list_rewards()}, "a file's rewards must not be registered globally"


def test_file_is_imported_once(plugin: Plugin, tmp_path: Path) -> None:
    path = plugin(f"open({str(tmp_path / 'log')!r}, 'a').write('x')" + FUNCTION)
    assert load("mine", path) is load("mine", str(path))
    assert (tmp_path / "log").read_text() == "x"


def test_two_files_may_have_the_same_name_and_the_same_reward(plugin: Plugin) -> None:
    one = plugin(FUNCTION.replace("Half", "One"), "one/reward.py")
    two = plugin(FUNCTION.replace("Half", "Two"), "two/reward.py")
    assert [load("mine", path).help for path in (one, two)] == ["One of everything.", "Two of everything."]


def test_neighbouring_files_can_be_imported_and_read(plugin: Plugin, tmp_path: Path) -> None:
    for folder, value in (("one", 1.0), ("two", 2.0)):
        plugin(f"VALUE = {value}", f"{folder}/neighbour.py")
        plugin("", f"{folder}/note.txt").write_text(folder)
        text = "from pathlib import Path\nimport neighbour\n" + FUNCTION.replace("return bonus", "return neighbour.VALUE")
        plugin(text + "    \nNOTE = Path(__file__).with_name('note.txt').read_text()", f"{folder}/reward.py")
    path = list(sys.path)
    found = [load("mine", tmp_path / folder / "reward.py") for folder in ("one", "two")]
    assert [each.function("", "", "", {}) for each in found] == [1.0, 2.0]
    assert [each.function.__globals__["NOTE"] for each in found] == ["one", "two"]
    assert sys.path == path


def test_classes_of_a_file_can_be_pickled(plugin: Plugin) -> None:
    path = plugin("from dataclasses import dataclass\n@dataclass\nclass Thing:\n    a: int\n" + FUNCTION)
    thing = load("mine", path).function.__globals__["Thing"](3)
    assert pickle.loads(pickle.dumps(thing)) == thing


def test_file_can_use_built_in_rewards(plugin: Plugin) -> None:
    path = plugin(
        "from rewards.plugins.loading import load\nBASE = load('white_box')\nimport rewards.builtin.code_tests\n" + FUNCTION
    )
    assert set(loading.load_file(path)) == {"mine"}
    assert load("code_tests").source == "built-in"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n", "{path}:2: does not import: SyntaxError: '(' was never closed"),
        ("if 1:\n  x = 1\n y = 2\n", "{path}:4: does not import: IndentationError: unindent does not match any outer"),
        ("\nx = 1 / 0\n", "{path}:3: does not import: ZeroDivisionError: division by zero"),
        ("def f():\n    raise KeyError('a\\nb')\nf()\n", "{path}:3: does not import: KeyError: 'a\\nb'"),
        ("raise SystemExit(3)\n", "{path}:2: does not import: SystemExit: 3"),
        ("class Odd(BaseException): ...\nraise Odd\n", "{path}:3: does not import: Odd"),
        ("import json\njson.loads('{')\n", "{path}:3: does not import: JSONDecodeError: Expecting property name enclosed in"),
        ("from rewards.registry import nothing_like_it\n", "{path}:2: does not import: ImportError: cannot import name"),
        ("x = 1\n", '{path} registers no reward; put @register("name") before its function'),
        ("@register('mien')\ndef f(**kwargs): ...\n", "{path} registers no reward called 'mine'; did you mean 'mien'?"),
        ("@register('mine')\ndef f(text): ...\n", "{path}:2: reward mine ({path}:2) has no parameter data_source; expected ("),
        (FUNCTION + FUNCTION, "{path}:8: two rewards are called 'mine': {path}:3 and {path}:8"),
        ("@register('white_box')\ndef f(**kwargs): ...\n", "{path}:2: two rewards are called 'white_box': "),
        ("@register\ndef f(**kwargs): ...\n", '{path}:2: write @register("name"), with the reward\'s name'),
        ("@register()\ndef f(**kwargs): ...\n", "{path}:2: does not import: TypeError: register() missing 1 required"),
    ],
)
def test_broken_file_is_one_line_with_its_location(plugin: Plugin, text: str, message: str) -> None:
    path = plugin(text)
    for _ in range(2):
        with pytest.raises(RewardError) as caught:
            load("mine", path)
        assert message.format(path=path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_error_in_a_neighbouring_file_names_its_line(plugin: Plugin) -> None:
    plugin("x = nothing\n", "helper_of_mine.py")
    path = plugin("import helper_of_mine\n" + FUNCTION)
    with pytest.raises(RewardError) as caught:
        load("mine", path)
    assert (
        str(caught.value)
        == f"{path.with_name('helper_of_mine.py')}:2: does not import: NameError: name 'nothing' is not defined"
    )


def test_file_that_is_not_python(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RewardError, match="does not import: "):
        load("mine", path)


def test_missing_package_has_its_own_error(plugin: Plugin) -> None:
    path = plugin("import no_such_package.part\n" + FUNCTION)
    with pytest.raises(MissingModuleError) as caught:
        load("mine", path)
    assert str(caught.value) == f"{path}:2: does not import: ModuleNotFoundError: No module named 'no_such_package'"


def test_missing_file(plugin: Plugin, tmp_path: Path) -> None:
    path = plugin(FUNCTION)
    for wrong, message in [
        (tmp_path / "mien.py", f"plugin file {tmp_path / 'mien.py'} not found; did you mean '{path}'?"),
        (tmp_path, f"{tmp_path} is a folder; expected a Python file that registers a reward"),
        (tmp_path / "no" / "mine.py", f"plugin file {tmp_path / 'no' / 'mine.py'} not found; only {tmp_path} exists"),
    ]:
        with pytest.raises(RewardError) as caught:
            load("mine", wrong)
        assert str(caught.value) == message


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Install packages with entry points into a folder on the path, for one test."""
    before = dict(registry.REWARDS)
    monkeypatch.setattr(loading, "_packages", None)
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, module: str, points: str) -> None:
        (tmp_path / f"{name.replace('-', '_')}.py").write_text(module)
        info = tmp_path / f"{name.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{loading.GROUP}]\n{points}\n")
        importlib.invalidate_caches()

    yield install
    registry.REWARDS.clear()
    registry.REWARDS.update(before)


REWARD = """
from rewards.registry import register

@register('{name}', ready=print)
def f(**kwargs):
    return 1.0
"""


def test_package_provides_rewards(package: Any) -> None:
    package("pack-one", REWARD.format(name="afar"), "any = pack_one")
    package("pack-two", "def score(**kwargs):\n    return 1.0\n", "plain = pack_two:score")
    assert load("afar").source == "package pack-one 1.2"
    assert load("afar").ready is print
    assert load("plain").source == "package pack-two 1.2"
    assert broken_packages() == ()


FUNCTIONS = """
import functools
from rewards.registry import register

def check(): ...
def answer(ground_truth, extra_info): ...

def wrap(function):
    @functools.wraps(function)
    def inner(**kwargs):
        return function(**kwargs)
    return inner

@register('one', ready=check, reference=answer)
def one(**kwargs):
    return 1.0

@register('two', ready=check, reference=answer)
def two(**kwargs):
    return 1.0

@wrap
@register('three', ready=check, reference=answer)
def three(**kwargs):
    return 1.0
"""


@pytest.mark.parametrize(
    "points",
    [
        "one = pack_many:one\ntwo = pack_many:two\nthree = pack_many:three",
        "first = pack_many\nother = pack_many\n",
        "all = pack_many\ntwo = pack_many:two",
        "three = pack_many:three",
    ],
)
@pytest.mark.parametrize("imported", [False, True])
def test_rewards_of_one_module_keep_what_they_registered(
    package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: str, imported: bool
) -> None:
    """Only the first import of a module registers rewards, also an import by a reward file."""
    monkeypatch.delitem(sys.modules, "pack_many", raising=False)
    package("pack-many", FUNCTIONS, points)
    if imported:
        (tmp_path / "own.py").write_text(f"import pack_many\nfrom rewards.registry import register\n{FUNCTION}")
        loading.load_file(tmp_path / "own.py")
    assert broken_packages() == ()
    for name in ("one", "two", "three"):
        found = load(name)
        assert (found.name, found.source) == (name, "package pack-many 1.2")
        assert found.ready is not None and found.ready.__name__ == "check"
        assert found.reference is not None and found.cheats is None


def test_entry_point_may_rename_a_reward(package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pack_many", raising=False)
    package("pack-many", FUNCTIONS, "renamed = pack_many:two")
    found = load("renamed")
    assert found.ready is not None and found.ready.__name__ == "check"
    assert found.function is load("two").function


def test_module_may_offer_the_rewards_of_others(package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pack_many", "pack_front"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    package("pack-front", "from pack_many import one", "front = pack_front")
    package("pack-many", FUNCTIONS, "many = pack_many")
    assert broken_packages() == ()
    assert load("one").ready is not None


def test_broken_package_is_one_line_and_does_not_affect_others(package: Any) -> None:
    package("pack-a", "import no_such_package\n", "a = pack_a")
    package("pack-b", REWARD.format(name="white_box"), "b = pack_b")
    package("pack-c", "x = 1\n", "c = pack_c")
    package("pack-d", "x = 1\n", "d = pack_d:y")
    package("pack-e", REWARD.format(name="good"), "e = pack_e")
    package("pack-f", REWARD.format(name="good"), "f = pack_f")
    package("pack-g", "raise SystemExit\n", "g = pack_g")
    lines = sorted(broken_packages())
    taken = [line for line in lines if "two rewards are called 'good'" in line]
    assert len(taken) == 1 and taken[0].startswith(("package pack-e", "package pack-f"))
    lines.remove(taken[0])
    assert [line.partition(" does not load: ") for line in lines if "white_box" not in line] == [
        ("package pack-a 1.2: reward a = pack_a", " does not load: ", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("package pack-c 1.2: reward c = pack_c", " does not load: ", "it registers no reward"),
        (
            "package pack-d 1.2: reward d = pack_d:y",
            " does not load: ",
            "AttributeError: module 'pack_d' has no attribute 'y'",
        ),
        ("package pack-g 1.2: reward g = pack_g", " does not load: ", "SystemExit"),
    ]
    assert any(
        line.startswith("package pack-b 1.2: reward b = pack_b does not load: two rewards are called 'white_box'")
        for line in lines
    )
    assert load("good").name == "good"
    assert load("white_box").source == "built-in"
    with pytest.raises(RewardError, match=r"no reward is called 'a'.*package pack-a 1\.2: reward a = pack_a does not load"):
        load("a")


def test_built_in_reward_loads_without_packages() -> None:
    code = "from rewards.plugins import loading; loading.load('white_box'); assert loading._packages is None"
    subprocess.run([sys.executable, "-c", code], check=True)
