"""The door to Ray: a cluster, and room on it for actors. Nobody else imports ray."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import threading
from collections.abc import Sequence
from typing import Any

from envcli.batch.undisturbed import undisturbed
from envcli.errors import EnvError, MissingDependency

__all__ = ["Gone", "RayCluster"]

_STORE = 2**27  # bytes of Ray's object store for each actor, and for this process: a few stretches of rows
_NO_MACHINE = "its machine was lost"
_DETAIL = re.compile(r"exit detail: (?P<detail>.*?)\.(?: |$)")


class Gone(Exception):
    """An actor will never answer. ``str()`` says what happened to it, ``report`` all that Ray knows.

    ``with_machine``: so will none on its machine, also if Ray gives room there for a while yet.
    """

    def __init__(self, reason: str, report: str) -> None:
        super().__init__(reason)
        self.report, self.with_machine = report, reason == _NO_MACHINE


class RayCluster:
    """Room for ``actors`` actors on a Ray cluster, spread over its machines as far as they go.

    The cluster is the one that this process is connected to already; or the one at ``address``; or a new one on this
    machine, which ends with the last of those who use it. One that was there before is left as it was.

    Args:
        actors: how many.
        cpus: that are kept for each; 0: none, and there is room anywhere.
        address: ``host:port`` or ``ray://host:port``, ``auto`` for one that runs on this machine, ``local`` for a new
            one; None: what ``RAY_ADDRESS`` says, else ``local``.
        patience: seconds until there has to be room; 0: no limit.

    Raises:
        MissingDependency: Ray is not installed.
        EnvError: no such cluster, or it has no room.
    """

    _users = 0  # of the connection that was made here
    _ours = False

    def __init__(self, actors: int, cpus: float, address: str | None, patience: float) -> None:
        self._ray = _library()
        self._place: Any = None
        self._cpus = cpus
        self._connect(address, actors)
        try:
            if cpus:
                self._reserve(actors, patience)
        except BaseException:
            self.close()
            raise

    def _connect(self, address: str | None, actors: int) -> None:
        if not self._ray.is_initialized():
            address = address or os.environ.get("RAY_ADDRESS") or "local"
            fresh: dict[str, Any] = {}
            if address == "local":  # Ray takes a third of the machine's memory for its store unless told otherwise
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                os.environ.setdefault("RAY_worker_niceness", "0")  # with its 15 our actors wait for whoever is there
                fresh = {"num_cpus": max(actors, _whole(actors * self._cpus)), "include_dashboard": False}
                fresh["object_store_memory"] = _STORE * (actors + 1)
            with _usual_sigterm():
                try:
                    self._ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **fresh)
                except (ConnectionError, RuntimeError, ValueError, OSError) as error:
                    reason = str(error).strip().split("\n")[0]
                    raise EnvError(f"no Ray cluster at {address!r}: {reason}. See parallel.address") from error
            RayCluster._ours = True
            _hush(self._ray)
        RayCluster._users += 1

        self._open = True

    def _reserve(self, actors: int, patience: float) -> None:
        """Keep room for all actors: that of a lost one stays its successor's, or is found elsewhere."""
        from ray.util.placement_group import placement_group

        self._place = placement_group([{"CPU": self._cpus}] * actors, strategy="SPREAD")
        if not self._place.wait(patience or 2**31):
            free = self._ray.available_resources().get("CPU", 0)
            raise EnvError(
                f"the Ray cluster has no room for {actors} actors of {self._cpus:g} CPUs after {patience:g} s: "
                f"{free:g} of its {self._ray.cluster_resources().get('CPU', 0):g} CPUs are free. "
                "Use fewer (parallel.num_actors), or reserve none (parallel.cpus_per_actor=0)"
            )

    def hire(self, index: int, kind: type, *args: Any) -> Any:
        """An actor of class ``kind``, in the room of that ``index``. It is made when Ray gets to it."""
        options: dict[str, Any] = {"num_cpus": self._cpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        if self._place is not None:
            from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(self._place, index)
        return self._ray.remote(kind).options(**options).remote(*args)

    def first(self, refs: Sequence[Any], patience: float) -> list[Any]:
        """Those of ``refs`` that are there, once one is; none if ``patience`` seconds have gone by, 0: never mind."""
        ready: list[Any] = self._ray.wait(list(refs), num_returns=1, timeout=patience or None)[0]
        return ready

    def fetch(self, ref: Any) -> Any:
        """What ``ref`` stands for. Raises :class:`Gone` where it will never be."""
        try:
            return self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            raise Gone(_reason(error), str(error)) from None

    def dismiss(self, actor: Any) -> None:
        """End an actor, whatever it does."""
        with contextlib.suppress(Exception):  # the cluster itself may be gone
            self._ray.kill(actor)

    def close(self) -> None:
        """Give the room back, and leave the cluster."""
        if not self._open:
            return
        self._open = False
        with undisturbed():
            if self._place is not None:
                from ray.util.placement_group import remove_placement_group

                with contextlib.suppress(Exception):
                    remove_placement_group(self._place)
            RayCluster._users -= 1
            if RayCluster._ours and not RayCluster._users:
                RayCluster._ours = False
                self._ray.shutdown()


def _library() -> Any:  # Any: a library that may not be there
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise MissingDependency("ray", "parallel=ray", "ray") from error
    return ray


def _whole(number: float) -> int:
    return -int(-number // 1)


def _reason(error: Exception) -> str:
    """What became of an actor, in a few words; ``error`` itself takes a dozen lines."""
    text = " ".join(str(error).split())
    if "node" in text and ("died" in text or "dead" in text or "terminated" in text) and "worker process" not in text:
        return _NO_MACHINE
    if "OutOfMemory" in type(error).__name__ or "low on memory" in text:
        return "it was ended because its machine ran out of memory"
    found = _DETAIL.search(text)
    return f"its process died ({found['detail']})" if found else f"its process died ({type(error).__name__})"


def _hush(ray: Any) -> None:
    """Ray prints a paragraph about each lost process to stdout, which is for the answer; we say it ourselves."""
    ray._private.worker._worker_logs_enabled = False


@contextlib.contextmanager
def _usual_sigterm() -> Any:
    """Ray puts a handler of its own on SIGTERM, for good."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
