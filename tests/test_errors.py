import pytest

from ssnan.errors import UserError, printable, quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä × 3", "plain ä × 3"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\udcff", r"\udcff"),
        ("\u202egpj", r"\u202egpj"),
        ("\u2028", r"\u2028"),
    ],
)
def test_what_a_terminal_would_act_on_is_written_out(text, shown):
    assert printable(text) == shown
    assert str(UserError(text)) == shown
    assert printable(printable(text)) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a/b-c_1.jpg", "a/b-c_1.jpg"),
        ("ä.jpg", "ä.jpg"),
        ("a b.jpg", "'a b.jpg'"),
        ("", "''"),
        ("\x1b.jpg", r"'\x1b.jpg'"),
    ],
)
def test_names_that_are_not_plain_are_quoted(name, shown):
    assert quoted(name) == shown
