"""The catalogue of malformed atomic files and options, each refused in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest
from bad_input import Case, check, one_line, refused
from toy_sets import (
    IMAGE,
    INTER,
    as_folder,
    content,
    gone,
    replace,
    snapshot,
    write_atomic,
    write_raw,
)

from recbole_guider.__main__ import main as train

ABSENT = [  # training says that no such data set is installed
    Case("no interactions", gone("toy.inter"), "toy.inter", ("file is missing",)),
    Case("a folder for interactions", as_folder("toy.inter"), "toy.inter", ("is no file",)),
]

# Files that training and validate refuse with the same words.
ATOMIC = [
    Case("empty interactions", content("toy.inter", ""), "toy.inter", ("is empty", "header")),
    Case("a header alone", content("toy.inter", INTER.splitlines()[0]), "toy.inter",
         ("holds no interaction", "one interaction a line")),
    Case("a byte-order mark", replace("toy.inter", "user_id", "\ufeffuser_id"), "toy.inter:1",
         ("byte-order mark", "Save it as UTF-8 without one")),
    Case("a field without a type", replace("toy.inter", "rating:float", "rating"), "toy.inter:1",
         ("'rating' is not of the form name:type", "Types are token")),
    Case("an unknown type", replace("toy.inter", "rating:float", "rating:int"), "toy.inter:1",
         ("'rating' is not of the form name:type",)),
    Case("commas between columns", content("toy.inter", INTER.replace("\t", ",")), "toy.inter:1",
         ("name:type", "separated by")),
    Case("a column misspelt", replace("toy.inter", "item_id", "itemid"), "toy.inter",
         ("no column 'item_id'", "Did you mean 'itemid'", "ITEM_ID_FIELD")),
    Case("a column twice", replace("toy.inter", "rating:", "x_label:"), "toy.inter:1",
         ("two columns 'x_label'", "Rename or remove")),
    Case("a row cut short", replace("toy.inter", "u1\ti2\t1\t2", "u1\ti2"), "toy.inter:5",
         ("2 columns", "expected 4")),
    Case("a row too long", replace("toy.inter", "u1\ti2", "u1\ti2\ti3"), "toy.inter:5",
         ("5 columns", "expected 4")),
    Case("no item", replace("toy.inter", "u1\ti2", "u1\t"), "toy.inter:5",
         ("no value in column 'item_id'", "Complete or remove")),
    Case("a user named NA", replace("toy.inter", "u1\ti2", "NA\ti2"), "toy.inter:5",
         ("no value in column 'user_id'",)),
    Case("a rating that is no number", replace("toy.inter", "u1\ti2\t1", "u1\ti2\tgood"),
         "toy.inter:5", ("'good' in column 'rating'", "expected a finite number", "Correct")),
    Case("an infinite rating", replace("toy.inter", "u1\ti2\t1", "u1\ti2\t-inf"), "toy.inter:5",
         ("'-inf' in column 'rating'", "expected a finite number")),
    Case("an item in quotation marks", replace("toy.inter", "u1\ti2", 'u1\t"i2'), "toy.inter:5",
         ('the cell "i2', "quotation mark", "Remove")),
    Case("no user after blank lines", replace("toy.inter", "u1\ti2", "\n\n\ti2"), "toy.inter:7",
         ("no value in column 'user_id'",)),
    Case("a label of 3 after blank lines", replace("toy.inter", "u1\ti2\t1\t2",
         "\n\nu1\ti2\t1\t3"), "toy.inter:7", ("'3' in column 'x_label'",)),
    Case("a split in one part", lambda toy: (toy / "toy.inter").rename(toy / "toy.train.inter")
         and None, "benchmark_filename", ("the split has 1 parts", "expected train, valid"),
         ("--benchmark_filename=[train]",)),
    Case("a label of 3", replace("toy.inter", "u1\ti2\t1\t2", "u1\ti2\t1\t3"), "toy.inter:5",
         ("in column 'x_label'", "expected 0 (train), 1 (valid) or 2 (test)")),
    Case("no label", replace("toy.inter", "u1\ti2\t1\t2", "u1\ti2\t1\t"), "toy.inter:5",
         ("in column 'x_label'", "expected 0")),
    Case("Latin-1 text", lambda toy: content("toy.inter", INTER.replace("u1", "é")
         .encode("latin-1"))(toy), "toy.inter:4", ("is not utf-8 text", "Save it as utf-8")),
    Case("no test", replace("toy.inter", "u1\ti2\t1\t2", "u1\ti2\t1\t0"), "",
         ("no interaction is left for test", "Check the split")),
    Case("test users without training rows", replace("toy.inter", "u1\ti1\t4\t0", "u2\ti1\t4\t0"),
         "", ("no interaction is left for test", "without a training interaction")),
    Case("empty features", content("toy.itemimage", ""), "toy.itemimage", ("is empty",)),
    Case("no row of features", content("toy.itemimage", IMAGE.splitlines()[0]), "toy.itemimage",
         ("has no rows", "one row for each item")),
    Case("features without a header", replace("toy.itemimage", IMAGE.splitlines()[0] + "\n", ""),
         "toy.itemimage:1", ("expected 'item_id:token<TAB>image:float_seq'",)),
    Case("commas between values", replace("toy.itemimage", "1 2 3", "1,2,3"), "toy.itemimage:2",
         ("'1,2,3'", "expected a finite number", "Separate the values by blanks")),
    Case("blanks for the tab", replace("toy.itemimage", "i0\t1", "i0 1"), "toy.itemimage:2",
         ("1 column", "one tab")),
    Case("a word among the values", replace("toy.itemimage", "5e-1", "many"), "toy.itemimage:3",
         ("value 2 of item 'i1' is 'many'", "expected a finite number")),
    Case("NaN", replace("toy.itemimage", "7 8", "7 nan"), "toy.itemimage:4",
         ("value 2 of item 'i2' is 'nan'", "Replace it")),
    Case("infinite", replace("toy.itemimage", "7 8", "-inf 8"), "toy.itemimage:4",
         ("value 1 of item 'i2' is '-inf'",)),
    Case("beyond float32", replace("toy.itemimage", "7 8", "1e39 8"), "toy.itemimage:4",
         ("'1e39'", "expected a finite number")),
    Case("a short row", replace("toy.itemimage", "7 8 10", "7 8"), "toy.itemimage:4",
         ("item 'i2' has 2 values", "expected 3")),
    Case("an item twice", replace("toy.itemimage", "i2\t", "i0\t"), "toy.itemimage:4",
         ("item 'i0' occurs again (first in line 2)", "Keep one row")),
    Case("an unknown item", content("toy.itemimage", IMAGE + "i9\t1 1 1\n"), "toy.itemimage:5",
         ("unknown item 'i9'", "no interaction has it", "unknown_item: ignore")),
    Case("a row without an item", replace("toy.itemimage", "i1\t", "\t"), "toy.itemimage:3",
         ("no item", "expected an item, one tab")),
    Case("features in Latin-1", lambda toy: content("toy.itemimage", IMAGE.replace("i1", "é")
         .encode("latin-1"))(toy), "toy.itemimage:3", ("is not UTF-8 text", "Save the file")),
    Case("no row for any item", content("toy.itemimage", "item_id:token\timage:float_seq\nx\t1\n"),
         "toy.itemimage", ("3 of 3 items have no row",), ("--unknown_item=ignore",)),
    Case("items without a row where that is an error", replace("toy.itemimage", "i1\t-4 5e-1 6\n",
         ""), "toy.itemimage", ("1 of 3 items have no row", "the first is 'i1'"),
         ("--missing_modality=error",)),
    Case("a folder for features", as_folder("toy.itemimage"), "toy.itemimage",
         ("cannot be read (Is a directory)", "Check the file")),
    Case("a modality that is not there", gone("toy.itemtext"), "modalities",
         ("unknown modality 'txt'", "no file .itemtxt"), ("--modalities=[image,txt]",)),
    Case("a part of the split that is not there", gone("toy.itemtext"), "toy.train.inter",
         ("the file is missing", "toy.inter"), ("--benchmark_filename=[train]",)),
    Case("an unknown policy", gone("toy.itemtext"), "missing_modality",
         ("unknown value 'zeros'", "'zero'"), ("--missing_modality=zeros",)),
    Case("an unknown property", gone("toy.itemtext"), "--modalitys", ("Did you mean 'modalities'",),
         ("--modalitys=[image]",)),
]  # fmt: skip

COMMANDS = [
    ((), "required: COMMAND", "--help"),
    (("prepair",), "invalid choice: 'prepair'", "--help"),
    (("prepare",), "required: SOURCE", "--help"),
    (("prepare", "mmrecs", "--name", "x"), "invalid choice: 'mmrecs'", "--help"),
    (("prepare", "mmrec", "--name", "x"), "required: --from", "--help"),
    (("prepare", "mmrec", "--from", "raw"), "required: --name", "--help"),
    (("prepare", "mmrec", "--from", "raw", "--name", "a/b"), "--name: 'a/b' cannot", "letters"),
    (("prepare", "mmrec", "--from", "raw", "--name", ".."), "--name: '..' cannot name", "letters"),
    (("prepare", "mmrec", "--from", "raw", "--name", ""), "--name: '' cannot name", "letters"),
    (("prepare", "mmrec", "--from", "nowhere", "--name", "x"), "nowhere:", "folder"),
    (("prepare", "mmrec", "--from", "raw/toy.inter", "--name", "x"), "raw/toy.inter:", "folder"),
    (("prepare", "mmrec", "--from", "raw", "--name", "toy"), "exists already", "--name"),
    (("prepare", "mmrec", "--from", "raw", "--name", "x", "--orginal-ids"), "'--orginal-ids'", ""),
    (("prepare", "mmrec", "--from", "raw", "--name", "x", "--seed=1"), "unknown option '--seed='",
     "data_path"),
    (("validate",), "required: NAME", "--help"),
    (("validate", "tyo"), "unknown data set 'tyo'", "Did you mean 'toy'"),
    (("validate", "baby"), "data set 'baby' is not installed", "Installed there: toy"),
    (("validate", "a/b"), "'a/b' cannot name a data set", "not a path"),
    (("validate", "toy", "more"), "cannot use the argument 'more'", "--key=value"),
    (("validate", "toy", "--strict"), "unknown option '--strict'", "--help"),
    (("describe", "toy", "--seeed=1"), "unknown property", "Did you mean 'seed'"),
    (("export", "toy"), "required: --to", "--help"),
    (("export", "toy", "--to", "raw"), "raw: exists already", "another folder"),
    (("export", "toy", "--to", "raw/toy.inter"), "exists already", "another folder"),
    (("export", "toy", "--to", "raw/toy.inter/x"), "cannot be written", ""),
    (("export", "toy", "--to", "x", "--missing", "mean"), "unknown value 'mean'", "zero"),
    (("download", "babi"), "unknown data set 'babi'", "Did you mean 'baby'"),
    (("download", "tiktok"), "no official place", "prepare mmrec"),
    (("download", "baby", "--seed=1"), "unknown option '--seed='", "data_path"),
]  # fmt: skip


@pytest.mark.parametrize("case", ABSENT + ATOMIC, ids=lambda case: case.what)
def test_validate_refuses(case, tmp_path, capsys):
    case.spoil(write_atomic(tmp_path / "toy"))
    given = ["validate", "toy", f"--data_path={tmp_path}", *case.options]
    check(refused(given, tmp_path, capsys), case)


@pytest.mark.parametrize("case", ATOMIC, ids=lambda case: case.what)
def test_training_refuses_in_the_same_words(case, tmp_path, capsys, monkeypatch):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)  # RecBole's logger makes folders where it is run
    data = tmp_path / "data"
    case.spoil(write_atomic(data / "toy"))
    given = ["--model=BPR", "--dataset=toy", f"--data_path={data}", "--epochs=1", *case.options]
    before = {key: text for key, text in snapshot(data).items() if "/." not in key}
    assert train(given) == 2
    after = {key: text for key, text in snapshot(data).items() if "/." not in key}
    assert {key: text for key, text in after.items() if key in before} == before
    check(one_line(capsys.readouterr().err), case)


@pytest.mark.parametrize(("arguments", "says", "mend"), COMMANDS, ids=lambda one: str(one)[:60])
def test_a_wrong_command_line_is_one_line(arguments, says, mend, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_raw(tmp_path / "raw")
    write_atomic(tmp_path / "dataset" / "toy")
    line = refused(list(arguments), tmp_path, capsys)
    assert says in line
    assert mend in line


@pytest.mark.parametrize("place", ["data", "data/toy"])
def test_a_file_in_the_place_of_a_folder(place, tmp_path, capsys):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("")
    data = f"--data_path={tmp_path / 'data'}"
    assert "is a file; expected a folder" in refused(["validate", "toy", data], tmp_path, capsys)
    raw = write_raw(tmp_path / "raw")
    given = ["prepare", "mmrec", "--from", str(raw), "--name", "toy", data]
    assert str(tmp_path / "data") in refused(given, tmp_path, capsys)


@pytest.mark.parametrize(
    "arguments", [["validate", "toy"], ["prepare", "mmrec", "--from", "raw", "--name", "x"], []]
)
def test_processes_say_one_line_too(arguments, tmp_path):
    replace("toy.inter", "u1\ti2\t1\t2", "u1\ti2\t1\t3")(write_atomic(tmp_path / "dataset/toy"))
    replace("toy.inter", "1\t2\t2", "1\t2\t3")(write_raw(tmp_path / "raw"))
    before = snapshot(tmp_path)
    command = [sys.executable, "-m", "recbole_guider.data", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert one_line(done.stderr)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("command", [["describe", "toy"], ["export", "toy", "--to", "made"]])
def test_what_reads_features_refuses_them_in_the_same_words(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    as_folder("toy.itemimage")(write_atomic(tmp_path / "dataset" / "toy"))
    line = refused(command, tmp_path, capsys)
    assert "toy.itemimage: cannot be read (Is a directory). Check the file" in line


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (["prepare", "mmrec", "--from", "raw", "--name", "new"], 0),
        (["validate", "toy"], 0),
        (["describe", "toy"], 0),
        (["export", "toy", "--to", "made"], 0),
        (["download", "--help"], 0),
        (["encode", "toy", "text", "--from", "none.csv", "--modality", "new"], 2),
        (["validate", "tyo"], 2),
    ],
    ids=lambda one: one[0] if isinstance(one, list) else "",
)
def test_looking_after_data_needs_neither_torch_nor_recbole(given, code, tmp_path):
    write_atomic(tmp_path / "dataset" / "toy")
    write_raw(tmp_path / "raw")
    command = [sys.executable, "-X", "importtime", "-m", "recbole_guider.data", *given]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr[-300:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "recbole_guider.data.commands.parser" in imported
    assert not imported & {"torch", "recbole", "sklearn", "transformers"}
