"""Pages of frameworks: each says what was run, and every framework that is hooked has one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from docs.generate.text import ROOT
from scalesim.integrations.registry import FRAMEWORKS as HOOKS
from scalesim.integrations.registry import Version
from tests.frameworks.framework_programs import FRAMEWORKS

PAGES = {page.stem: page for page in (ROOT / "docs/tutorials/frameworks").glob("*.md")}
OTHERS = {"plain-clients"}
"""Pages that are not of a framework."""


def version(parts: Version) -> str:
    return ".".join(map(str, parts))


def test_every_framework_has_a_page_that_is_linked() -> None:
    files = {hook.file.replace("_", "-") for hook in HOOKS}
    assert PAGES.keys() == files | OTHERS
    assert FRAMEWORKS.keys() <= files
    overview = (ROOT / "docs/tutorials/03-your-framework.md").read_text()
    assert set(re.findall(r"\(frameworks/([\w-]+)\.md\)", overview)) == PAGES.keys()


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_it_says_what_is_run_by_the_integrations(name: str) -> None:
    told, program = PAGES[name].read_text(), FRAMEWORKS[name]
    command = ("scalesim", "run", "--", "python", f"examples/{program.program}")
    lines = [
        shlex.join(("pip", "install", *program.requirements)),
        shlex.join((*command, *program.arguments)),
    ]
    assert told.count("```bash\n" + "\n".join(lines) + "\n```") == 1


@pytest.mark.parametrize("page", PAGES.values(), ids=lambda page: page.stem)
def test_its_example_and_its_versions_are_there(page: Path) -> None:
    told = page.read_text()
    for file in re.findall(r"python (examples/[\w/]+\.py)", told):
        assert "scalesim run -- python" in (ROOT / file).read_text().split('"""')[1]
    for hook in HOOKS:
        if hook.distribution and hook.file == page.stem.replace("-", "_"):
            assert f"| versions | {version(hook.since)} to before {version(hook.before)} |" in told
