"""The documentation as a site: make site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.addnodes import pending_xref

project = "inspector_plugin"
author = "the authors of inspector_plugin"
copyright = "Apache-2.0"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["schemas"]
html_theme = "furo"
html_title = "inspector_plugin"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
# Headings can be linked to by their words, as on a page of a repository.
myst_heading_anchors = 4
# Words in code blocks such as `...` are no program, and nothing to warn of.
highlight_language = "text"


def _leave_out_links_out_of_the_site(app: Any, tree: Any) -> None:
    """Leave a link to what is in the repository, but not in the site, as its text."""
    for link in list(tree.findall(pending_xref)):
        target = Path(app.srcdir) / link.get("reftarget", "")
        if ".." in target.parts and target.exists():
            link.replace_self(link.children)


def setup(app: Any) -> None:
    """Connect what Sphinx calls while it builds."""
    app.connect("doctree-read", _leave_out_links_out_of_the_site)
