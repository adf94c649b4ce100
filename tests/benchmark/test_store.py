"""The store holds whole records or none, and says so when it cannot hold them."""

from __future__ import annotations

import errno
import gzip
import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from recbole_guider.benchmark import lock as lock_module
from recbole_guider.benchmark import store as store_module
from recbole_guider.benchmark.cell import Cell, CellName
from recbole_guider.benchmark.record import DamagedError
from recbole_guider.benchmark.store import Failure, Store, StoreError

KEY = "0123456789abcdef0123456789abcdef01234567"


def make_cell(key: str = KEY, seed: int = 2022) -> Cell:
    cell = Cell(CellName("tiny", "BM3", "GUIDER", seed))
    cell.__dict__["key"] = key  # a key of its own, without a data set on disk
    return cell


def make_result(value: float = 0.25):
    return {
        "best_valid_result": {"recall@20": 0.1 + 0.2},
        "test_result": {"recall@20": value},
        "per_user": {
            "users": np.array(["b", "a", "é"]),
            "recall@20": np.array([0.0, value, 1 / 3]),
        },
        "config": {
            "protocol": "mmrec",
            "torch_threads": 1,
            "epochs": 40,
            "valid_metric": "Recall@20",
        },
        "data": {"hash": "x", "users": 3},
        "epochs": 3,
        "best_epoch": 1,
        "valid_curve": [{"epoch": 0, "loss": float("nan")}],
        "seconds": {"total": 2.0, "train": 1.5, "evaluation": 0.1},
        "diagnostics": {"share": np.float32(0.5), "none": float("inf")},
    }


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "results")
    made.open()
    return made


def files(store: Store) -> set[str]:
    return {path.name for path in store.folder.iterdir() if path.is_file()}


def test_what_is_written_is_read_back_whole(store):
    store.write(make_cell(), make_result())
    record = store.read(KEY)
    assert record.cell == CellName("tiny", "BM3", "GUIDER", 2022)
    assert record.valid["recall@20"] == 0.1 + 0.2  # full precision
    assert record.test == {"recall@20": 0.25}
    assert record.diagnostics == {"share": 0.5, "none": None}
    assert record.valid_curve == [{"epoch": 0, "loss": None}]
    assert record.versions["results"] >= 1
    assert record.peak_memory_mb > 1
    assert record.users.tolist() == ["a", "b", "é"]
    assert record.per_user["recall@20"].tolist() == [0.25, 0.0, 1 / 3]
    assert files(store) == {f"{KEY}.json.gz", f"{KEY}.npz"}


def test_nothing_is_read_before_anything_is_written(store):
    assert store.read(KEY) is None
    assert Store(store.folder / "absent").inspect(KEY) is None


def test_a_metric_that_is_no_number_is_not_stored(store):
    with pytest.raises(ValueError, match="finite"):
        store.write(make_cell(), make_result(float("nan")))
    assert files(store) == set()


def truncate(store):
    path = store.folder / f"{KEY}.json.gz"
    path.write_bytes(path.read_bytes()[:-40])


def change_a_digit(store):
    path = store.folder / f"{KEY}.json.gz"
    text = gzip.decompress(path.read_bytes()).replace(b"0.25", b"0.35")
    path.write_bytes(gzip.compress(text))


def swap_the_key(store):
    path = store.folder / f"{KEY}.json.gz"
    text = gzip.decompress(path.read_bytes()).replace(KEY.encode(), KEY[::-1].encode())
    path.write_bytes(gzip.compress(text))


def hold_a_list(store):
    (store.folder / f"{KEY}.json.gz").write_bytes(gzip.compress(b"[]"))


def hold_half_a_list(store):
    (store.folder / f"{KEY}.json.gz").write_bytes(gzip.compress(b"["))


def flip_a_bit_of_the_record(store):
    path = store.folder / f"{KEY}.json.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def hold_bytes(store):
    (store.folder / f"{KEY}.json.gz").write_bytes(b"\xff\xfe\x00")


def empty_it(store):
    (store.folder / f"{KEY}.json.gz").write_bytes(b"")


def tear_the_arrays(store):
    path = store.folder / f"{KEY}.npz"
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit_of_the_arrays(store):
    path = store.folder / f"{KEY}.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def lose_the_arrays(store):
    (store.folder / f"{KEY}.npz").unlink()


