"""Tables of other projects: every row is known by its line, whatever stands between the rows."""

from __future__ import annotations

import pytest

from recbole_guider.data.names import NO_VALUE, why_unreadable
from recbole_guider.data.prepare.reading.table import read_table
from recbole_guider.errors import InputError


def read(tmp_path, text, **options):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    table = read_table(path, **options)
    return table.to_numpy().tolist(), table.index.tolist()


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system(ends, tmp_path):
    text = ends.join(["a,b", "1,2", "3,4"])
    for end in ("", ends, 3 * ends):
        assert read(tmp_path, text + end) == ([["1", "2"], ["3", "4"]], [2, 3])


def test_quoted_cells_hold_separators_and_line_breaks(tmp_path):
    text = 'a,b\n1,"x, ""y""\nz"\n2,w\n\n\n'
    assert read(tmp_path, text) == ([["1", 'x, "y"\nz'], ["2", "w"]], [2, 4])


@pytest.mark.parametrize("quoted", ["x", '"x"'])
def test_a_blank_line_is_no_row_but_at_the_end(quoted, tmp_path):
    with pytest.raises(InputError, match=r"t\.csv:3: has 1 columns; expected 2"):
        read(tmp_path, f"a,b\n1,{quoted}\n\n2,y\n")
    rows = [["1"], [""], [""], ["2"]]
    assert read(tmp_path, "a\n1\n\n\n2\n\n", separator=",") == (rows, [2, 3, 4, 5])
    text = 'a\n"1"\n\n\n2\n\n'
    assert read(tmp_path, text, separator=",") == (rows, [2, 3, 4, 5])


def test_a_separator_of_two_characters(tmp_path):
    text = "1::A: \tB::5\n2::C::4\n"
    rows = [["1", "A:  B", "5"], ["2", "C", "4"]]
    options = {"separator": "::", "names": ["item", "title", "n"], "quoted": False}
    assert read(tmp_path, text, **options) == (rows, [1, 2])
    long = "".join(f"{k}::{'x' * 50}::{k}\n" for k in range(20000))  # more than pandas asks for
    rows, lines = read(tmp_path, long, **options)
    assert rows == [[str(k), "x" * 50, str(k)] for k in range(20000)]
    assert lines == list(range(1, 20001))


def test_names_that_recbole_would_read_as_others():
    for name in NO_VALUE | {' "a', '"a', "a ", "a\tb", "a\nb", "a\0"}:
        assert why_unreadable(name), name
    for name in ("a", "0", "Weird \"Al\"", "na", "none", "inf"):  # fmt: skip
        assert not why_unreadable(name), name
