"""What is in the repository, for tests that read it. Rule: the same answer in a git checkout and in an unpacked archive."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

MADE = {"__pycache__", "node_modules", "build", "dist", "data"}  # what an archive's reader may have made since; git knows by itself


@cache
def files() -> tuple[Path, ...]:
    """Every file that is or could be committed (not ignored), relative to `ROOT`, sorted."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode == 0:
        found = [Path(name) for name in listing.stdout.split("\0") if name]
    else:
        found = [path.relative_to(ROOT) for path in ROOT.rglob("*")]
        found = [path for path in found if not any(part in MADE or _hidden(part) for part in path.parts)]
    return tuple(sorted(path for path in found if (ROOT / path).is_file()))


def _hidden(part: str) -> bool:
    return part.endswith(".egg-info") or (part.startswith(".") and part not in {".ci", ".gitignore", ".github"})


def text(path: Path) -> str:
    """The file's text; bytes that are not UTF-8 are replaced, so that any file can be searched."""
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def modules() -> list[Path]:
    """Every Python file that is not a test."""
    return [path for path in files() if path.suffix == ".py" and path.parts[0] != "tests"]


def pages() -> list[Path]:
    """Every Markdown page."""
    return [path for path in files() if path.suffix == ".md"]
