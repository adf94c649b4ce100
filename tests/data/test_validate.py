"""All problems of a data set at once, errors apart from warnings, and nothing written."""

from __future__ import annotations

import numpy as np
import pytest
from toy_sets import (
    INTER,
    TEXT,
    content,
    gone,
    replace,
    snapshot,
    write_atomic,
    write_raw,
)

from recbole_guider.data.__main__ import main
from recbole_guider.data.files.feature_table import load_table


@pytest.fixture
def check(tmp_path, capsys):
    """Runs validate on the data set ``toy``; returns exit code, errors and warnings."""

    def check(*options):
        before = snapshot(tmp_path)
        code = main(["validate", "toy", f"--data_path={tmp_path}", *options])
        assert snapshot(tmp_path) == before
        lines = capsys.readouterr().err.splitlines()
        found = {
            word: [line.removeprefix(f"{word}: ") for line in lines if line.startswith(word)]
            for word in ("error", "warning")
        }
        assert sum(map(len, found.values())) == len(lines)
        assert code == (2 if found["error"] else 0)
        return found["error"], found["warning"]

    return check


@pytest.fixture
def toy(tmp_path):
    return write_atomic(tmp_path / "toy")


def test_a_sound_data_set_has_nothing_to_tell(toy, check):
    assert check() == ([], [])


def test_everything_is_told_at_once_in_the_order_of_the_files(toy, check):
    replace("toy.inter", "u1\ti2\t1\t2", "u1\t\tgood\t7")(toy)
    replace("toy.inter", "u2\ti0", "u2 i0")(toy)
    replace("toy.itemimage", "1 2 3", "1 2")(toy)  # sets the width, which the others then lack
    content("toy.itemtext", TEXT + "i9\tnan 1\ni2\t0 0\n")(toy)
    errors, warnings = check()
    places = [error.split(": ")[0].removeprefix(str(toy) + "/") for error in errors]
    assert places == [
        "toy.inter:6", "toy.inter:5", "toy.inter:5", "toy.inter:5",
        "toy.itemimage:3", "toy.itemimage:4", "toy.itemtext:5", "toy.itemtext:6",
    ]  # fmt: skip
    assert warnings == []


@pytest.mark.parametrize(("options", "shown"), [((), 20), (("--all",), 50)])
def test_many_bad_rows_are_counted(options, shown, toy, check):
    content("toy.inter", INTER + "u9\n" * 50)(toy)
    errors, _ = check(*options)
    assert len(errors) == shown + (shown < 50)
    assert ("30 more such problems" in errors[-1]) == (shown < 50)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("u7\ti0\t1\t1\nu8\ti1\t1\t2\nu8\ti0\t1\t1\n",
         ["toy.inter:7: 2 users have no training interaction, the first is 'u7'; loading drops "
          "their 3 interactions"]),
        ("u0\ti0\t5\t0\nu0\ti0\t5\t0\n",
         ["toy.inter:7: 2 interactions repeat an earlier one of their phase, the first is 'u0' "
          "with 'i0'"]),
        ("u0\ti0\t5\t1\n", ["toy.inter:7: 1 pairs of valid are in train too"]),
        ("u0\ti0\t5\t2\n", ["toy.inter:7: 1 pairs of test are in train too"]),
        ("u0\ti2\t5\t2\n", ["toy.inter:7: 1 pairs of test are in valid too"]),
    ],
)  # fmt: skip
def test_what_loading_mends_in_the_split_is_a_warning(rows, says, toy, check):
    content("toy.inter", INTER + rows)(toy)
    errors, warnings = check()
    assert errors == []
    assert len(warnings) == len(says)
    for line, words in zip(warnings, says):
        assert words in line


def test_a_split_in_three_files_is_checked_as_one(toy, check):
    header, *rows = INTER.splitlines(keepends=True)
    for part, label in (("train", "0"), ("valid", "1"), ("test", "2")):
        chosen = [row for row in rows if row.split()[3] == label]
        (toy / f"toy.{part}.inter").write_text(header + "".join(chosen))
    parts = "--benchmark_filename=[train,valid,test]"
    assert check(parts) == ([], [])
    with (toy / "toy.test.inter").open("a") as stream:
        stream.write("u0\ti0\t5\t2\n")
    _, warnings = check(parts)
    assert "toy.test.inter:3: 1 pairs of test are in train" in warnings[0]


def test_without_labels_only_repetitions_are_looked_for(toy, check):
    content("toy.inter", "user_id:token\titem_id:token\n" + "u0\ti0\nu0\ti1\nu1\ti2\nu0\ti0\n")(toy)
    errors, warnings = check()
    assert errors == []
    assert len(warnings) == 1
    assert "toy.inter:5: 1 interactions repeat" in warnings[0]


def test_blank_lines_do_not_shift_the_places(toy, check):
    content("toy.inter", INTER.replace("u1\ti1", "\nu1\ti1") + "u0\ti0\t5\t1\n")(toy)
    _, warnings = check()
    assert "toy.inter:8: 1 pairs of valid" in warnings[0]


