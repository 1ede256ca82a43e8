"""`inspector plan`: what to do next, and what it costs, from what is there already.

Each action has a file of its own, `cli/plan_ACTION.py`, with `add_action`; add it to `ACTIONS`.
"""

from __future__ import annotations

from inspector_plugin.cli import flags, plan_cascade, plan_labels

ACTIONS = (plan_labels, plan_cascade)


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("plan", description="plan what to judge or label next")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for module in ACTIONS:
        module.add_action(actions)
