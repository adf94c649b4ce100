"""RecBole's ratio splits under this suite: one split for all seeds of a comparison."""

from __future__ import annotations

import numpy as np
import pytest

from recbole_guider.config import Config
from recbole_guider.data.dataset import MultimodalDataset
from recbole_guider.errors import InputError


def write(folder, name="own", prefix=""):
    generator = np.random.default_rng(0)
    lines = [f"{prefix}user_id:token\titem_id:token"]
    for user in range(30):
        lines += [f"u{user}\ti{item}" for item in generator.choice(40, 12, replace=False)]
    (folder / name).mkdir()
    (folder / name / f"{name}.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")


def pairs_of_test(tmp_path, **properties):
    own = {"data_path": str(tmp_path), **properties}
    _, _, test = MultimodalDataset(Config("LightGCN", "own", None, own, {})).build()
    interactions = test.splits.test
    return sorted(zip(interactions.users.tolist(), interactions.items.tolist()))


@pytest.mark.parametrize("group_by", ["user", "none"])
def test_the_runs_seed_does_not_move_the_split(tmp_path, group_by):
    write(tmp_path)
    same = {"eval_args": {"group_by": group_by}}
    first = pairs_of_test(tmp_path, seed=1, **same)
    assert first == pairs_of_test(tmp_path, seed=2, **same)
    assert first != pairs_of_test(tmp_path, seed=1, split_seed=7, **same)


def test_a_byte_order_mark_is_named(tmp_path):
    write(tmp_path, prefix="\ufeff")
    with pytest.raises(InputError, match=r"own\.inter:1: begins with a byte-order mark"):
        pairs_of_test(tmp_path)
