"""README.md, docs/ and the headers of configs/: links, file names, Python names and commands exist. Nothing is run."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

import gan_jax
from gan_jax.cli.arguments import build_parser
from gan_jax.cli.parser import UsageError, split_overrides
from gan_jax.experiment.configs import config_names, load, split_remedies
from gan_jax.experiment.remedies import REMEDIES
from gan_jax.experiment.settings import override_all

ROOT = Path(gan_jax.__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*(#MEMBER)?(@STEP)?(/.*)?|\$.*")
"""A word of capitals, or a variable of a shell, stands for what a user gives."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
each_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.stem)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", without_code(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_relative_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text_of(page))):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = page if not name else page.parent / name
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(text_of(linked)), f"{page.name} links to {target}, which has no such heading"


@pytest.mark.parametrize("page", [*PAGES, *CONFIGS], ids=lambda page: page.name)
def test_named_files_exist(page):
    folders = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] not in "._")
    for name in re.findall(rf"(?<![\w/.-])(?:{folders})/[\w./-]*\w\w", text_of(page)):
        if not name.startswith("runs/"):
            assert (ROOT / name).exists(), f"{page.name} names {name}"


@each_page
def test_named_modules_and_functions_exist(page):
    text = text_of(page)
    for name in set(re.findall(r"(?<![\w/.-])gan_jax(?:\.\w+)+", text)):
        if not name.endswith((".py", ".pyi")):
            assert is_importable(name), f"{page.name} names {name}"
    for name in set(re.findall(r"(?<![\w/.-])gj\.(\w+)", text)):
        assert name in gan_jax.__all__, f"{page.name} names gj.{name}"


def is_importable(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def block_commands(text: str) -> list[str]:
    """The command lines of a page's code blocks."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    scripts = [block.replace("\\\n", " ") for language, block in blocks if language in ("", "bash", "sh", "console")]
    lines = [line.removeprefix("$ ") for script in scripts for line in script.splitlines()]
    return [part for line in lines for part in separate(line)]


def inline_commands(text: str) -> list[str]:
    """The commands in the running text of a page."""
    codes = re.findall(r"`([^`]+)`", without_code(text))
    return [part for code in codes for part in separate(" ".join(code.split()))]


def header_commands(config: Path) -> list[str]:
    """The commands in a config's docstring, each on a line of its own behind a description or none."""
    header = ast.get_docstring(ast.parse(text_of(config))) or ""
    lines = re.sub(r"[\[\]]", "", header).splitlines()
    return [part for line in lines for part in separate(re.sub(r"^.*?: +(?=gan-jax|python)", "", line.strip()))]


def separate(line: str) -> list[str]:
    """The commands of a line of a shell, without comments and remarks in brackets."""
    line = re.split(r"\s+#\s|  +\(|: ", line)[0]
    parts = [part.strip() for part in re.split(r"&&|;", line)]
    return [re.sub(r"^(?:\S*/|srun )?(?=gan-jax |python |pytest )", "", part) for part in parts]


def check(command: str, *, complete: bool) -> None:
    """Checks a command without running it.

    Args:
        command: of gan-jax or of a benchmark; others are passed over.
        complete: whether it is written with all that it needs; a mention in the text may leave something out.
    """
    if "..." in command or "|" in command:
        return
    if command.startswith("gan-jax "):
        check_gan_jax(shlex.split(command)[1:], command, complete=complete)
    elif command.startswith(("python benchmarks/", "python -m benchmarks.")):
        check_benchmark(shlex.split(command)[1:], command)


def check_gan_jax(words: list[str], command: str, *, complete: bool) -> None:
    parser, commands = build_parser()
    head = words[:2] if words[:2] == ["diagnose", "unroll"] else words[:1]
    rest, settings = ["1" if word in ("N", "STEP") else word for word in words[len(head) :]], []
    if head[-1] in ("train", "sweep", "unroll"):
        rest, settings = split_overrides(rest, commands[head[-1]].known)
    if "--help" in rest:
        rest.remove("--help")
    try:
        options = parser.parse_args([*head, *rest])
    except UsageError as error:
        if complete or "required" not in str(error):
            raise AssertionError(f"{command}: {error}") from error
        return
    config = getattr(options, "config", None)
    if config is None or PLACEHOLDER.fullmatch(config.split("+")[0]):
        return
    base, remedies = split_remedies(config)
    assert base in config_names(), f"{command}: no config {base}"
    known = [remedy for remedy in remedies if not (PLACEHOLDER.fullmatch(remedy) or remedy.endswith(".py"))]
    assert not set(known) - set(REMEDIES), f"{command}: no remedy among {known}"
    settings += [(path, values.split(",")[0]) for path, values in getattr(options, "grid", None) or ()]
    settings = [(path, value) for path, value in settings if not PLACEHOLDER.fullmatch(path)]
    override_all(load("+".join([base, *known])), settings)


def check_benchmark(words: list[str], command: str) -> None:
    """The script exists, and the options are written in it or in what benchmarks share."""
    named = words[1].replace(".", "/") + ".py" if words[0] == "-m" else words[0]
    script = ROOT / named
    if script.with_suffix("").is_dir():
        script = script.with_suffix("") / "__main__.py"
    assert script.is_file(), f"{command}: no {named}"
    known = text_of(script) + text_of(ROOT / "benchmarks" / "harness.py")
    for option in [word.partition("=")[0] for word in words if word.startswith("--")]:
        assert f'"{option}"' in known, f"{command}: no option {option}"


@each_page
def test_python_blocks_are_python(page):
    for block in re.findall(r"^```python\n(.*?)^```", text_of(page), flags=re.DOTALL | re.MULTILINE):
        if ">>>" not in block:
            ast.parse(block)


def test_the_readme_shows_the_example():
    assert text_of(ROOT / "examples" / "sixteen_seeds.py") in text_of(ROOT / "README.md")


@each_page
def test_commands_of_pages_are_understood(page):
    text = text_of(page)
    for command in block_commands(text):
        check(command, complete=True)
    for command in inline_commands(text):
        check(command, complete=False)


@each_config
def test_commands_of_configs_are_understood(config):
    for command in header_commands(config):
        check(command, complete=False)


def test_commands_are_found_and_faults_are_seen():
    block = "```\n$ gan-jax train ring   # a remark\nsrun gan-jax sweep ring --seeds 2 && x\n```\n"
    text = f"{block}and `gan-jax report\nRUN`."
    assert block_commands(text) == ["gan-jax train ring", "gan-jax sweep ring --seeds 2", "x"]
    assert inline_commands(text) == ["gan-jax report RUN"]
    check("gan-jax train ring+r1 --seed 3 --data.num-modes 6", complete=True)
    check("gan-jax evaluate --step 3", complete=False)
    for wrong in (
        "gan-jax sample",
        "gan-jax report RUN --seed 3",
        "gan-jax train rings",
        "gan-jax train ring+cure",
        "gan-jax train ring --data.num-mode 6",
        "gan-jax sweep ring --grid generator.rate 1,2",
        "python -m benchmarks.speed --arms ring",
        "python benchmarks/sped.py",
    ):
        with pytest.raises((AssertionError, ValueError)):
            check(wrong, complete=True)
    assert is_importable("gan_jax.unroll.unroll")
    assert not is_importable("gan_jax.unroll.lookahead")
