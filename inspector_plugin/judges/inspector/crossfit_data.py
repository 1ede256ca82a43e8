"""The features of all training texts, from one pass of the language model each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from inspector_plugin.judges.inspector.crossfit_training import TrainingData
from inspector_plugin.judges.inspector.inputs import Inputs, state_features
from inspector_plugin.judges.inspector.layout import PromptLayout, bare_layout
from inspector_plugin.judges.inspector.question_forms import QUESTION_FORMS
from inspector_plugin.judges.inspector.training_texts import TrainingText
from inspector_plugin.lm.feature_store import FeatureStore, read_features
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.plan import ForwardPlan
from inspector_plugin.lm.tokens import encode
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE


def layout_of(dataset: str) -> PromptLayout:
    """Question and response alone, the question in the form that the data set's scores know."""
    form = dataset if dataset in QUESTION_FORMS else None
    return replace(bare_layout(ROSCOE[0]), question_form=form)


def training_data(
    texts: Sequence[TrainingText],
    language_model: LanguageModel,
    layer: int,
    store: FeatureStore,
    batch_size: int | None = None,
) -> TrainingData:
    """Run all texts through the language model, as far as that was not done before.

    A text without a token for the language model is left out.

    Args:
        texts: The texts, their questions in the form of their data set.
        language_model: The model whose hidden states are looked at.
        layer: The layer.
        store: Where features are kept.
        batch_size: The most prompts in a batch; None for as many as fit.
    """
    layout, features = bare_layout(ROSCOE[0]), state_features(layer)
    encodings = [
        encode(language_model, layout.segments(JudgeRequest(text.question, text.response)))
        for text in texts
    ]
    kept = [n for n, e in enumerate(encodings) if e.spans["response"][0] < e.spans["response"][1]]
    plan = ForwardPlan(features, batch_size)
    paths = store.extract(language_model, [encodings[n] for n in kept], plan)
    pooled = read_features(paths, {f: f.width(language_model) for f in features})
    chosen = tuple(texts[n] for n in kept)
    inputs = Inputs.of(pooled, layer, [t.question for t in chosen], [t.response for t in chosen])
    return TrainingData(chosen, inputs)
