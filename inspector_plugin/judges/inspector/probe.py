"""A probe: a few classifiers, each on its own representation, whose probabilities are averaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from inspector_plugin.data.problems import problem_key
from inspector_plugin.judges.inspector.classifiers import Array, ProbeClassifier
from inspector_plugin.judges.inspector.crossfit import CrossFitted
from inspector_plugin.judges.inspector.inputs import Inputs, Reading
from inspector_plugin.judges.inspector.layout import PromptLayout
from inspector_plugin.judges.inspector.published import PublishedClassifier
from inspector_plugin.judges.inspector.representation import JoinedRepresentation, Representation
from inspector_plugin.judges.inspector.temperature import tempered
from inspector_plugin.lm.forward import FloatArray, Pooled
from inspector_plugin.lm.plan import Feature
from inspector_plugin.schema.criteria import Criterion


@dataclass(frozen=True)
class ProbeMember:
    """One classifier and what it looks at."""

    representation: Representation | JoinedRepresentation
    classifier: ProbeClassifier | PublishedClassifier


TRAINED_ON = "trained-on"
# A criterion that was learnt on another data set than the one that is judged.
TRANSFERRED = "transferred"


@dataclass(frozen=True)
class Seen:
    """What probes see of a batch of responses.

    Attributes:
        pooled: For each feature [rows, width].
        questions: The problems, in the form that the probes were trained on.
        responses: The responses, in that form as well.
    """

    pooled: Pooled
    questions: Sequence[str]
    responses: Sequence[str]

    @cached_property
    def _inputs(self) -> dict[Reading, Inputs]:
        return {}

    def inputs(self, reading: Reading) -> Inputs:
        """What a cross-fitted model looks at, made once."""
        if reading not in self._inputs:
            self._inputs[reading] = Inputs.of(self.pooled, reading, self.questions, self.responses)
        return self._inputs[reading]


@dataclass(frozen=True)
class Prediction:
    """What a probe says of a batch.

    Attributes:
        probabilities: Of each label, [rows, labels] float64; each row sums to 1.
        labels: Index of each row's label where it is not the likeliest one, [rows]; else None.
        flags: Remarks on each row.
    """

    probabilities: Array
    labels: Array | None
    flags: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Probe:
    """A probe for one criterion, ready to use.

    Attributes:
        criterion: The criterion whose scores it learnt.
        layout: How a request is laid out as a prompt.
        members: The classifiers.
        record: What its card says besides: rows, problems, figures, the classifier's settings,
            and the temperature where it is calibrated.
    """

    criterion: Criterion
    layout: PromptLayout
    members: tuple[ProbeMember, ...]
    record: Mapping[str, Any]

    @cached_property
    def problem_keys(self) -> frozenset[str]:
        """The problems that it was trained on, by `problem_key`; none if its card names none."""
        return frozenset(self.record.get("problem_keys", ()))

    def features(self) -> set[Feature]:
        """The features that the probe asks for."""
        return {feature for member in self.members for feature in member.representation.features()}

    def predict(self, seen: Seen) -> Prediction:
        """Judge a batch; what the probe was trained on is flagged."""
        known = [problem_key(question) in self.problem_keys for question in seen.questions]
        return Prediction(
            self.probabilities(seen.pooled),
            self.labels(seen.pooled),
            [(TRAINED_ON,) if each else () for each in known],
        )

    def probabilities(self, pooled: Pooled) -> Array:
        """Return the probability of each label.

        Args:
            pooled: For each feature [rows, width].

        Returns:
            [rows, labels] float64; each row sums to 1.
        """
        average = average_probabilities(
            self.members, lambda representation: representation.select(pooled)
        )
        return tempered(average, float(self.record.get("temperature", 1.0)))

    def labels(self, pooled: Pooled) -> Array | None:
        """Return the label of each row where the classifier decides it by other means.

        Args:
            pooled: For each feature [rows, width].

        Returns:
            [rows]; None where the label is the likeliest one.
        """
        if len(self.members) != 1:
            return None
        classifier = self.members[0].classifier
        if not isinstance(classifier, PublishedClassifier):
            return None
        return classifier.predict(self.members[0].representation.select(pooled))


@dataclass(frozen=True)
class CrossFittedProbe:
    """What the cross-fitted models of a pack say of one criterion.

    Attributes:
        criterion: The criterion.
        layout: How a request is laid out as a prompt.
        models: The models; the probes of a pack share them.
        record: What its card says besides.
    """

    criterion: Criterion
    layout: PromptLayout
    models: CrossFitted
    record: Mapping[str, Any]

    def features(self) -> set[Feature]:
        """The features that the models ask for."""
        return set(self.models.reading.features)

    def predict(self, seen: Seen) -> Prediction:
        """Judge a batch, each problem by models that never saw it."""
        inputs = seen.inputs(self.models.reading)
        probabilities = self.models.probabilities(inputs, self.criterion.key)
        always = (TRANSFERRED,) if "transferred_from" in self.record else ()
        return Prediction(
            probabilities, None, [(*flags, *always) for flags in self.models.flags(inputs)]
        )


AnyProbe = Probe | CrossFittedProbe


def average_probabilities(
    members: Sequence[ProbeMember], features: Callable[[Any], FloatArray]
) -> Array:
    """Average the probabilities of several classifiers.

    Args:
        members: The classifiers.
        features: Returns the features of a representation, [rows, features].

    Returns:
        [rows, labels] float64.
    """
    each = [member.classifier.probabilities(features(member.representation)) for member in members]
    average: Array = np.mean(each, axis=0)
    return average
