"""All training texts with their features, from one pass of the language model each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from inspector_plugin.data.folds import fold_of
from inspector_plugin.judges.inspector.inputs import Inputs, Reading
from inspector_plugin.judges.inspector.layout import PromptLayout, bare_layout
from inspector_plugin.judges.inspector.packs import label_scale
from inspector_plugin.judges.inspector.question_forms import QUESTION_FORMS
from inspector_plugin.judges.inspector.response_forms import SOLUTION
from inspector_plugin.judges.inspector.styles import STYLES
from inspector_plugin.judges.inspector.training_texts import FOLDS, SCORED, SOLUTIONS, TrainingText
from inspector_plugin.lm.feature_store import FeatureStore, read_features
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.plan import ForwardPlan
from inspector_plugin.lm.tokens import encode
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Excluded = frozenset[int]


@dataclass(frozen=True)
class TrainingData:
    """All texts with what models see of them.

    Attributes:
        texts: The texts.
        inputs: Their features.
    """

    texts: tuple[TrainingText, ...]
    inputs: Inputs

    @cached_property
    def folds(self) -> Ints:
        """The fold of each text's own problem, [texts]."""
        return np.array([fold_of(text.problems[0], FOLDS) for text in self.texts])

    @cached_property
    def _folds_held(self) -> Bools:
        """Of which folds each text holds a problem, [texts, folds]."""
        held = np.zeros((len(self.texts), FOLDS), dtype=bool)
        for row, text in zip(held, self.texts, strict=True):
            row[list(text.folds)] = True
        return held

    def without(self, excluded: Excluded) -> Bools:
        """Which texts hold no problem of some folds, [texts]."""
        return np.logical_not(self._folds_held[:, list(excluded)].any(axis=1))

    @cached_property
    def real(self) -> Bools:
        """Which texts were not made, [texts]."""
        return np.array([text.kind is None for text in self.texts])

    @cached_property
    def natural(self) -> Bools:
        """Which texts models wrote as they answer, right and wrong ones as they come, [texts]."""
        return self.real & np.isin(self.origins, (SCORED, SOLUTIONS))

    @cached_property
    def restyled(self) -> Bools:
        """Which texts are real solutions in another style, [texts]."""
        return np.array([text.kind in STYLES for text in self.texts])

    def of_kinds(self, kinds: Sequence[str]) -> Bools:
        """Which texts were made in one of some kinds, [texts]."""
        return np.array([text.kind in kinds for text in self.texts])

    @cached_property
    def origins(self) -> npt.NDArray[np.str_]:
        """Where each text comes from, [texts]."""
        return np.array([text.origin for text in self.texts])

    @cached_property
    def datasets(self) -> npt.NDArray[np.str_]:
        """The data set of each text, [texts]."""
        return np.array([text.dataset for text in self.texts])

    def labels(self, key: str, labels: str, dataset: str) -> Ints:
        """Index of each text's label on a criterion, -1 where it has none, [texts].

        Args:
            key: The criterion.
            labels: "multiclass" or "binary".
            dataset: Texts of other data sets have none.
        """
        found = np.full(len(self.texts), -1)
        for index, text in enumerate(self.texts):
            row = text.scores.get(key)
            if row is not None and text.dataset == dataset:
                scale = label_scale(row.criterion, labels)
                own = row.scale == scale
                found[index] = scale.labels.index(row.label) if own else int(row.is_high)
        return found

    def correctness(self) -> Ints:
        """1 for a right solution, 0 for a wrong one, -1 where nobody says, [texts]."""
        return np.array([-1 if text.correct is None else int(text.correct) for text in self.texts])

    def goodness(self, key: str) -> Ints:
        """1 for good on a criterion, 0 for made bad, -1 for neither, [texts]."""
        return np.array([0 if t.breaks(key) else 1 if t.is_good(key) else -1 for t in self.texts])


def layout_of(dataset: str) -> PromptLayout:
    """Question and response alone, the question in the form that the data set's scores know."""
    form = dataset if dataset in QUESTION_FORMS else None
    return replace(bare_layout(ROSCOE[0]), question_form=form, response_form=SOLUTION)


def training_data(
    texts: Sequence[TrainingText],
    language_model: LanguageModel,
    reading: Reading,
    store: FeatureStore,
    batch_size: int | None = None,
    form: str | None = SOLUTION,
) -> TrainingData:
    """Run all texts through the language model, as far as that was not done before.

    A text without a token for the language model is left out.

    Args:
        texts: The texts, their questions in the form of their data set.
        language_model: The model.
        reading: What is looked at.
        store: Where features are kept.
        batch_size: The most prompts in a batch; None for as many as fit.
        form: The name in `RESPONSE_FORMS` of how responses are read; None for as they are.
    """
    layout = replace(bare_layout(ROSCOE[0]), response_form=form)
    read = [layout.read(JudgeRequest(text.question, text.response)) for text in texts]
    encodings = [encode(language_model, layout.laid_out(each)) for each in read]
    kept = [n for n, e in enumerate(encodings) if e.spans["response"][0] < e.spans["response"][1]]
    plan = ForwardPlan(reading.features, batch_size)
    paths = store.extract(language_model, [encodings[n] for n in kept], plan)
    pooled = read_features(paths, {f: f.width(language_model) for f in reading.features})
    chosen = tuple(texts[n] for n in kept)
    inputs = Inputs.of(
        pooled, reading, [read[n].question for n in kept], [read[n].response for n in kept]
    )
    return TrainingData(chosen, inputs)
