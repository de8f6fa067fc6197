"""The pages tell the truth: links lead somewhere, commands exist, settings are listed. Rule: compare with the tree, never with a copy."""

import re
from pathlib import Path
from urllib.parse import unquote

from tests.docs import tree

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
MAKE = re.compile(r"^\s*(?:\$ )?make ([a-z][a-z-]*)|`make ([a-z][a-z-]*)[^`]*`", re.MULTILINE)
SETTING = re.compile(r"\bFLASH_[A-Z][A-Z0-9_]*[A-Z0-9]\b")
SETTINGS_PAGE = Path("docs/settings.md")


def links(page: Path) -> list[str]:
    """The targets of the page's links, without those in code and those that lead elsewhere (`https:`, `mailto:`)."""
    prose = CODE.sub("", FENCE.sub("", tree.text(page)))
    targets = [inline or reference for inline, reference in LINK.findall(prose)]
    return [target for target in targets if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def anchors(page: Path) -> set[str]:
    """What a `#fragment` of this page may be: its headings, the way forges spell them."""
    headings = HEADING.findall(FENCE.sub("", tree.text(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, target: str) -> bool:
    address, _, fragment = target.partition("#")
    found = (tree.ROOT / page.parent / unquote(address)).resolve() if address else tree.ROOT / page
    if not found.exists() or not found.is_relative_to(tree.ROOT):
        return True
    return bool(fragment) and found.suffix == ".md" and fragment not in anchors(found.relative_to(tree.ROOT))


def test_every_link_between_pages_leads_somewhere() -> None:
    lost = [f"{page}: {target}" for page in tree.pages() for target in links(page) if broken(page, target)]
    assert not lost


def test_every_decision_has_a_number_of_its_own_and_stands_in_the_list() -> None:
    decisions = sorted(page for page in tree.pages() if page.parent == Path("docs/decisions") and page.name != "README.md")
    titles = {page.name: tree.text(page).partition("\n")[0].removeprefix("# ") for page in decisions}
    assert (
        [int(title.partition(".")[0]) for title in titles.values()] == [int(name[:4]) for name in titles] == list(range(1, len(titles) + 1))
    )
    listed = re.findall(r"^(\d+\. )\[(.+)\]\((.+\.md)\)", tree.text(Path("docs/decisions/README.md")), re.MULTILINE)
    assert {name: number + title for number, title, name in listed} == titles


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", tree.text(Path("Makefile")), re.MULTILINE))


def test_every_make_command_in_the_pages_is_a_target() -> None:
    named = {(str(page), a or b) for page in tree.pages() for a, b in MAKE.findall(tree.text(page))}
    assert not [f"{page}: make {target}" for page, target in sorted(named) if target not in make_targets()]


def test_the_readme_starts_with_two_commands() -> None:
    readme = tree.text(Path("README.md"))
    assert {"run", "test"} <= {a or b for a, b in MAKE.findall(readme)}
    assert {"run", "test"} <= make_targets()


def test_the_changelog_has_one_unreleased_section() -> None:
    assert tree.text(Path("CHANGELOG.md")).count("\n## [Unreleased]\n") == 1


def documented_settings() -> set[str]:
    """Without the `_FILE` variants, of which each server's setting has one."""
    return {name.removesuffix("_FILE") for name in SETTING.findall(tree.text(SETTINGS_PAGE))} if SETTINGS_PAGE in tree.files() else set()


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    sources = [path for path in tree.files() if path.suffix != ".md" and path.parts[0] != "docs" and path.parts[:2] != ("tests", "docs")]
    used = {name.removesuffix("_FILE") for path in sources for name in SETTING.findall(tree.text(path))}
    documented = documented_settings()
    assert not used - documented, "used, but not in docs/settings.md"
    assert not documented - used, "in docs/settings.md, but nothing reads it"


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    documented = documented_settings()
    strays = [
        f"{page}: {name}"
        for page in tree.pages()
        for name in SETTING.findall(tree.text(page))
        if name.removesuffix("_FILE") not in documented
    ]
    assert not strays
