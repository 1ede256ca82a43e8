"""Making what answers the prompt judge: an endpoint, its dry run, or a local language model."""

from __future__ import annotations

from dataclasses import replace

from inspector_plugin.errors import OptionError
from inspector_plugin.judges.prompt.dry_run import DryRun
from inspector_plugin.judges.prompt.keys import check_base_url, read_key, warn_of_plain_http
from inspector_plugin.judges.prompt.messages import Source
from inspector_plugin.judges.prompt.options import PromptOptions
from inspector_plugin.judges.prompt.prices import price_of


def make_source(options: PromptOptions) -> Source:
    """Make what answers, by its options.

    Args:
        options: Where and how to ask; with `model`.

    Raises:
        OptionError: If an option is unusable, or no key is found.
        ModelError: If a local model cannot be loaded.
    """
    assert options.model is not None
    price = price_of(options.model, options.prices)
    if options.base_url is None and options.dry_run:
        raise OptionError("dry_run is for endpoints; a model on this machine costs no money.")
    if options.base_url is None:
        from inspector_plugin.judges.prompt.local import LocalModel

        return LocalModel(options)
    if options.max_cost is not None and price is None:
        raise OptionError(
            f"max_cost needs the price of {options.model!r}, which is not in the table; give "
            "prices=FILE."
        )
    options = replace(options, base_url=check_base_url(options.base_url))
    if options.dry_run:
        return DryRun(options, price)
    from inspector_plugin.judges.prompt.endpoint import Endpoint

    key = read_key(options.key_env, options.key_file)
    if key is not None:
        warn_of_plain_http(options.base_url or "")
    return Endpoint(options, key, price)
