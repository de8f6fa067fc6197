"""Nothing that came over the network moves the cursor, restyles, reorders or hides."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.command_line.screen import clean, say


@pytest.mark.parametrize(
    ("received", "shown"),
    [
        ("\x1b[2Jboo", "\\x1b[2Jboo"),
        ("two\nlines\r\ttab", "two\\nlines\\r\\ttab"),
        ("\x9b31m", "\\x9b31m"),
        ("evil\u202egpj.exe", "evil\\u202egpj.exe"),
        ("\u2028\u200b\ufeff", "\\u2028\\u200b\\ufeff"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("naïve ☃ 👩\u200d💻 می\u200cخواهم", "naïve ☃ 👩\u200d💻 می\u200cخواهم"),  # noqa: RUF001 - Persian
    ],
)
def test_what_is_dangerous_is_shown_and_not_done(received: str, shown: str) -> None:
    assert clean(received) == shown


@given(st.text(st.characters(codec=None)))
def test_any_text_is_one_printable_line(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert len(cleaned.splitlines()) <= 1
    assert all(unicodedata.category(char) != "Cc" for char in cleaned)


def test_markup_of_the_terminal_library_is_only_text(capsys: pytest.CaptureFixture[str]) -> None:
    say("[bold]not bold[/bold] :smile: [link=http://x]x[/link]", (" \x1b[31m ", "red"), "x" * 200)
    assert capsys.readouterr().out == "[bold]not bold[/bold] :smile: [link=http://x]x[/link] \\x1b[31m " + "x" * 200 + "\n"
