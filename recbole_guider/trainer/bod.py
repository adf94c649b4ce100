"""BOD (Wang et al., KDD 2023): weights from a generator that gradient matching trains."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recbole_guider.data.sampler import Batch
from recbole_guider.data.splits import Splits
from recbole_guider.errors import InputError
from recbole_guider.kernels.unit_rows import unit_rows
from recbole_guider.model.base import BatchVectors, MultimodalRecommender, bpr_loss, logits
from recbole_guider.registry import method
from recbole_guider.trainer.base import MethodTrainer


class WeightGenerator(nn.Module):
    """w = floor + (1 - floor) sigmoid(MLP([e_u ; e_i])), float [b], from vectors [b, d].

    Args:
        size: d.
        width: of the two hidden layers.
        floor: smallest weight. The map reaches it smoothly: cut off there, a weight would get no
            gradient and could not come back.
    """

    def __init__(self, size: int, width: int, floor: float) -> None:
        super().__init__()
        self.floor = floor
        self.layers = nn.Sequential(
            nn.Linear(2 * size, width), nn.ReLU(), nn.Linear(width, width), nn.Linear(width, 1)
        )

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Weights of matching rows; the generator learns, what it reads does not."""
        pairs = torch.cat([users.detach(), items.detach()], dim=1)
        chance = torch.sigmoid(self.layers(pairs)).squeeze(1)
        return self.floor + (1.0 - self.floor) * chance


