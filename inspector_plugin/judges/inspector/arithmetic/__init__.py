"""Checked arithmetic: what the calculations of a response say about it, without a gold answer.

`check_arithmetic` finds the equations and verifies them exactly, `quantities` and `used_quantities`
compare a response's numbers with those of the problem, and `arithmetic_features` sums it all up in
a vector for a probe. Nothing is evaluated as code, all sizes are bounded, and the time grows
linearly with the text.
"""

from __future__ import annotations

from inspector_plugin.judges.inspector.arithmetic.equations import (
    ArithmeticReport,
    Equation,
    check_arithmetic,
)
from inspector_plugin.judges.inspector.arithmetic.features import (
    ARITHMETIC_FEATURES,
    arithmetic_features,
    final_answer,
)
from inspector_plugin.judges.inspector.arithmetic.quantities import (
    Quantity,
    QuantityUse,
    quantities,
    used_quantities,
)
from inspector_plugin.judges.inspector.arithmetic.tokens import strip_annotations

__all__ = [
    "ARITHMETIC_FEATURES",
    "ArithmeticReport",
    "Equation",
    "Quantity",
    "QuantityUse",
    "arithmetic_features",
    "check_arithmetic",
    "final_answer",
    "quantities",
    "strip_annotations",
    "used_quantities",
]
