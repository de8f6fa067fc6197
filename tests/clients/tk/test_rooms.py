"""Who may know whom in the popup client: the model knows no Tk, views only draw, and one bridge stands between the two threads."""

import pytest

from tests.test_layers import ROOT

TK = ROOT / "clients" / "tk"
WITHOUT_WINDOWS = ("model", "disk", "engine")  # these work without a display


def imports(path: str) -> set[str]:
    """Every module that one of the client's modules names in an import, as it is written."""
    lines = (TK / path).read_text(encoding="utf-8").splitlines()
    return {line.split()[1] for line in lines if line.lstrip().startswith(("import ", "from "))}


@pytest.mark.parametrize("path", sorted(f"{room}/{path.name}" for room in WITHOUT_WINDOWS for path in (TK / room).glob("*.py")))
def test_only_the_windows_know_tk(path: str) -> None:
    for name in imports(path):
        assert not name.startswith(("tkinter", "sv_ttk", "clients.tk.views", "clients.tk.windows")), name


@pytest.mark.parametrize("path", sorted(f"views/{path.name}" for path in (TK / "views").glob("*.py")))
def test_views_only_draw(path: str) -> None:
    for name in imports(path):
        assert not name.startswith(("flash_sdk", "asyncio", "sqlite3", "aiohttp", "clients.tk.engine", "clients.tk.disk")), name
    assert "Engine" not in (TK / "windows.py").read_text(encoding="utf-8")