def scaled_to_one(positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of a batch, float [b] each, divided by the mean of all 2b."""
    mean = torch.cat([positive, negative]).mean()
    return positive / mean, negative / mean


def weighted_bpr(
    positive: Tensor, negative: Tensor, positive_weight: Tensor, negative_weight: Tensor
) -> Tensor:
    """mean -log sigmoid(w+ s_ui - w- s_uj): the weights multiply scores, not losses.

    Raises:
        ValueError: the four are not all of one shape [b]; [b, 1] would silently weigh all pairs.
    """
    _one_shape(positive, negative, positive_weight, negative_weight)
    return bpr_loss(positive_weight * positive, negative_weight * negative).mean()


def weighted_alignment(users: Tensor, items: Tensor, weight: Tensor) -> Tensor:
    """mean w+ ||e_u^ - e_i^||^2 over matching rows [b, d], scaled to length 1, and weights [b]."""
    distance = (unit_rows(users) - unit_rows(items)).square().sum(1)
    _one_shape(distance, weight)
    return (weight * distance).mean()


def _one_shape(*tensors: Tensor) -> None:
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1:
        raise ValueError(f"expected weights and values of one shape [b], found {shapes}")


def uniformity(rows: Tensor, scale: float) -> Tensor:
    """log of the mean of exp(-t ||x^ - y^||^2) over the pairs of different rows; O(n^2) memory.

    Args:
        rows: float [n, d]; with fewer than two rows there is no pair, and the term is zero.
        scale: t.
    """
    n = len(rows)
    if n < 2:
        return rows.sum() * 0.0
    unit = unit_rows(rows)
    cosines = unit @ unit.T  # ||x^ - y^||^2 = 2 - 2 cos
    # Rows of n + 1 that begin after the first value end on the diagonal. A boolean mask gives the
    # same values and takes more than twice as long.
    pairs = cosines.flatten()[1:].view(n - 1, n + 1)[:, :-1]
    return torch.log(torch.exp(2.0 * scale * (pairs - 1.0)).mean())


def matching_distance(real: Tensor, synthetic: Tensor) -> Tensor:
    """sum over embedding dimensions of 1 - cos of the gradients' columns; float [n, d] each.

    Not over rows: most users and items have no gradient in a batch. A column of zeros counts 1.
    """
    cosines = (unit_rows(real.T) * unit_rows(synthetic.T)).sum(1)
    return (1.0 - cosines).sum()


class Matching(NamedTuple):
    """The matching distance of a batch, a scalar, and the weights it depends on, float [b] each.

    ``columns``: how many gradient columns, each between 0 and 2, the distance is the sum of.
    """

    distance: Tensor
    columns: int
    positive: Tensor
    negative: Tensor

    def report(self) -> dict[str, float]:
        """What tells a generator that has collapsed, with all weights at one end, from others."""
        return {
            "matching_distance": float(self.distance),
            "matching_columns": self.columns,
            "positive_mean": float(self.positive.mean()),
            "positive_std": float(self.positive.std(unbiased=False)),
            "negative_mean": float(self.negative.mean()),
            "negative_std": float(self.negative.std(unbiased=False)),
        }


def id_tables(model: MultimodalRecommender) -> list[nn.Parameter]:
    """Parameters with a row per user, per item or per either; no raw features, no layers."""
    rows = {model.n_users, model.n_items, model.n_users + model.n_items}
    return [
        table
        for module in model.modules()
        if not isinstance(module, nn.Linear)
        for name, table in module.named_parameters(recurse=False)
        if table.dim() == 2 and len(table) in rows and not name.startswith("feature_")
    ]


@method("BOD")
class BODTrainer(MethodTrainer):
    """Two levels: weighted training inside, and outside the generator that gives the weights.

    Inner step, every batch, with w+ = G(e_u, e_i) and w- = G(e_u, e_j) held fixed:
      mean -log sigmoid(w+ s_ui - w- s_uj) + ``alignment_weight`` (mean w+ ||e_u^ - e_i^||^2
      + ``uniformity_ratio`` (2 U(users) + U(positives) + U(negatives)) / 4)
      + the backbone's auxiliary loss.
    Outer step, ``outer_steps`` times before each epoch, on a random batch: G makes the gradients
    of weighted BPR and of weighted alignment in the ID tables point the same way
    (``matching_distance``, a sum over columns), plus ``weight_prior`` times the number of columns
    times mean (w - 1)^2. The recommender stands still meanwhile, in evaluation mode. The first
    ``warmup_epochs`` have w = 1 and no outer step.

    The generator's weights, between ``weight_floor`` and 1, are divided by their mean in the batch,
    which the paper does not do. Weights multiply scores, so a factor that all have in common only
    sets the temperature of the BPR term: the lower, the more its gradient resembles that of
    alignment. The scores grow to make up for it, the weights fall again, and so on to the floor.
    Also, weights around 1/2 would halve the weighted terms against uniformity, which has no weight.

    A backbone without a ranking term (BM3) has its own per-sample term weighted by w+, and the
    weighted BPR over drawn negatives, times ``bod_ranking_weight``, on top: w- acts on negatives
    only, and without BPR there would be no first gradient to match.

    Defects of the authors' code, and what runs here:
      a. weights [b, 1] times scores [b] made [b, b] products: one weight per pair, shapes checked;
      b. the outer w+ read (e_u, e_u): it reads (e_u, e_i);
      c. the generator's regulariser did not depend on it: weight decay, and the prior above;
      d. one outer step per epoch left the weights near 1/2: ``outer_steps``, and weights of mean 1;
      e. the epoch was chosen on the test split: it is chosen on the validation split, as ever;
      f. gradients of the outer step stayed in the recommender's: they never get there.
    """

    needs_negatives = True

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
        self.warmup_epochs: int = config["warmup_epochs"]
        self.alignment_weight: float = config["alignment_weight"]
        self.uniformity_ratio: float = config["uniformity_ratio"]
        self.ranking_weight: float = (
            1.0 if model.has_ranking_term else float(config["bod_ranking_weight"])
        )
        self.own_seed = self.seed_apart(0xB0D)
        self.own_generator = torch.Generator().manual_seed(self.own_seed)

    def on_fit_start(self, splits: Splits, dataset: Any) -> None:
        """Builds the generator, as wide as the backbone's scoring vectors."""
        config, device = self.config, self.device
        size = self.model.vector_width()
        with torch.random.fork_rng():
            torch.manual_seed(self.own_seed)
            made = WeightGenerator(size, config["generator_width"], config["weight_floor"])
        self.weight_generator = made.to(device)
        self.weight_optimizer = torch.optim.Adam(
            self.weight_generator.parameters(),
            lr=config["generator_learning_rate"],
            weight_decay=config["generator_weight_decay"],
            fused=self.fused,
        )
        self.tables = id_tables(self.model)
        if not self.tables:
            raise InputError(
                f"BOD finds no embedding table of users or items in {config['model']}",
                where="method",
                mend="Choose another backbone.",
            )

    # Inner level -----------------------------------------------------------------------------

    def batch_loss(self, batch: Batch) -> Tensor:
        """The inner step's loss."""
        model: MultimodalRecommender = self.model
        users, items = model.propagate()
        vectors = model.batch_vectors(batch, users, items, with_negatives=True)
        positive_weight, negative_weight = self.fixed_weights(batch, vectors)
        ranking = weighted_bpr(*logits(vectors), positive_weight, negative_weight)
        loss = self.ranking_weight * ranking
        if not model.has_ranking_term:
            term = model.positive_term(batch, users, items, vectors)
            loss = loss + (positive_weight * term).mean()
        alignment = weighted_alignment(vectors.users, vectors.positives, positive_weight)
        sphere = alignment + self.uniformity_ratio * self.mean_uniformity(vectors)
        loss = loss + self.alignment_weight * sphere
        return loss + model.auxiliary_loss(batch, users, items, vectors)

    @torch.no_grad()
    def fixed_weights(self, batch: Batch, vectors: BatchVectors) -> tuple[Tensor, Tensor]:
        """w+ and w- of a batch without gradient, float [b] each; ones during the warm-up."""
        if self.epoch < self.warmup_epochs:
            ones = vectors.users.new_ones(len(vectors.users))
            return ones, ones
        positive, negative = self.weights(vectors)
        self.note_suspicion(batch, 1.0 - positive)
        return positive, negative

    def weights(self, vectors: BatchVectors) -> tuple[Tensor, Tensor]:
        """G(e_u, e_i) and G(e_u, e_j), float [b] each, with a mean of 1 over both."""
        assert vectors.negatives is not None
        generator = self.weight_generator
        return scaled_to_one(
            generator(vectors.users, vectors.positives),
            generator(vectors.users, vectors.negatives),
        )

    def mean_uniformity(self, vectors: BatchVectors) -> Tensor:
        """Mean of U over users, users, positives, negatives; some rows of each.

        A batch is in random order, so its first rows are a sample.
        """
        n, t = self.config["uniformity_sample"], self.config["uniformity_scale"]
        parts = [part[:n] for part in vectors if part is not None]
        users, positives, negatives = (uniformity(part, t) for part in parts)
        return (2.0 * users + positives + negatives) / 4.0

    # Outer level -----------------------------------------------------------------------------

    def on_epoch_start(self, epoch: int) -> None:
        """The outer steps; none before the warm-up's end."""
        if epoch < self.warmup_epochs:
            return
        self.model.eval()  # no dropout, the whole graph: what a resumed run sees too
        batches = [self.random_batch() for _ in range(self.config["outer_steps"])]
        for batch in batches:
            found = self.outer_step(batch)
        if batches:
            self.diagnostics.setdefault("weights", []).append({"epoch": epoch, **found.report()})

    def random_batch(self) -> Batch:
        """Training interactions drawn with replacement, and a negative for each."""
        assert self.batches is not None
        train, size = self.batches.train, min(self.batches.batch_size, len(self.batches.train))
        rows = torch.randint(len(train), (size,), generator=self.own_generator)
        users = train.users[rows]
        negatives = self.batches.sampler.sample(users, self.own_generator)
        return Batch(users, train.items[rows], negatives, rows).to(self.device)

    def outer_step(self, batch: Batch) -> Matching:
        """One step of the generator."""
        found = self.match(batch)
        parameters = list(self.weight_generator.parameters())
        # Asked for these alone, autograd leaves the recommender's gradients as they are.
        gradients = torch.autograd.grad(self.outer_loss(found), parameters)
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient
        self.weight_optimizer.step()
        self.weight_optimizer.zero_grad()
        distance, columns, positive, negative = found
        return Matching(distance.detach(), columns, positive.detach(), negative.detach())

    def outer_loss(self, found: Matching) -> Tensor:
        """The matching distance and the prior on the weights, a scalar.

        The prior counts once per column: a wider or a further table then moves the weights no
        more than a narrow one does.
        """
        # Around each weight: their mean is 1, but they also collapse towards both ends at once.
        prior = (torch.cat([found.positive, found.negative]) - 1.0).square().mean()
        weight: float = self.config["weight_prior"]
        return found.distance + weight * found.columns * prior

    def match(self, batch: Batch) -> Matching:
        """How far the gradients of weighted BPR and of weighted alignment are apart."""
        users, items = self.model.propagate()
        vectors = self.model.batch_vectors(batch, users, items, with_negatives=True)
        positive, negative = self.weights(vectors)
        real = self.table_gradients(weighted_bpr(*logits(vectors), positive, negative))
        aligned = weighted_alignment(vectors.users, vectors.positives, positive)
        synthetic = self.table_gradients(aligned)
        pairs = [
            (left, right)
            for left, right in zip(real, synthetic)
            if left is not None and right is not None
        ]
        distances = [matching_distance(left, right) for left, right in pairs]
        columns = sum(left.shape[1] for left, _ in pairs)
        return Matching(torch.stack(distances).sum(), columns, positive, negative)

    def table_gradients(self, loss: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients in the ID tables, differentiable in the weights; None where there is none."""
        return torch.autograd.grad(loss, self.tables, create_graph=True, allow_unused=True)

    # Checkpoints -----------------------------------------------------------------------------

    def method_state(self) -> dict[str, Any]:
        """Generator, its optimizer and its random state."""
        return {
            "generator": self.weight_generator.state_dict(),
            "optimizer": self.weight_optimizer.state_dict(),
            "random": self.own_generator.get_state(),
        }

    def load_method_state(self, state: dict[str, Any]) -> None:
        """Continues with the saved generator."""
        self.weight_generator.load_state_dict(state["generator"])
        self.weight_optimizer.load_state_dict(state["optimizer"])
        self.own_generator.set_state(state["random"].cpu())