def test_constant_features_are_an_error_and_zeros_a_warning(toy, check):
    content("toy.itemimage", "item_id:token\timage:float_seq\ni0\t1 1\ni1\t1 1\ni2\t1 1\n")(toy)
    replace("toy.itemtext", "0 1", "0 0")(toy)
    errors, warnings = check()
    assert len(errors) == len(warnings) == 1
    assert "toy.itemimage: all 3 rows are equal" in errors[0]
    assert "toy.itemtext:3: 1 rows hold zeros only, the first is item 'i0'" in warnings[0]


def test_rows_filled_with_the_mean_are_recognised(toy, check):
    rows = np.random.default_rng(0).normal(size=(6, 4))
    mean = " ".join(f"{x:.6g}" for x in rows[:4].mean(axis=0))
    items = [f"i{k}" for k in range(6)]
    lines = [" ".join(f"{x:.6g}" for x in row) for row in rows[:4]] + [mean, mean]
    text = "".join(f"{item}\t{line}\n" for item, line in zip(items, lines))
    content("toy.itemimage", "item_id:token\timage:float_seq\n" + text)(toy)
    content("toy.inter", INTER + "u0\ti3\t1\t0\nu0\ti4\t1\t0\nu0\ti5\t1\t0\n")(toy)
    _, warnings = check("--modalities=[image]")
    assert "toy.itemimage:6: 2 items share their row with others, in 1 groups" in warnings[0]
    assert "the first is 'i4', and is the mean of the other rows" in warnings[0]
    replace("toy.itemimage", lines[0], lines[1])(toy)
    _, warnings = check("--modalities=[image]")
    assert "4 items share their row with others, in 2 groups" in warnings[0]


def test_items_without_a_row_are_counted_and_policies_decide(toy, check):
    replace("toy.itemimage", "i1\t-4 5e-1 6\n", "i7\t-4 5e-1 6\n")(toy)
    errors, warnings = check()
    assert "toy.itemimage:3: unknown item 'i7'" in errors[0]
    assert "toy.itemimage: 1 of 3 items have no row, the first is 'i1'" in warnings[0]
    errors, warnings = check("--unknown_item=ignore", "--missing_modality={image: error}")
    assert len(errors) == 1
    assert "1 of 3 items have no row" in errors[0]
    assert "unknown item 'i7'" in warnings[0]


def test_a_modality_that_is_not_loaded_only_warns(toy, check):
    replace("toy.itemimage", "1 2 3", "1 2 x")(toy)
    errors, warnings = check("--modalities=[text]")
    assert errors == []
    assert "toy.itemimage:2: value 3 of item 'i0' is 'x'" in warnings[0]


def test_properties_that_name_absent_modalities_are_told_each(toy, check):
    errors, _ = check("--modalities=[image,txt,sound]", "--missing_modality={audio: mean}")
    assert len(errors) == 3
    assert "unknown modality 'txt'" in errors[0]
    assert "unknown modality 'sound'" in errors[1]
    assert "audio" in errors[2]


def test_compiled_files_that_are_left_over_or_damaged_are_told(toy, check):
    load_table(toy / "toy.itemimage")
    load_table(toy / "toy.itemtext")
    assert check() == ([], [])
    replace("toy.itemimage", "7 8 10", "7 8 11")(toy)
    next(toy.glob("toy.itemtext.*.npy")).write_bytes(b"")
    _, warnings = check()
    assert sum("toy.itemimage: toy.itemimage." in line for line in warnings) == 2
    assert any("toy.itemtext: toy.itemtext." in line and "damaged" in line for line in warnings)
    for path in toy.glob("toy.item*"):
        if path.suffix not in (".npy", ".tokens"):
            load_table(path)
    assert check() == ([], [])


@pytest.fixture
def prepared(tmp_path):
    raw = write_raw(tmp_path / "raw")
    given = ["prepare", "mmrec", "--from", str(raw), "--name", "toy", f"--data_path={tmp_path}"]
    assert main(given) == 0
    return tmp_path / "toy"


def test_what_prepare_writes_is_sound(prepared, check):
    assert check() == ([], [])


def test_files_that_are_not_the_manifests_are_errors(prepared, check):
    replace("toy.inter", "2\t0\t0", "2\t1\t0")(prepared)
    gone("toy.itemtext")(prepared)
    for side_car in prepared.glob("toy.itemtext.*"):
        side_car.unlink()
    errors, _ = check()
    assert len(errors) == 2
    assert "toy.inter: has changed since it was prepared" in errors[0]
    assert "toy.itemtext: is missing, though the manifest lists it" in errors[1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', "\xff"])
def test_a_manifest_that_cannot_be_read_is_an_error(text, prepared, check):
    content("toy.manifest.json", text.encode("latin-1"))(prepared)
    errors, _ = check()
    assert len(errors) == 1
    assert "toy.manifest.json: cannot be read" in errors[0]


def test_the_embedded_data_set_is_sound(tmp_path, capsys):
    from recbole_guider.data.prepare import ensure_prepared

    ensure_prepared("ml-100k", tmp_path)
    assert main(["validate", "ml-100k", f"--data_path={tmp_path}"]) == 0
    assert "ml-100k: 0 errors" in capsys.readouterr().out
