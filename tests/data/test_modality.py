from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recbole_guider.data import fingerprint
from recbole_guider.data.files import feature_table
from recbole_guider.data.files.feature_table import load_table
from recbole_guider.data.files.modality_file import count_rows, read_rows
from recbole_guider.data.modality import align
from recbole_guider.data.modality_choice import choose_modalities, find_modalities
from recbole_guider.errors import InputError

HEADER = "item_id:token\ttext:float_seq\n"
ITEMS = ["[PAD]", "a", "b", "c"]


def write(folder, text, name="toy.itemtext"):
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path, HEADER + "b\t1 2.5\na\t-3 4e-1\nc\t5 6\n")


def side_cars(path):
    return sorted(p.name for p in path.parent.iterdir() if p.suffix in (".npy", ".tokens"))


# Compiling


def test_rows_are_read_in_file_order_and_compiled_beside_the_file(path):
    table = load_table(path)
    assert table.tokens == ["b", "a", "c"]
    assert table.values.dtype == np.float32
    assert isinstance(table.values, np.memmap)
    assert np.allclose(table.values, [[1, 2.5], [-3, 0.4], [5, 6]])
    digest = fingerprint.file_hash(path)[:16]
    assert side_cars(path) == [f"toy.itemtext.{digest}.npy", f"toy.itemtext.{digest}.tokens"]


def test_the_text_is_parsed_once(path, monkeypatch):
    first = load_table(path)
    monkeypatch.setattr(feature_table, "read_rows", lambda _: pytest.fail("parsed again"))
    again = load_table(path)
    assert np.array_equal(first.values, again.values)
    assert first.tokens == again.tokens


def test_changed_content_is_compiled_anew_and_the_old_side_cars_go(path):
    load_table(path)
    before = side_cars(path)
    path.write_text(HEADER + "a\t7 8\n")
    assert load_table(path).values.tolist() == [[7, 8]]
    assert len(side_cars(path)) == 2
    assert not set(before) & set(side_cars(path))


def test_side_cars_of_other_modalities_stay(path):
    other = write(path.parent, HEADER + "a\t1\n", "toy.itemtext2")
    load_table(other)
    path.write_text(HEADER + "a\t7 8\n")
    load_table(path)
    assert len(side_cars(path)) == 4


@pytest.mark.parametrize("suffix", [".npy", ".tokens"])
@pytest.mark.parametrize("content", [b"", b"x", None])
def test_a_damaged_or_missing_side_car_is_made_again(path, suffix, content):
    load_table(path)
    broken = next(p for p in path.parent.iterdir() if p.suffix == suffix)
    if content is None:
        broken.unlink()
    else:
        broken.write_bytes(content)
    assert load_table(path).tokens == ["b", "a", "c"]
    assert np.allclose(load_table(path).values, [[1, 2.5], [-3, 0.4], [5, 6]])


def test_a_read_only_folder_is_read_into_memory_with_one_warning(path, monkeypatch, caplog):
    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with caplog.at_level(logging.WARNING):
        table = load_table(path)
    assert np.allclose(table.values, [[1, 2.5], [-3, 0.4], [5, 6]])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "read into memory" in caplog.text
    assert side_cars(path) == []


def test_two_processes_at_once(tmp_path):
    rows = "".join(f"i{i}\t{i} {i}.5\n" for i in range(20_000))
    path = write(tmp_path, HEADER + rows)
    code = "import sys; from pathlib import Path; "
    code += "from recbole_guider.data.files.feature_table import load_table as l; "
    code += "t = l(Path(sys.argv[1])); print(len(t.tokens), t.values.sum(dtype='f8'))"
    runs = [
        subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    expected = f"20000 {2 * sum(range(20_000)) + 0.5 * 20_000}"
    assert [run.communicate()[0].strip() for run in runs] == [expected, expected]
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path, end):
    newline = end or "\n"
    text = "\ufeff" + newline.join([HEADER.strip(), "ä\t1 2", "b\t3 4"]) + end
    table = load_table(write(tmp_path, text))
    assert table.tokens == ["ä", "b"]
    assert table.values.tolist() == [[1, 2], [3, 4]]


def test_reading_is_a_stream(tmp_path):
    path = write(tmp_path, HEADER + "a\t1 2\nb\tnan 1\n")
    rows = read_rows(path)
    assert next(rows)[0] == "a"  # the error in the next line is not reached yet
    assert count_rows(path) == 2


# Errors


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "is empty"),
        (HEADER, None, "has no rows"),
        ("a\t1 2\n", 1, r"expected 'item_id:token<TAB>text:float_seq'"),
        ("item_id:token text:float_seq\na 1 2\n", 1, "one tab"),
        ("item_id:token\ttext:float\na\t1\n", 1, "the header is"),
        (HEADER + "a\t1 2\nb\t1 nan\n", 3, "value 2 of item 'b' is 'nan'; expected a finite"),
        (HEADER + "a\t1 2\nb\t-inf 1\n", 3, "value 1 of item 'b' is '-inf'"),
        (HEADER + "a\t1 1e39\n", 2, "value 2 of item 'a' is '1e39'"),
        (HEADER + "a\t1 two\n", 2, "value 2 of item 'a' is 'two'"),
        (HEADER + "a\t1,2\n", 2, "is '1,2'.*Separate the values by blanks"),
        (HEADER + "a\t1 2\nb\t1 2 3\n", 3, "item 'b' has 3 values; expected 2"),
        (HEADER + "a\t1 2\nb\t1\n", 3, "item 'b' has 1 values; expected 2"),
        (HEADER + "a\t\n", 2, "item 'a' has 0 values; expected at least 1"),
        (HEADER + "a\t1\nb\t2\na\t1\n", 4, r"item 'a' occurs again \(first in line 2\)"),
        (HEADER + "a 1 2\n", 2, "found 1 column"),
        (HEADER + "a\t1\t2\n", 2, "found 3 column"),
        (HEADER + "\t1 2\n", 2, "found no item"),
        (HEADER + "a\t1 2\n\nb\t1 2\n", 3, "found nothing"),
    ],
)
def test_a_wrong_file_is_named_with_line_and_mend(tmp_path, text, line, message):
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=message) as error:
        load_table(path)
    assert error.value.where == (f"{path}:{line}" if line else str(path))
    assert error.value.mend or "cannot" in str(error.value)
    assert list(tmp_path.iterdir()) == [path]  # nothing half-written is left


