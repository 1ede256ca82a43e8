"""`inspector rubric`: rubrics, and what can be done with them.

Each action but the smallest has a file of its own, `cli/rubric_ACTION.py`, with `add_action`; add
it to `ACTIONS`.
"""

from __future__ import annotations

from inspector_plugin.cli import (
    flags,
    rubric_diff,
    rubric_eval,
    rubric_generate,
    rubric_lint,
    rubric_refine,
    rubric_show,
    rubric_tune,
)

ACTIONS = (
    rubric_generate,
    rubric_lint,
    rubric_show,
    rubric_diff,
    rubric_refine,
    rubric_tune,
    rubric_eval,
)


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "rubric", description="generate, check, show, compare, refine, tune and evaluate rubrics"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for module in ACTIONS:
        module.add_action(actions)
