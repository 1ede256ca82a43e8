"""Score-token logits of many requests, the hidden states behind them kept on disk.

The states at the last token serve every scale, final norm on or off, and every way of aggregating:
a second run over the same prompts computes nothing anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inspector_plugin.judges.lager.prompts import PromptForm
from inspector_plugin.judges.lager.readings import LogitReader, reading_point
from inspector_plugin.lm.feature_store import FeatureStore, read_features
from inspector_plugin.lm.forward import FloatArray
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.plan import ForwardPlan
from inspector_plugin.lm.score_logits import last_position_states
from inspector_plugin.lm.score_tokens import find_score_position
from inspector_plugin.schema.criteria import Scale
from inspector_plugin.schema.records import JudgeRequest


def extract_logits(
    language_model: LanguageModel,
    form: PromptForm,
    requests: Sequence[JudgeRequest],
    scale: Scale,
    store: FeatureStore,
    batch_size: int | None = None,
) -> FloatArray:
    """Read the score-token logits of requests, as far as that was not done before.

    Args:
        language_model: The model.
        form: What surrounds a request, with an answer prefix at its end.
        requests: The requests, at least one, each with one criterion on that scale.
        scale: The scale whose labels are read.
        store: Where the hidden states are kept.
        batch_size: The most prompts in a batch; None for as many as fit.

    Returns:
        [requests, 2, L + 1, K] float32: first without, then with the final norm on the states
        below the last.

    Raises:
        ModelError: If the scores are not single tokens.
    """
    position = find_score_position(language_model, form.closing(scale), scale.labels)
    points = [
        reading_point(
            language_model, form.segments(request, request.criteria[0]), position, not form.chat
        )
        for request in requests
    ]
    reader = LogitReader(language_model, batch_size)
    reader.head(position.score_ids)
    features = last_position_states(language_model.layers)
    paths = store.extract(
        language_model,
        [point.encoding for point in points],
        ForwardPlan(features, batch_size),
        "Score-token logits",
    )
    pooled = read_features(paths, dict.fromkeys(features, language_model.hidden_size))
    hidden = np.stack([pooled[feature] for feature in features], axis=1)
    return np.stack(reader.unembed(hidden, points))
