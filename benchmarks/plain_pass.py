"""Whether the judge `inspector` gives the labels of a plain pass, row by row.

    python benchmarks/plain_pass.py --data ../shared/data --rows 200

The plain pass is transformers' own call, each prompt alone and in full, all hidden states kept;
what the probes take in is pooled from them here. The packs that ship, the fast ones (--packs fast)
or those of a folder, both kinds of labels. Prints how many labels are equal and the greatest
difference of a score, before `judge_all` rounds scores to four digits.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from inspector_plugin.data.scored_rows import read_scored, sample
from inspector_plugin.judges.inspector.judge import InspectorJudge
from inspector_plugin.judges.inspector.options import InspectorOptions
from inspector_plugin.judges.inspector.pack_choice import packs_root
from inspector_plugin.judges.inspector.pack_folders import find_pack, model_folder
from inspector_plugin.judges.inspector.packs import label_scale, read_pack
from inspector_plugin.judges.inspector.probe import AnyProbe, Seen
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.lm.plan import Feature
from inspector_plugin.lm.tokens import encode
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE_KEYS

MODEL = "smollm2-135m-instruct"
LABELS = ("multiclass", "binary")
POOL = {
    "mean": lambda states: states.mean(axis=0),
    "last": lambda states: states[-1],
    "min": lambda states: states.min(axis=0),
    "max": lambda states: states.max(axis=0),
}


class PlainPass:
    """Hidden states of one prompt at a time, kept for the next probe that reads the same prompt."""

    def __init__(self, language_model: LanguageModel) -> None:
        self._language_model = language_model
        self._token_ids: tuple[int, ...] = ()
        self._hidden_states: tuple[torch.Tensor, ...] = ()

    def probabilities(self, probe: AnyProbe, request: JudgeRequest) -> np.ndarray:
        """What a probe says of a request, [labels]."""
        read = probe.layout.read(request)
        seen = Seen(self._features(probe, request), [read.question], [read.response])
        return np.asarray(probe.predict(seen).probabilities[0])

    @torch.inference_mode()
    def _features(self, probe: AnyProbe, request: JudgeRequest) -> Mapping[Feature, np.ndarray]:
        """Pool what a probe takes in, [1, width] each."""
        layout = probe.layout
        encoding = encode(self._language_model, layout.segments(request), suffixes=layout.suffixes)
        if encoding.token_ids != self._token_ids:
            token_ids = torch.tensor([encoding.token_ids])
            output = self._language_model.model(token_ids, output_hidden_states=True)
            self._token_ids, self._hidden_states = encoding.token_ids, output.hidden_states
        pooled = {}
        for feature in probe.features():
            states = self._hidden_states[feature.layer + 1][0].numpy()
            span = states[slice(*encoding.spans[feature.span])]
            pooled[feature] = POOL[feature.pooling](span)[None]
        return pooled


def compare(packs: str | None, requests: Sequence[JudgeRequest]) -> None:
    """Judge both ways, and print how the results differ."""
    plain = PlainPass(load_language_model(MODEL))
    judged, probes = {}, {}
    for labels in LABELS:
        options = InspectorOptions(model=MODEL, probes=packs, labels=labels)
        with InspectorJudge(options) as judge:
            judged[labels] = judge.judge(requests)  # as it is: `judge_all` would round
        root = packs_root(packs)
        probes[labels] = read_pack(find_pack(model_folder(root, MODEL), "gsm8k", labels)).probes
    equal: dict[str, list[bool]] = {labels: [] for labels in LABELS}
    difference = dict.fromkeys(LABELS, 0.0)
    for place, request in enumerate(tqdm(requests)):
        for key in ROSCOE_KEYS:
            for labels in LABELS:
                score, probe = judged[labels][place].scores[key], probes[labels][key]
                assert score.score is not None, score.reason
                probabilities = plain.probabilities(probe, request)
                scale = np.array(label_scale(probe.criterion, labels).labels)
                equal[labels].append(int(scale[probabilities.argmax()]) == score.label)
                off = abs(float(probabilities @ scale) - score.score)
                difference[labels] = max(difference[labels], off)
    for labels in LABELS:
        of = f"{sum(equal[labels])} of {len(equal[labels])} labels equal"
        print(f"{labels}: {of}, scores within {difference[labels]:.1e}")


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--packs", help="a folder, or fast; default: the packs that ship")
    parser.add_argument("--rows", type=int, default=200, help="drawn by seed 0")
    options = parser.parse_args()
    scored = read_scored(options.data / "reference" / "gsm8k.deepseek-v3.jsonl")
    requests = [
        JudgeRequest(row.question, row.response, dataset="gsm8k")
        for row in sample(scored, options.rows, 0)
    ]
    compare(options.packs, requests)


if __name__ == "__main__":
    main()