def test_text_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "toy.itemtext"
    path.write_bytes(HEADER.encode() + b"caf\xe9\t1 2\n")
    with pytest.raises(InputError, match="not UTF-8") as error:
        load_table(path)
    assert error.value.where == f"{path}:2"


# Alignment


def test_rows_end_at_their_items_whatever_the_order(path):
    features = align(load_table(path), ITEMS, path)
    assert torch.allclose(
        features.values, torch.tensor([[0, 0], [-3, 0.4], [1, 2.5], [5, 6]], dtype=torch.float32)
    )
    assert features.present.tolist() == [False, True, True, True]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_alignment_by_token_for_any_row_order_and_any_missing_items(tmp_path, data):
    tokens = data.draw(st.lists(st.text("ab019_é ", min_size=1), min_size=1, unique=True))
    rows = data.draw(st.lists(st.sampled_from(tokens), min_size=1, unique=True))
    values = {token: [index, -index] for index, token in enumerate(rows, start=1)}
    text = "".join(f"{token}\t{x} {y}\n" for token, (x, y) in values.items())
    path = write(tmp_path, HEADER + text)
    features = align(load_table(path), ["[PAD]", *tokens], path)
    assert features.values.tolist() == [[0, 0], *(values.get(token, [0, 0]) for token in tokens)]
    assert features.present.tolist() == [False, *(token in values for token in tokens)]


@pytest.fixture
def partial(tmp_path):
    return write(tmp_path, HEADER + "c\t5 6\na\t1 2\n")


def test_missing_items_get_zeros_and_are_counted(partial, caplog):
    with caplog.at_level(logging.WARNING):
        features = align(load_table(partial), ITEMS, partial, missing="zero")
    assert features.values.tolist() == [[0, 0], [1, 2], [0, 0], [5, 6]]
    assert features.present.tolist() == [False, True, False, True]
    assert "1 of 3 items have no row" in caplog.text


def test_missing_items_get_the_mean_of_the_present_ones(partial):
    features = align(load_table(partial), ITEMS, partial, missing="mean")
    assert features.values.tolist() == [[0, 0], [1, 2], [3, 4], [5, 6]]
    assert features.present.tolist() == [False, True, False, True]


def test_missing_items_are_an_error_on_request(partial):
    with pytest.raises(InputError, match="1 of 3 items have no row, the first is 'b'"):
        align(load_table(partial), ITEMS, partial, missing="error")


def test_a_file_without_any_of_the_items_is_an_error(partial):
    with pytest.raises(InputError, match="2 of 2 items have no row"):
        align(load_table(partial), ["[PAD]", "x", "y"], partial, unknown="ignore")


@pytest.mark.parametrize("items", [["[PAD]", "b", "c"], ["a", "b", "c"]])
def test_an_item_without_interaction_is_an_error_with_its_line(path, items):
    with pytest.raises(InputError, match="unknown item 'a'") as error:
        align(load_table(path), items, path)
    assert error.value.where == f"{path}:3"
    assert "unknown_item: ignore" in error.value.mend


def test_an_item_without_interaction_can_be_ignored(path):
    features = align(load_table(path), ["[PAD]", "c", "b"], path, unknown="ignore")
    assert features.values.tolist() == [[0, 0], [5, 6], [1, 2.5]]


@pytest.mark.parametrize(
    ("options", "key"),
    [({"missing": "zeros"}, "missing_modality"), ({"unknown": "eror"}, "unknown_item")],
)
def test_an_unknown_policy_names_the_nearest(path, options, key):
    with pytest.raises(InputError, match=f"{key}.*Did you mean"):
        align(load_table(path), ITEMS, path, **options)


# Finding


def test_every_modality_file_is_found_and_nothing_else(tmp_path):
    for name in ("toy.itemtext", "toy.itemimage", "toy.item", "toy.inter", "toys.itemtext"):
        write(tmp_path, "", name)
    write(tmp_path, "", "toy.itemtext.0123456789abcdef.npy")
    assert find_modalities(tmp_path, "toy") == {
        "image": tmp_path / "toy.itemimage",
        "text": tmp_path / "toy.itemtext",
    }


def test_modalities_are_chosen_in_the_given_order():
    found = {"audio": Path("a"), "image": Path("i"), "text": Path("t")}
    assert choose_modalities(None, found) == found
    assert list(choose_modalities(["text", "audio"], found)) == ["text", "audio"]
    assert list(choose_modalities("image", found)) == ["image"]
    assert choose_modalities([], found) == {}
    with pytest.raises(InputError, match=r"unknown modality 'imge'.*Did you mean 'image'"):
        choose_modalities(["text", "imge"], found)
    with pytest.raises(InputError, match="no modality at all"):
        choose_modalities(["text"], {})
