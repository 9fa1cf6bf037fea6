"""Storage backends that are not ours: what they hold is learned from SGLang's own calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sglang.srt.mem_cache.storage.backend_factory import StorageBackendFactory

from scalesim.deployments.engine.storage.known_pages import KnownPages
from scalesim.errors import ConfigurationError

DYNAMIC = "dynamic"
"""A backend of any package: its options name the class."""

_CLASS = ("module_path", "class_name", "backend_name")


def check(name: str, options: Mapping[str, Any]) -> None:
    """Check that a backend can be imported here.

    Raises:
        ConfigurationError: It cannot; says why.
    """
    known = StorageBackendFactory._registry
    if name not in (DYNAMIC, *known):
        choices = ", ".join(sorted((DYNAMIC, *known)))
        raise ConfigurationError(f"engine.storage_backend is {name!r}: use one of {choices}")
    lacking = [field for field in _CLASS if name == DYNAMIC and field not in options]
    if lacking:
        raise ConfigurationError(
            f"engine.storage_backend is {DYNAMIC!r}: engine.storage_options need {lacking} too"
        )
    try:
        if name == DYNAMIC:
            StorageBackendFactory._load_backend_class(*(options[field] for field in _CLASS))
        else:
            known[name]["loader"]()
    except Exception as error:
        raise ConfigurationError(
            f"engine.storage_backend {name!r} cannot be imported ({error!r}): install what it "
            "needs where the engine runs"
        ) from error


def is_read_ahead(config: Any) -> bool:
    """Return whether reads may be begun before a request asks for them.

    All ranks of an engine must begin reads in one order, and each sees its own shard's pages come
    and go at its own time: with several ranks only requests, which all of them see, read.

    Args:
        config: HiCache's `storage_config`.
    """
    return bool(config.tp_size == config.pp_size == config.attn_cp_size == 1)


def watched(controller: Any, quota_bytes: int) -> KnownPages:
    """Return the pages that a backend said it wrote or found from now on.

    It may lose any of them unseen: that is noted when it is asked for one the next time.

    Args:
        controller: HiCache's; its calls of the backend are wrapped, on its own threads.
        quota_bytes: Most bytes of pages remembered.
    """
    pages = KnownPages(quota_bytes)
    size = controller.storage_host_pool.get_dummy_flat_data_page().nbytes
    write, read = controller.page_set_func, controller.page_get_func
    query = controller._storage_hit_query

    def written(names: list[str], *where: Any) -> Any:
        done = write(names, *where)
        if done:
            for name in names:
                pages.add(name, size)
        return done

    def was_read(operation: Any, names: list[str], *where: Any) -> Any:
        arrived = 0
        try:
            arrived = read(operation, names, *where)
        finally:
            if not operation.is_terminated():
                pages.remove(names[arrived:])
        return arrived

    def queried(operation: Any) -> Any:
        found, tokens = query(operation)
        for name in found:
            pages.add(name, size)
        pages.remove(operation.all_hash_values[len(found) :])
        return found, tokens

    controller.page_set_func, controller.page_get_func = written, was_read
    controller._storage_hit_query = queried
    return pages
