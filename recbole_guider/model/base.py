"""What every backbone shares: features, scoring by inner product, the losses' common form."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple, cast

import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType
from torch import Tensor, nn
from torch.nn import functional

from recbole_guider.data.sampler import Batch
from recbole_guider.errors import InputError

_PAIRS = 1 << 18  # scored at a time by score_pairs; bounds memory


class BatchVectors(NamedTuple):
    """Scoring vectors of a batch, one row per triple: s_ui = users . positives.

    ``negatives`` is None where neither backbone nor method needs them.
    """

    users: Tensor
    positives: Tensor
    negatives: Tensor | None


def bpr_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Per-triple BPR loss, -log sigmoid(s_ui - s_uj), float [b]."""
    return functional.softplus(negative - positive)


def embedding_norm(*matrices: Tensor) -> Tensor:
    """The toolboxes' L2 term: sum of (un-squared) Frobenius norms over the last matrix' rows."""
    total = torch.stack([matrix.norm(p=2) for matrix in matrices]).sum()
    return total / matrices[-1].shape[0]


class MultimodalRecommender(GeneralRecommender):
    """Base of all backbones.

    A backbone says how users and items are represented (``propagate``, and ``user_vectors`` and
    ``item_vectors`` where scoring adds a row-wise map) and what it optimises besides the ranking
    term (``auxiliary_loss``). The ranking term itself belongs to the method.

    Attributes:
        uses_modalities: whether the model reads item features at all.
        has_ranking_term: whether the model is trained to rank positives above negatives; one that
            is not states its per-sample ``positive_term`` instead.
        reads_imputed: whether what is imputed for an item without a modality changes anything.
        costly_rows: whether ``item_vectors`` is worth computing once per distinct item of a batch.
        modalities: names of the modalities in use.
    """

    input_type = InputType.PAIRWISE
    uses_modalities = True
    has_ranking_term = True
    reads_imputed = False
    costly_rows = False

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        if not hasattr(dataset, "splits"):
            raise InputError(
                f"{type(self).__name__} got a data set that was not built by this suite",
                mend="Import recbole_guider before RecBole's run functions are called, "
                "and build the data set before the model.",
            )
        self.splits = dataset.splits
        self.embedding_size: int = config["embedding_size"]
        self._cached: tuple[Tensor, Tensor] | None = None
        self.modalities: list[str] = []
        if self.uses_modalities:
            self._attach_features(dataset, bool(config["train_features"]))

    def _attach_features(self, dataset: Any, trainable: bool) -> None:
        features: dict[str, Tensor] = dataset.item_features()
        if not features:
            raise InputError(
                f"{type(self).__name__} needs at least one item modality and the data set has none",
                mend="Add a <name>.item<modality> file, or choose LightGCN.",
            )
        self.modalities = list(features)
        for name, matrix in features.items():
            if any(hasattr(table, name) for table in (nn.ModuleDict(), nn.ParameterDict())):
                # Backbones keep layers and tables by modality there, and it cannot be a key.
                raise InputError(
                    f"a modality cannot be called '{name}'", mend=f"Call it {name}_features."
                )
            if trainable:
                self.register_parameter(f"feature_{name}", nn.Parameter(matrix.clone()))
            else:
                self.register_buffer(f"feature_{name}", matrix, persistent=False)
            present: Tensor = dataset.items_with(name)
            complete = bool(present[1:].all())  # id 0 is padding
            self.register_buffer(f"present_{name}", None if complete else present, False)
            filled = None if complete or not trainable else matrix[1:][~present[1:]][0].clone()
            self.register_buffer(f"fill_{name}", filled, False)

    def feature(self, modality: str) -> Tensor:
        """Features of one modality, float32 [n_items, width]; imputed rows are never trained."""
        matrix: Tensor = getattr(self, f"feature_{modality}")
        filled: Tensor | None = getattr(self, f"fill_{modality}")
        if filled is None:
            return matrix
        # Weight decay would shrink these rows even without a gradient.
        return torch.where(cast(Tensor, self.present(modality))[:, None], matrix, filled)

    def present(self, modality: str) -> Tensor | None:
        """Which items have the modality, bool [n_items]; None where all of them have it.

        The rows of the others in ``feature`` are imputed, and say nothing of the item.
        """
        return cast("Tensor | None", getattr(self, f"present_{modality}"))

    def content_or_zero(self, modality: str, content: Tensor) -> Tensor:
        """The contents of all items, [n_items, d], with zeros where an item has none."""
        present = self.present(modality)
        return content if present is None else content * present[:, None]

    # What a backbone defines -----------------------------------------------------------------

    def propagate(self) -> tuple[Tensor, Tensor]:
        """Representations of all users [n_users, d] and items [n_items, d]."""
        raise NotImplementedError

    def user_vectors(self, users: Tensor, index: Tensor) -> Tensor:
        """Scoring vectors of the users in ``index``, from what ``propagate`` gave."""
        return functional.embedding(index, users)

    def item_vectors(self, items: Tensor, index: Tensor) -> Tensor:
        """Scoring vectors of the items in ``index``, from what ``propagate`` gave."""
        return functional.embedding(index, items)

    def positive_term(
        self, batch: Batch, users: Tensor, items: Tensor, vectors: BatchVectors
    ) -> Tensor:
        """Per-sample loss [b] of a backbone whose ``has_ranking_term`` is False."""
        raise NotImplementedError

    def auxiliary_loss(
        self, batch: Batch, users: Tensor, items: Tensor, vectors: BatchVectors
    ) -> Tensor:
        """Everything that is not the ranking term; a scalar."""
        return users.new_zeros(())

    def on_epoch_start(self, epoch: int) -> None:
        """Called before each training epoch, for what changes per epoch (edge pruning, graphs)."""

    # What follows from it --------------------------------------------------------------------

    def batch_vectors(
        self, batch: Batch, users: Tensor, items: Tensor, with_negatives: bool
    ) -> BatchVectors:
        """Scoring vectors of a batch's rows."""
        user_rows = self.user_vectors(users, batch.users)
        wanted = [batch.positives] + ([batch.negatives] if with_negatives else [])
        index = torch.cat(wanted)
        if self.costly_rows:
            distinct, place = torch.unique(index, return_inverse=True)
            rows = functional.embedding(place, self.item_vectors(items, distinct))
        else:
            rows = self.item_vectors(items, index)
        size = len(batch.positives)
        return BatchVectors(user_rows, rows[:size], rows[size:] if with_negatives else None)

    def representations(self) -> tuple[Tensor, Tensor]:
        """Scoring vectors of all users and items; one propagation per evaluation, then cached.

        Call in evaluation mode and without gradient.
        """
        if self._cached is not None and not torch.is_grad_enabled():
            return self._cached
        users, items = self.propagate()
        everyone = torch.arange(self.n_users, device=users.device)
        everything = torch.arange(self.n_items, device=items.device)
        vectors = self.user_vectors(users, everyone), self.item_vectors(items, everything)
        if not self.training and not torch.is_grad_enabled():
            self._cached = vectors
        return vectors

    @torch.no_grad()
    def vector_width(self) -> int:
        """Width of the scoring vectors; costs a propagation."""
        users, _ = self.propagate()
        one = torch.zeros(1, dtype=torch.int64, device=users.device)
        return int(self.user_vectors(users, one).shape[1])

    @torch.no_grad()
    def score_pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """s_ui of pairs, int64 [n] each, from the cached representations; float [n] on the CPU."""
        all_users, all_items = self.representations()
        blocks = zip(
            users.to(all_users.device).split(_PAIRS), items.to(all_users.device).split(_PAIRS)
        )
        scores = [(all_users[user] * all_items[item]).sum(-1).cpu() for user, item in blocks]
        return torch.cat(scores)

    def train(self, mode: bool = True) -> MultimodalRecommender:
        """Switches the mode and forgets cached representations."""
        self._cached = None
        super().train(mode)
        return self

    def _apply(self, *args: Any, **kwargs: Any) -> MultimodalRecommender:
        """Moves or casts the model and forgets cached representations."""
        self._cached = None
        super()._apply(*args, **kwargs)
        return self

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Loads weights and forgets cached representations."""
        self._cached = None
        return super().load_state_dict(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> MultimodalRecommender:
        """Copies the model; constant graphs, which torch cannot copy in CSR form, are shared."""
        memo.update({id(b): b for b in self.buffers() if b.layout == torch.sparse_csr})
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin

    def calculate_loss(self, interaction: Any) -> Tensor:
        """The backbone's native loss on a RecBole batch (users, items, negative items)."""
        users = interaction[self.USER_ID]
        batch = Batch(
            users, interaction[self.ITEM_ID], interaction[self.NEG_ITEM_ID], torch.zeros_like(users)
        )
        return self.native_loss(batch)

    def native_loss(self, batch: Batch) -> Tensor:
        """Mean BPR (or the backbone's own positive term) plus the auxiliary loss."""
        users, items = self.propagate()
        vectors = self.batch_vectors(batch, users, items, with_negatives=True)
        if self.has_ranking_term:
            term = bpr_loss(*logits(vectors))
        else:
            term = self.positive_term(batch, users, items, vectors)
        return term.mean() + self.auxiliary_loss(batch, users, items, vectors)

    def predict(self, interaction: Any) -> Tensor:
        """Scores of user-item pairs [b]."""
        users, items = self.representations()
        rows = users[interaction[self.USER_ID]] * items[interaction[self.ITEM_ID]]
        return rows.sum(-1)

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of every item for the given users, float [b * n_items]."""
        users, items = self.representations()
        return (users[interaction[self.USER_ID]] @ items.T).view(-1)


def logits(vectors: BatchVectors) -> tuple[Tensor, Tensor]:
    """s_ui and s_uj of a batch, float [b] each."""
    if vectors.negatives is None:
        raise ValueError("these batch vectors were made without negatives")
    positive = (vectors.users * vectors.positives).sum(-1)
    return positive, (vectors.users * vectors.negatives).sum(-1)
