"""prepare and export are each other's inverse, and the toolbox can read what is written."""

from __future__ import annotations

import numpy as np
import pytest
from toy_sets import INTER, array, content, replace, write_atomic, write_raw

from recbole_guider.data.__main__ import main


@pytest.fixture
def run(tmp_path, capsys):
    def run(*given, code=0):
        assert main([*map(str, given), f"--data_path={tmp_path / 'data'}"]) == code
        return capsys.readouterr()

    return run


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "raw")


def assert_same(raw, made):
    assert sorted(path.name for path in raw.iterdir()) == sorted(
        path.name for path in made.iterdir()
    )
    for path in raw.iterdir():
        if path.suffix == ".npy":
            given, read = np.load(path), np.load(made / path.name)
            assert read.dtype == np.float32
            assert np.array_equal(given.astype(np.float32), read)
        else:
            assert path.read_bytes() == (made / path.name).read_bytes()


def test_a_round_trip_gives_every_byte_and_every_value_back(raw, run, tmp_path):
    generator = np.random.default_rng(0)
    wide = generator.normal(size=(3, 7)) * 10.0 ** generator.integers(-30, 30, (3, 1))
    array("image_feat.npy", wide.astype(np.float32))(raw)
    run("prepare", "mmrec", "--from", raw, "--name", "toy")
    out = run("export", "toy", "--to", tmp_path / "made").out
    assert "float32" in out
    assert "numbered anew" not in out
    assert_same(raw, tmp_path / "made")


def test_a_round_trip_of_listed_rows_and_names_of_its_own(raw, run, tmp_path):
    replace("toy.inter", "1\t1\t0", "1\t7\t0")(raw)  # items 0, 2 and 7
    array("image_feat.npy", np.eye(2, 3))(raw)
    content("image_items.csv", "item\n7\n0\n")(raw)
    content("text_items.csv", "item\n2\n7\n0\n")(raw)
    run("prepare", "mmrec", "--from", raw, "--name", "toy")
    run("export", "toy", "--to", tmp_path / "made", "--keep-ids", "--missing", "list")
    assert_same(raw, tmp_path / "made")


def test_names_are_numbered_and_the_maps_give_them_back(run, tmp_path):
    write_atomic(tmp_path / "data" / "toy")
    out = run("export", "toy", "--to", tmp_path / "made").out
    assert "numbered anew" in out
    made = tmp_path / "made"
    lines = (made / "toy.inter").read_text().splitlines()
    assert lines[:3] == ["userID\titemID\trating\tx_label", "0\t0\t5\t0", "0\t1\t3\t1"]
    assert (made / "i_id_mapping.csv").read_text() == "asin\titemID\ni0\t0\ni2\t1\ni1\t2\n"
    assert np.load(made / "image_feat.npy").tolist() == [[1, 2, 3], [7, 8, 10], [-4, 0.5, 6]]
    given = ["prepare", "mmrec", "--from", made, "--name", "again", "--original-ids"]
    run(*given)
    again = (tmp_path / "data" / "again" / "again.inter").read_text().splitlines()
    pairs = [line.split("\t")[:2] for line in INTER.splitlines()]
    assert [line.split("\t")[:2] for line in again] == pairs


def test_items_without_a_row_have_zeros_or_no_row(run, tmp_path):
    toy = write_atomic(tmp_path / "data" / "toy")
    replace("toy.itemimage", "i2\t7 8 10\n", "")(toy)
    out = run("export", "toy", "--to", tmp_path / "zero").out
    assert "image: 1 items without a row have zeros" in out
    assert np.load(tmp_path / "zero" / "image_feat.npy")[1].tolist() == [0, 0, 0]
    run("export", "toy", "--to", tmp_path / "list", "--missing", "list")
    assert len(np.load(tmp_path / "list" / "image_feat.npy")) == 2
    assert (tmp_path / "list" / "image_items.csv").read_text() == "item\n0\n2\n"
    assert not (tmp_path / "list" / "text_items.csv").exists()


def test_columns_that_are_called_as_ours_are_kept(run, tmp_path):
    toy = write_atomic(tmp_path / "data" / "toy")
    header, *rows = INTER.splitlines()
    made = [f"{row}\tp{k}\tc{k}" for k, row in enumerate(rows)]
    content("toy.inter", "\n".join([f"{header}\tplace:token\tuser:token", *made, ""]))(toy)
    run("validate", "toy")
    run("describe", "toy")
    run("export", "toy", "--to", tmp_path / "made")
    lines = (tmp_path / "made" / "toy.inter").read_text().splitlines()
    assert lines[0] == "userID\titemID\trating\tplace\tuser\tx_label"
    assert [line.split("\t")[3:5] for line in lines[1:]] == [[f"p{k}", f"c{k}"] for k in range(5)]


def test_a_split_in_three_files_becomes_labels(run, tmp_path):
    toy = write_atomic(tmp_path / "data" / "toy")
    header, *rows = INTER.splitlines(keepends=True)
    for part, label in (("train", "0"), ("valid", "1"), ("test", "2")):
        chosen = [row for row in rows if row.split()[3] == label]
        text = "".join("\t".join(row.split()[:3]) + "\n" for row in [header, *chosen])
        (toy / f"toy.{part}.inter").write_text(text)
    run("export", "toy", "--to", tmp_path / "made", "--benchmark_filename=[train,valid,test]")
    lines = (tmp_path / "made" / "toy.inter").read_text().splitlines()
    assert [line.split("\t")[-1] for line in lines] == ["x_label", "0", "0", "0", "1", "2"]


def test_what_the_toolbox_cannot_hold_is_refused_and_leaves_nothing(run, tmp_path):
    toy = write_atomic(tmp_path / "data" / "toy")
    error = run("export", "toy", "--to", tmp_path / "made", "--keep-ids", code=2).err
    assert "not numbered 0 to 2" in error
    content("toy.inter", "user_id:token\titem_id:token\nu0\ti0\nu0\ti1\nu1\ti2\n")(toy)
    assert "no column 'x_label'" in run("export", "toy", "--to", tmp_path / "made", code=2).err
    assert not (tmp_path / "made").exists()
