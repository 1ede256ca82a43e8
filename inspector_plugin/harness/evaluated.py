"""The model that lm_eval evaluates, for judges that need the same weights."""

from __future__ import annotations

import gc
import sys
from typing import Any


def offer_evaluated_models() -> None:
    """Offer the models that lm_eval's backend `hf` has loaded to our judges.

    lm_eval makes its model before its tasks, and does not hand it to them: it is looked up among
    the objects of this process. Models with adapters or delta weights, of another revision,
    quantised or spread over several devices are left alone: they are not what a judge would load.
    """
    backend = sys.modules.get("lm_eval.models.huggingface")
    if backend is None:
        return
    from inspector_plugin.lm.loading import offer_model

    for each in gc.get_objects():
        if issubclass(type(each), backend.HFLM) and _is_as_stored(each):
            offer_model(each.pretrained, each.model)


def _is_as_stored(backend: Any) -> bool:
    """Whether a model is one that a judge would load from the same folder."""
    model = getattr(backend, "model", None)
    if model is None or not isinstance(getattr(backend, "pretrained", None), str):
        return False
    altered = backend.peft or backend.delta or hasattr(model.config, "quantization_config")
    altered = altered or backend.revision != "main"
    places = {(parameter.device, parameter.dtype) for parameter in model.parameters()}
    return not altered and not model.training and len(places) == 1
