"""WBPR: negatives by training popularity, also on a backbone that has none."""

from __future__ import annotations

import pytest
import torch

from recbole_guider.config import Config
from recbole_guider.errors import InputError
from recbole_guider.model.base import bpr_loss, logits
from recbole_guider.quick_start import prepare


def built(tiny_data_path, backbone: str, **properties):
    own = {"data_path": str(tiny_data_path), "method": "WBPR", "embedding_size": 8, **properties}
    trainer, train, _, _ = prepare(Config(backbone, "tiny", None, own, {}))
    trainer._prepare(train)
    return trainer, train


def test_popular_items_are_drawn_more_often(tiny_data_path):
    trainer, train = built(tiny_data_path, "VBPR")
    counts = torch.bincount(train.splits.train.items, minlength=train.splits.n_items)
    drawn = torch.zeros_like(counts)
    for _ in range(60):
        for batch in trainer.batches:
            drawn += torch.bincount(batch.negatives, minlength=len(drawn))
    popular, rare = (
        counts >= counts[1:].float().quantile(0.8),
        counts <= counts[1:].float().quantile(0.2),
    )
    assert drawn[popular].float().mean() > 1.5 * drawn[rare].float().mean()


def test_bm3_gets_a_weighted_bpr_term(tiny_data_path):
    trainer, _ = built(tiny_data_path, "BM3", dropout=0.0, wbpr_weight=0.5)
    batch = next(iter(trainer.batches))
    users, items = trainer.model.propagate()
    vectors = trainer.model.batch_vectors(batch, users, items, with_negatives=True)
    term = trainer.model.positive_term(batch, users, items, vectors)
    expected = term.mean() + 0.5 * bpr_loss(*logits(vectors)).mean()
    torch.testing.assert_close(trainer.positive_loss(batch, term, vectors), expected)
    assert trainer._draws_negatives


def test_another_exponent_keeps_the_popularity(tiny_data_path):
    trainer, _ = built(tiny_data_path, "VBPR", train_neg_sample_args={"alpha": 0.5})
    assert trainer.config["train_neg_sample_args"]["distribution"] == "popularity"


def test_another_distribution_is_refused(tiny_data_path):
    with pytest.raises(InputError, match="by popularity, not 'uniform'"):
        built(tiny_data_path, "VBPR", train_neg_sample_args={"distribution": "uniform"})
