"""RecBole's data set with item modalities, fixed splits and ratings kept aside."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource, FeatureType
from torch import Tensor

from recbole_guider.data.files.feature_table import load_table
from recbole_guider.data.files.interaction_file import bad_row, check_file
from recbole_guider.data.fingerprint import fingerprint
from recbole_guider.data.modality import ItemFeatures, align
from recbole_guider.data.modality_choice import choose_modalities, find_modalities, missing_policies
from recbole_guider.data.neighbours import ItemNeighbours, item_neighbours, user_neighbours
from recbole_guider.data.noise import inject, removed_rows, swap_content
from recbole_guider.data.prepare import not_installed
from recbole_guider.data.splits import PHASES, Interactions, Splits, first_occurrence
from recbole_guider.errors import InputError, nearest_name

# Column that carries the ratings as given through RecBole's filtering, normalising and shuffling.
_RATING_AS_GIVEN = "_rating_as_given"


class MultimodalDataset(Dataset):
    """A RecBole data set that also knows its items' modalities and its splits.

    What differs from RecBole's: a 0/1/2 column (``split_label_field``) in ``<name>.inter`` fixes
    the split without shuffling; interactions of validation and test users without a training
    interaction are dropped, as in the MMRec toolbox; a pair that occurs twice in a phase counts
    once; ids, and so the candidates of a recommendation, come from the interaction files only.

    Args:
        config: RecBole's ``Config``; ``data_path`` is the data set's own folder. Reads
            ``modalities``, ``missing_modality``, ``unknown_item``, ``split_label_field``,
            ``split_seed``, ``noise_ratio``, ``removed_ratio``, ``content_noise``, ``noise_seed``
            and RecBole's keys.

    Attributes:
        modalities: names of the loaded modalities, in configured order.
        data_hash: SHA-256 over the files that determine the data.
        splits: after ``build``, on this and on the three built data sets.
        phase: ``train``, ``valid`` or ``test`` on a built data set, else None.
        removed: after ``build``, the training interactions that ``removed_ratio`` took away, or
            None.

    Raises:
        InputError: a file is missing or wrong; the message says where and how to mend it.
    """

    modalities: list[str]
    data_hash: str
    splits: Splits
    phase: str | None
    removed: Interactions | None

    def item_features(self) -> dict[str, Tensor]:
        """Returns each modality's float32 [n_items, width] on the CPU; row 0 is zeros."""
        return {name: self._features[name].values for name in self.modalities}

    def items_with(self, modality: str) -> Tensor:
        """Returns bool [n_items]: which items have a row in the modality's file."""
        return self._features[modality].present

    def swapped_items(self, modality: str) -> Tensor:
        """Returns bool [n_items]: which items carry another's row, by ``content_noise``."""
        return self._swapped[modality]

    def item_neighbours(self, modality: str, k: int) -> ItemNeighbours:
        """Returns the k nearest items by cosine in one modality, each item itself included.

        Kept in the hidden folder ``.graphs`` beside the atomic files, under a hash of the features.
        """
        return item_neighbours(self._features[modality], k, self._graphs)

    def user_neighbours(self, k: int) -> tuple[Tensor, Tensor]:
        """Returns the k users with most training items in common; kept as item neighbours are.

        Returns:
            Neighbours and numbers of shared items, int64 [n_users, k] each; after ``build``.
        """
        return user_neighbours(self.splits, k, self._graphs)

    @property
    def _graphs(self) -> Path:
        return Path(self.dataset_path) / ".graphs"

    def build(self) -> list[MultimodalDataset]:
        """Returns the training, validation and test data sets, which share ``splits``.

        Raises:
            InputError: a phase is left without interactions.
        """
        parts = self._split_by_ratio() if self._split_labels is None else self._split_by_label()
        if len(parts) != len(PHASES):
            raise InputError(
                f"the split has {len(parts)} parts; expected {', '.join(PHASES)}",
                where="benchmark_filename" if self.benchmark_filename_list else "eval_args",
                mend="Name a file, or a share, for each",
            )
        self._clean(parts)
        train, valid, test = (self._interactions(part.inter_feat) for part in parts)
        self.splits = Splits(train, valid, test, self.user_num, self.item_num)
        ratio = float(self.config["noise_ratio"] or 0.0)
        if ratio > 0:
            self.splits = inject(self.splits, ratio, int(self.config["noise_seed"]))
            parts[0].inter_feat = self._with_injected(parts[0].inter_feat)
        self.removed = self._remove(parts[0])
        for part, phase in zip(parts, PHASES):
            part.phase, part.splits, part.removed = phase, self.splits, self.removed
            if _RATING_AS_GIVEN in part.inter_feat:
                part.inter_feat.drop(_RATING_AS_GIVEN)
        return list(parts)

    # Overridden steps of RecBole's loading, in the order in which it calls them.

    def _get_preset(self) -> None:
        super()._get_preset()
        self.phase = self.removed = None
        self._split_labels: np.ndarray[Any, Any] | None = None
        folder = Path(self.dataset_path)
        if not folder.is_dir():
            raise not_installed(self.dataset_name, folder)
        found = find_modalities(folder, self.dataset_name)
        self._modality_files = choose_modalities(self.config["modalities"], found)
        self._missing = missing_policies(self.config["missing_modality"], found)
        self.modalities = list(self._modality_files)

    def _load_data(self, token: str, dataset_path: str) -> None:
        parts = self.benchmark_filename_list or [""]
        for part in parts:
            file = ".".join(filter(None, [token, part, "inter"]))
            needed = [self.uid_field, self.iid_field]
            check_file(Path(dataset_path) / file, needed, *self._file_format())
        self.data_hash = fingerprint(dataset_path, token)
        super()._load_data(token, dataset_path)

    def _get_load_and_unload_col(self, source: Any) -> tuple[Any, Any]:
        load, unload = super()._get_load_and_unload_col(source)
        if source == FeatureSource.INTERACTION:
            needed = {self.uid_field, self.iid_field, self.config["RATING_FIELD"]}
            if self.benchmark_filename_list is None:
                needed.add(self.config["split_label_field"])
            needed.discard(None)
            load = load | needed if load is not None else None
            unload = unload - needed if unload is not None else None
        return load, unload

    def _load_feat(self, filepath: str, source: Any) -> Any:
        try:
            feat = super()._load_feat(filepath, source)
        except ValueError as error:  # also pandas' parser errors
            raise self._bad_row(filepath) from error
        if source == FeatureSource.INTERACTION:
            if feat[[self.uid_field, self.iid_field]].isna().any(axis=None):
                raise self._bad_row(filepath)
            if np.isinf(feat.select_dtypes("number")).any(axis=None):
                raise self._bad_row(filepath)
            self._read_split_labels(feat, filepath)
        return feat

    def _fill_nan(self) -> None:
        with warnings.catch_warnings():  # RecBole's way of filling works up to pandas 2 only
            warnings.simplefilter("ignore", FutureWarning)
            super()._fill_nan()

    def _set_label_by_threshold(self) -> None:
        # The rows are final here, and no value is changed yet.
        field, rating = self.config["split_label_field"], self.config["RATING_FIELD"]
        if self._has_split_labels(self.inter_feat):
            self._split_labels = self.inter_feat[field].to_numpy()
            self._del_col(self.inter_feat, field)
        is_number = self.field2type.get(rating) == FeatureType.FLOAT
        self._ratings = (
            self.inter_feat[rating].to_numpy() if rating in self.inter_feat and is_number else None
        )
        super()._set_label_by_threshold()

    def _preload_weight_matrix(self) -> None:
        super()._preload_weight_matrix()
        if self._ratings is not None:
            self.inter_feat[_RATING_AS_GIVEN] = self._ratings
            self.field2type[_RATING_AS_GIVEN] = FeatureType.FLOAT
        items = self.field2id_token[self.iid_field]
        self._features: dict[str, ItemFeatures] = {}
        self._swapped: dict[str, Tensor] = {}
        shares = self._content_noise()
        for name, path in self._modality_files.items():
            self._features[name] = align(
                load_table(path),
                items,
                path,
                self._missing[name],
                self.config["unknown_item"] or "error",
            )
            self._swapped[name] = torch.zeros(len(items), dtype=torch.bool)
            if shares.get(name):
                self._features[name], self._swapped[name] = swap_content(
                    self._features[name], shares[name], int(self.config["noise_seed"]), name
                )
            # RecBole's get_preload_weight(name) then gives the same rows.
            self._preloaded_weight[name] = self._features[name].values.numpy()

    def _change_feat_format(self) -> None:
        super()._change_feat_format()
        self.field2type.pop(_RATING_AS_GIVEN, None)  # not a column that a model may see

    # Our own steps.

    def _file_format(self) -> tuple[str, str]:
        return self.config["field_separator"], self.config["encoding"] or "utf-8"

    def _bad_row(self, filepath: str) -> InputError:
        """The first bad value, found again in the file: pandas skips blank lines uncounted."""
        label = None if self.benchmark_filename_list else self.config["split_label_field"]
        names = [self.uid_field, self.iid_field]
        return bad_row(Path(filepath), *self._file_format(), names, label)

    def _has_split_labels(self, feat: Any) -> bool:
        return self.benchmark_filename_list is None and self.config["split_label_field"] in feat

    def _read_split_labels(self, feat: Any, filepath: str) -> None:
        if not self._has_split_labels(feat):
            return
        field = self.config["split_label_field"]
        labels = pd.to_numeric(feat[field], errors="coerce")
        wrong = ~labels.isin([0, 1, 2]).to_numpy()
        if wrong.any():
            raise self._bad_row(filepath)
        feat[field] = labels.astype(np.float64)
        self.field2type[field] = FeatureType.FLOAT

    def _split_by_ratio(self) -> list[MultimodalDataset]:
        """RecBole's split, drawn by ``split_seed``: the same for every seed of a comparison."""
        with torch.random.fork_rng(devices=[]):
            if self.config["split_seed"] is not None:
                torch.default_generator.manual_seed(int(self.config["split_seed"]))
            parts: list[MultimodalDataset] = super().build()
        return parts

    def _split_by_label(self) -> list[MultimodalDataset]:
        self._change_feat_format()
        self._drop_unused_col()
        labels = torch.as_tensor(self._split_labels)
        return [self.copy(_rows(self.inter_feat, labels == part)) for part in range(len(PHASES))]

    def _clean(self, parts: list[MultimodalDataset]) -> None:
        """Drops cold users from validation and test, and repeated pairs from each phase."""
        known = torch.zeros(self.user_num, dtype=torch.bool)
        known[parts[0].inter_feat[self.uid_field]] = True
        cold = repeated = 0
        for part, phase in zip(parts, PHASES):
            users, items = part.inter_feat[self.uid_field], part.inter_feat[self.iid_field]
            first = first_occurrence(users * self.item_num + items)
            keep = known[users] & first
            cold += int((~known[users]).sum())
            repeated += int((known[users] & ~first).sum())
            if not keep.any():
                raise InputError(
                    f"no interaction is left for {phase}",
                    where=self.dataset_path,
                    mend="Check the split; users without a training interaction do not count",
                )
            if not keep.all():
                part.inter_feat = _rows(part.inter_feat, keep)
        if cold:
            self.logger.warning(
                f"{self.dataset_name}: dropped {cold} validation and test interactions of users "
                "without a training interaction"
            )
        if repeated:
            self.logger.warning(
                f"{self.dataset_name}: dropped {repeated} repeated interactions within a phase"
            )

    def _with_injected(self, feat: Any) -> Any:
        """RecBole's columns with the injected pairs as further rows; what they lack is NaN or 0."""
        train = self.splits.train
        assert train.injected is not None
        own = {self.uid_field: train.users, self.iid_field: train.items}
        added = int(train.injected.sum())
        columns = {}
        for name, values in feat.interaction.items():
            lacking = torch.nan if values.is_floating_point() else 0
            rows = values.new_full((added, *values.shape[1:]), lacking)
            given = own[name][train.injected] if name in own else rows
            columns[name] = torch.cat([values, given])
        return Interaction(columns)

    def _remove(self, train: MultimodalDataset) -> Interactions | None:
        """Takes ``removed_ratio`` of the training interactions away and returns them."""
        ratio = float(self.config["removed_ratio"] or 0.0)
        if ratio == 0:
            return None
        gone = removed_rows(self.splits, ratio, int(self.config["noise_seed"]))
        train.inter_feat = _rows(train.inter_feat, ~gone)
        given = self.splits.train
        self.splits = replace(self.splits, train=given.only(~gone))
        return given.only(gone)

    def _content_noise(self) -> dict[str, float]:
        """Returns the share of each loaded modality's items that get another's row."""
        given = self.config["content_noise"] or 0.0
        if not isinstance(given, dict):
            return dict.fromkeys(self.modalities, float(given))
        for name in given:
            if name not in self.modalities:
                raise InputError(
                    f"unknown modality '{name}'",
                    where="content_noise",
                    mend=nearest_name(str(name), self.modalities),
                )
        return {name: float(share) for name, share in given.items()}

    def _interactions(self, feat: Any) -> Interactions:
        columns = feat.interaction
        return Interactions(
            columns[self.uid_field], columns[self.iid_field], columns.get(_RATING_AS_GIVEN)
        )


def _rows(feat: Any, keep: Tensor) -> Any:
    return Interaction({name: feat[name][keep] for name in feat})