@pytest.mark.parametrize(
    "damage",
    [truncate, change_a_digit, swap_the_key, hold_a_list, hold_half_a_list, hold_bytes,
     flip_a_bit_of_the_record, empty_it, tear_the_arrays,
     flip_a_bit_of_the_arrays, lose_the_arrays],
)  # fmt: skip
def test_a_damaged_record_is_set_aside_with_one_line(store, damage, caplog):
    store.write(make_cell(), make_result())
    damage(store)
    with pytest.raises(DamagedError):
        store.inspect(KEY)
    assert f"{KEY}.json.gz" in files(store)  # looking changes nothing
    assert store.read(KEY) is None
    assert f"{KEY}.json.gz.damaged" in files(store)
    assert not {f"{KEY}.json.gz", f"{KEY}.npz"} & files(store)
    assert len(caplog.records) == 1
    assert "\n" not in caplog.messages[0]
    store.write(make_cell(), make_result())  # its cell runs again
    assert store.read(KEY) is not None


def test_a_whole_record_under_another_cells_name_does_not_count(store):
    store.write(make_cell(), make_result())
    other = KEY[::-1]
    for ending in ("json.gz", "npz"):
        (store.folder / f"{KEY}.{ending}").rename(store.folder / f"{other}.{ending}")
    assert store.read(other) is None


def test_arrays_without_a_record_do_not_count(store):
    store.write(make_cell(), make_result())
    (store.folder / f"{KEY}.json.gz").unlink()
    assert store.read(KEY) is None
    store.write(make_cell(), make_result(0.5))
    assert store.read(KEY).per_user["recall@20"][0] == 0.5


def test_a_kill_between_arrays_and_record_leaves_none(store, monkeypatch):
    replace = os.replace

    def die_before_json(temporary, path):
        if path.suffix == ".gz":
            raise KeyboardInterrupt
        replace(temporary, path)

    monkeypatch.setattr(os, "replace", die_before_json)
    with pytest.raises(KeyboardInterrupt):
        store.write(make_cell(), make_result())
    assert files(store) == {f"{KEY}.npz"}
    assert store.read(KEY) is None


def test_a_process_killed_while_it_writes_leaves_a_store_that_goes_on(tmp_path):
    script = textwrap.dedent(
        """
        import os, signal, sys
        sys.path[:0] = sys.argv[2:]
        import recbole_guider.benchmark.store as module
        from test_store import make_cell, make_result
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        store = module.Store(sys.argv[1])
        store.open()
        store.write(make_cell(), make_result())
        """
    )
    here = os.path.dirname(__file__)
    root = os.path.dirname(os.path.dirname(here))
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), here, root], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
    store = Store(tmp_path)
    store.open()
    assert files(store) == set()  # the stale temporary file is gone
    assert store.read(KEY) is None


def test_a_temporary_file_of_a_cell_at_work_is_left_alone(store):
    temporary = store.folder / f".{KEY}.abc.tmp"
    temporary.write_bytes(b"half")
    with store.lock(KEY) as held:
        assert held
        Store(store.folder).open()
        assert temporary.exists()
    Store(store.folder).open()
    assert not temporary.exists()


def test_a_lock_left_by_a_killed_process_goes_and_one_in_use_stays(store):
    (store.folder / f"{KEY}.lock").touch()
    with store.lock(KEY[::-1]) as held:
        assert held
        store.clear()
        assert files(store) == {f"{KEY[::-1]}.lock"}
        with store.lock(KEY[::-1]) as second:
            assert not second
    assert files(store) == set()


def test_one_process_holds_a_cell_at_a_time(store):
    with store.lock(KEY) as first, store.lock(KEY) as second, store.lock(KEY[::-1]) as other:
        assert (first, second, other) == (True, False, True)
    with store.lock(KEY) as again:
        assert again
    assert files(store) == set()  # no lock file stays behind


