"""A probe: a few classifiers, each on its own representation, whose probabilities are averaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from inspector_plugin.judges.inspector.classifiers import Array, ProbeClassifier
from inspector_plugin.judges.inspector.layout import PromptLayout
from inspector_plugin.judges.inspector.published import PublishedClassifier
from inspector_plugin.judges.inspector.representation import JoinedRepresentation, Representation
from inspector_plugin.lm.forward import FloatArray, Pooled
from inspector_plugin.lm.plan import Feature
from inspector_plugin.schema.criteria import Criterion


@dataclass(frozen=True)
class ProbeMember:
    """One classifier and what it looks at."""

    representation: Representation | JoinedRepresentation
    classifier: ProbeClassifier | PublishedClassifier


@dataclass(frozen=True)
class Probe:
    """A probe for one criterion, ready to use.

    Attributes:
        criterion: The criterion whose scores it learnt.
        layout: How a request is laid out as a prompt.
        members: The classifiers.
        record: What its card says besides: rows, problems, figures, the classifier's settings.
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

    def probabilities(self, pooled: Pooled) -> Array:
        """Return the probability of each label.

        Args:
            pooled: For each feature [rows, width].

        Returns:
            [rows, labels] float64; each row sums to 1.
        """
        return average_probabilities(
            self.members, lambda representation: representation.select(pooled)
        )

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
