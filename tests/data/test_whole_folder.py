"""A folder appears whole or not at all, and a failure to put it there is told."""

from __future__ import annotations

import os

import pytest

from recbole_guider.data.files.whole_folder import whole_folder
from recbole_guider.errors import InputError


def test_a_folder_that_cannot_take_its_place_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    told = pytest.raises(InputError, match=r"new: cannot be written \(Permission denied\)")
    with told, whole_folder(tmp_path / "new") as place:
        (place / "file").write_text("x")
    assert not list(tmp_path.iterdir())


def test_who_was_first_stays(tmp_path):
    with whole_folder(tmp_path / "new") as place:
        (place / "file").write_text("second")
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "file").write_text("first")
    assert (tmp_path / "new" / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