@pytest.mark.parametrize("made_again", [False, True])
def test_a_lock_on_a_file_that_its_last_holder_removed_does_not_count(
    store, monkeypatch, made_again
):
    flock = lock_module.fcntl.flock
    path = store.folder / f"{KEY}.lock"
    calls = []

    def too_late(handle, operation):
        calls.append(handle)
        if len(calls) == 1:
            path.unlink()  # the holder releases between our open and our lock
            if made_again:
                path.touch()
        flock(handle, operation)

    monkeypatch.setattr(lock_module.fcntl, "flock", too_late)
    with store.lock(KEY) as held:
        assert held
        assert path.exists()
        monkeypatch.setattr(lock_module.fcntl, "flock", flock)
        with store.lock(KEY) as second:
            assert not second


def test_a_lock_ends_with_its_process(store):
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from recbole_guider.benchmark.store import Store\n"
        f"with Store(sys.argv[1]).lock('{KEY}') as held:\n"
        "    print(held, flush=True); sys.stdin.read()\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    with subprocess.Popen(
        [sys.executable, "-c", script, str(store.folder), root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "True\n"
        with store.lock(KEY) as held:
            assert not held
        holder.kill()
        holder.wait()
    with store.lock(KEY) as held:
        assert held


def test_an_error_inside_a_locked_block_stays_what_it_is(store):
    with pytest.raises(FileNotFoundError), store.lock(KEY):
        raise FileNotFoundError("the cell's own")


@pytest.mark.parametrize("where", ["results", "results/inner"])
def test_a_file_where_the_folder_should_be_is_one_line(tmp_path, where):
    (tmp_path / "results").write_text("mine")
    with pytest.raises(StoreError) as caught:
        Store(tmp_path / where).open()
    assert "\n" not in str(caught.value)
    assert "--results" in str(caught.value)
    assert (tmp_path / "results").read_text() == "mine"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_or_closed_folder_loses_nothing_finished(store, monkeypatch, code):
    store.write(make_cell(), make_result())
    other = make_cell(KEY[::-1])
    before = {name: (store.folder / name).read_bytes() for name in files(store)}

    def fail(*_):
        raise OSError(code, os.strerror(code), "somewhere")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=os.strerror(code)):
        store.write(other, make_result())
    with pytest.raises(StoreError):
        store.write(make_cell(), make_result(0.75))
    assert {name: (store.folder / name).read_bytes() for name in files(store)} == before


def test_a_failure_is_kept_never_counts_and_goes_with_success(store):
    failure = Failure(CellName("tiny", "BM3", "GUIDER", 2022), "why", "last line", "again", "log")
    store.write_failure(KEY, failure)
    assert store.failure(KEY) == failure
    assert store.read(KEY) is None
    assert list(store.costs()) == []
    store.write(make_cell(), make_result())
    assert store.failure(KEY) is None
    assert files(store) == {f"{KEY}.json.gz", f"{KEY}.npz"}


def test_an_unreadable_failure_is_none(store):
    (store.folder / f"{KEY}.failed.json").write_text("{")
    assert store.failure(KEY) is None


def test_costs_name_every_whole_record(store):
    store.write(make_cell(), make_result())
    (store.folder / f"{KEY[::-1]}.json.gz").write_text("{")
    ((name, epochs, seconds, memory),) = store.costs()
    assert (str(name), epochs, seconds) == ("tiny/BM3/GUIDER/2022", 40, 2.0)
    assert memory > 1


def test_two_runners_may_open_a_store_at_once(store, monkeypatch):
    unlink = store_module.Path.unlink

    def taken_first(path, *arguments, **named):
        unlink(path)  # as another runner does that clears leftovers
        unlink(path, *arguments, **named)

    monkeypatch.setattr(store_module.Path, "unlink", taken_first)
    Store(store.folder).open()
    assert files(store) == set()


def test_equal_results_give_equal_arrays(store):
    store.write(make_cell(), make_result())
    first = (store.folder / f"{KEY}.npz").read_bytes()
    result = make_result()
    result["per_user"] = {name: one[::-1] for name, one in result["per_user"].items()}
    store.write(make_cell(), result)
    assert (store.folder / f"{KEY}.npz").read_bytes() == first


def test_a_record_is_compressed_plain_json(store):
    store.write(make_cell(), make_result())
    content = json.loads(
        gzip.decompress((store.folder / f"{KEY}.json.gz").read_bytes()),
        parse_constant=lambda name: pytest.fail(f"{name} is no JSON"),
    )
    assert content["cell"] == {
        "dataset": "tiny", "backbone": "BM3", "method": "GUIDER", "seed": 2022
    }  # fmt: skip
