"""MicroLens' pairs in both of their forms, with titles and features."""

from __future__ import annotations

import numpy as np
import pytest

from recbole_guider.data.__main__ import main
from recbole_guider.data.files.feature_table import load_table

SEQUENCES = {"1": ["7", "3", "9", "4"], "2": ["3", "9", "7"], "3": ["4", "7", "3"]}


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    titles = {"3": "Duck, fried", "4": "Cats and dogs", "7": "A long song", "9": "Old comics"}
    rows = "".join(f'{item},"{title}"\n' for item, title in titles.items())
    (folder / "MicroLens-50k_titles.csv").write_text("item,title\n" + rows)
    np.save(folder / "image_feat.npy", np.eye(3, dtype=np.float32))
    (folder / "image_items.csv").write_text("item\n9\n3\n7\n")
    return folder


def write_csv(folder, header="userID,videoID,timestamp"):
    rows = [f"{u},{i},{k}" for u, items in SEQUENCES.items() for k, i in enumerate(items)]
    (folder / "MicroLens-50k_pairs.csv").write_text("\n".join([header, *rows]) + "\n")


def write_tsv(folder):
    rows = [f"{u}\t{' '.join(items)}\n" for u, items in SEQUENCES.items()]
    (folder / "MicroLens-50k_pairs.tsv").write_text("".join(rows))


def prepare(folder, name, *options) -> int:
    return main(["prepare", "microlens", "--from", str(folder), "--name", name, "--text-width", "2",
                 f"--data_path={folder.parent / 'data'}", *options])  # fmt: skip


@pytest.mark.parametrize("write", [write_csv, write_tsv])
def test_both_forms_give_the_same(raw, write):
    write(raw)
    assert prepare(raw, "toy", "--split", "time") == 0
    folder = raw.parent / "data" / "toy"
    header, *rows = (folder / "toy.inter").read_text().splitlines()
    assert header == "user_id:token\titem_id:token\ttimestamp:float\tx_label:float"
    assert rows[:4] == ["1\t7\t0\t0", "1\t3\t1\t0", "1\t9\t2\t1", "1\t4\t3\t2"]
    assert [row.split("\t")[2] for row in rows] == list("0123012012")
    assert load_table(folder / "toy.itemimage").tokens == ["9", "3", "7"]
    assert load_table(folder / "toy.itemtext").tokens == ["7", "3", "9", "4"]


def test_features_of_the_text_stand_for_the_titles(raw):
    write_csv(raw, "user,item,timestamp")
    rows = "".join(f"{item},{item},1\n" for item in "3479")
    (raw / "text_feat.csv").write_text("item,a,b\n" + rows)
    assert prepare(raw, "toy") == 0
    assert load_table(raw.parent / "data" / "toy" / "toy.itemtext").values[0].tolist() == [3, 1]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("MicroLens-50k_pairs.tsv", "1\t7 3\n2\n", ["pairs.tsv:2", "1 columns; expected 2"]),
        ("MicroLens-50k_pairs.tsv", "1\t7 3\n2\t\n", ["pairs.tsv:2", "user '2' has no items"]),
        ("MicroLens-50k_pairs.csv", "a,b\n1,2\n", ["pairs.csv:1", "--user-column"]),
        ("MicroLens-50k_titles.csv", "item,title\n3,a\n3,b\n", ["titles.csv:3", "occurs again"]),
        ("image_items.csv", "item\n3\n", ["image_items.csv", "names 1 items"]),
    ],
)
def test_what_is_wrong_is_one_line(raw, capsys, name, content, told):
    write_tsv(raw)
    (raw / name).write_text(content)
    assert prepare(raw, "toy") == 2
    line = capsys.readouterr().err
    assert len(line.splitlines()) == 1
    assert all(word in line for word in told), line
    assert not (raw.parent / "data").exists()
