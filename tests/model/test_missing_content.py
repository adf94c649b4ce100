"""What stands in the rows of items without a modality must not leak into any backbone."""

from __future__ import annotations

import pytest
import torch
from dense_reference import ONE, TWO

from recbole_guider.model.item_graph import ItemGraph
from recbole_guider.property_layers import model_layer
from recbole_guider.registry import backbone_class, backbones

MISSING = {"text": [3, 4, 5, 6, 13], "image": [5, 6, 7]}  # items 5 and 6 have nothing
CONTENT = sorted(name for name in backbones() if backbone_class(name).uses_modalities)
every_backbone = pytest.mark.parametrize("name", CONTENT)


@pytest.fixture
def make(build):
    """Returns a function that builds a backbone by name, in training, in its second epoch."""

    def make(name, widths=TWO, missing=MISSING, fill=0.0, **properties):
        given = {**model_layer(name), "reg_weight": 0.1, **properties}
        model = build(backbone_class(name), widths, missing, fill, **given)
        model.on_epoch_start(1)
        return model.train()

    return make


def everything(model, batch):
    """Loss, gradients and representations under one draw of dropout."""
    torch.manual_seed(5)
    loss = model.native_loss(batch)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    with torch.no_grad():
        return [loss, *gradients, *model.eval().representations()]


@every_backbone
@pytest.mark.parametrize("project_wider_than", [4, None])
def test_what_is_imputed_matters_only_where_the_backbone_says_so(
    make, batch, name, project_wider_than
):
    own = {"project_wider_than": project_wider_than} if name == "MMGCN" else {}
    first, second = (everything(make(name, fill=fill, **own), batch) for fill in (0.0, 2.5))
    same = all(torch.equal(one, other) for one, other in zip(first, second))
    assert same != backbone_class(name).reads_imputed


@every_backbone
def test_with_propagation_switched_off_it_still_does_not(make, batch, name):
    if "n_mm_layers" not in model_layer(name):
        pytest.skip("has no item graph")
    first, second = (everything(make(name, fill=fill, n_mm_layers=0), batch) for fill in (0.0, 2.5))
    for one, other in zip(first, second):
        assert torch.equal(one, other)


@every_backbone
def test_rows_that_are_imputed_are_not_trained(make, batch, name):
    model = make(name, fill=2.5, train_features=True)
    before = {modality: model.feature(modality).detach().clone() for modality in TWO}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    loss = model.native_loss(batch)
    loss.backward()
    optimizer.step()
    for modality, lacking in MISSING.items():
        gradient = getattr(model, f"feature_{modality}").grad
        assert gradient is None or (gradient[lacking] == 0).all()
        after = model.feature(modality).detach()
        assert torch.equal(after[lacking], before[modality][lacking])
        trained = [item for item in range(1, 13) if item not in lacking]
        assert not torch.equal(after[trained], before[modality][trained])


@every_backbone
@pytest.mark.parametrize("fill", [0.0, 2.5])
def test_items_without_any_content_get_finite_numbers(make, batch, name, fill):
    model = make(name, fill=fill)
    for part in everything(model, batch):
        assert torch.isfinite(part).all()
        assert part.abs().max() < 100, "a norm of zero was divided by"


@every_backbone
def test_where_nothing_is_missing_there_is_no_mask(make, name):
    model = make(name, missing=None)
    for modality in TWO:
        assert model.present(modality) is None
        assert model.feature(modality) is getattr(model, f"feature_{modality}")
    masks = ("present", "fill", "stretch", "user_views", "item_views")
    assert all(b is None for key, b in model._buffers.items() if key.startswith(masks))


@pytest.mark.parametrize("name", ["FREEDOM", "MGCN", "DRAGON"])
def test_imputed_twins_are_nobodys_neighbours(make, name):
    """Equal rows have cosine 1: without the mask twins would be each other's nearest."""
    lacking = [3, 4, 5, 6]
    model = make(name, ONE, {"text": lacking}, fill=2.5, knn_k=3)
    (graph,) = (part.graph.to_dense() for part in model.modules() if isinstance(part, ItemGraph))
    assert (graph[lacking] == 0).all()
    assert (graph[:, lacking] == 0).all()
    having = [item for item in range(1, 15) if item not in lacking]
    assert (graph[having].abs().sum(1) > 0).all()


@pytest.mark.parametrize("name", ["FREEDOM", "DRAGON"])
def test_an_item_keeps_the_neighbours_of_the_modality_that_it_has(make, name):
    model = make(name, fill=2.5, knn_k=3)
    graph = model.item_graph.graph.to_dense()
    assert (graph[[5, 6]] == 0).all()
    torch.testing.assert_close(graph[[3, 4, 7]].sum(1), torch.ones(3, dtype=graph.dtype))
    assert (graph[[3, 4], 7] == 0).all(), "item 7 has no image and items 3 and 4 no text"
