from __future__ import annotations

import pytest


@pytest.fixture
def here(tiny_data_path):
    """Properties that point at the folder with the data set ``tiny``."""
    return {"data_path": str(tiny_data_path)}


@pytest.fixture
def data_path(tmp_path):
    """A folder with a data set ``tiny`` of one interaction, for cells that are never trained."""
    folder = tmp_path / "data"
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / "tiny.inter").write_text("user_id:token\titem_id:token\na\tb\n")
    return folder


@pytest.fixture
def write(tmp_path):
    def _write(text: str = "", name: str = "mine.yaml", **entries) -> str:
        lines = {
            "datasets": "[tiny]",
            "backbones": "[BM3, VBPR]",
            "methods": "[Base, GUIDER]",
            "baselines": "[Base]",
            "metrics": "[Recall@20]",
            **entries,
        }
        path = tmp_path / name
        path.write_text(text or "".join(f"{k}: {v}\n" for k, v in lines.items() if v is not None))
        return str(path)

    return _write
