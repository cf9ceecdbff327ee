"""Where Hydra looks for YAML files besides ours."""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from envcli import catalog, extensions

__all__ = ["SearchPath"]


class SearchPath(SearchPathPlugin):
    """The folders of ``ENVCLI_CONFIG_PATH`` come before ours and can replace a file of ours; those that installed
    packages bring come after them, and add to them."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """See Hydra, which asks before each composition."""
        for place in reversed(catalog.extra_folders()):
            search_path.prepend(provider="ENVCLI_CONFIG_PATH", path=f"file://{place}")
        for place in extensions.folders():
            search_path.append(provider="envcli.conf", path=f"file://{place}")
