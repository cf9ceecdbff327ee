"""The contract of a backend: a native simulator as an env."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch

from envcli.envs.env import Env
from envcli.errors import ConfigError
from envcli.rows.announced import check_mode

__all__ = ["AvailableEnvs", "Backend", "ByName", "single", "step_limit"]

T = TypeVar("T")

_NAME = inspect.Parameter("name", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="str")

_OF_BATCHES = {"num_envs", "num_workers"}
_ONE_ENV = "It is one env. For several, type: parallel=processes parallel.num_envs=... (or parallel=serial)"


class ByName:
    """The constructor as ``from_name``, so that its arguments are declared once: ``from_name = ByName()``.

    ``name`` stands for what the constructor cannot do without, or else for its first argument; all else is called as
    there, and has its defaults. Arguments that the class lists in ``of_python`` are none here: they
    are for its constructor alone.

    Args:
        parts: what each of those arguments is, from the name; None: it is the name itself.
    """

    def __init__(self, parts: Callable[[str], Sequence[str]] | None = None) -> None:
        self._parts = parts

    def __get__(self, instance: object, owner: type[T]) -> Callable[..., T]:
        return _FromName(owner, self._parts)


class _FromName(Generic[T]):
    """``from_name`` of a class. The keys of a YAML are checked against its signature."""

    def __init__(self, owner: type[T], parts: Callable[[str], Sequence[str]] | None) -> None:
        self._owner, self._parts = owner, parts
        self._of_python: Sequence[str] = getattr(owner, "of_python", ())

    def __call__(self, name: str, *others: Any, **options: Any) -> T:
        """The env called ``name``; everything else is the constructor's."""
        if refused := {*options} & {*self._of_python}:
            said = f"{name} does not take these options: {', '.join(sorted(refused))}."
            cure = "Type seed=... by itself" if "seed" in refused else "Leave them out"
            raise ConfigError(f"{said} {_ONE_ENV if refused & _OF_BATCHES else cure}")
        named = (name,) if self._parts is None else self._parts(name)
        return self._owner(*named, *others, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        said = list(inspect.signature(self._owner.__init__).parameters.values())[1:]
        placed = [p for p in said if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        named = [p.name for p in placed if p.default is p.empty] or [p.name for p in placed[:1]]
        hidden = (*named, "name", *self._of_python)
        return inspect.Signature([_NAME, *(p for p in said if p.name not in hidden)])

    @property
    def without_effect(self) -> tuple[str, ...]:
        """What the class takes for TorchRL's sake alone: see :func:`envcli.vocabulary.signature.call`."""
        found: tuple[str, ...] = getattr(self._owner, "without_effect", ())
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _FromName) and (self._owner, self._parts) == (other._owner, other._parts)

    def __hash__(self) -> int:
        return hash((self._owner, self._parts))

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self._owner, "from_name")


class AvailableEnvs(Generic[T]):
    """``GymEnv.available_envs`` and ``env.available_envs``, as TorchRL has them: no call.

    Args:
        listed: what they are, of a class.
    """

    def __init__(self, listed: Callable[[Any], T]) -> None:  # Any: the type of a Backend
        self._listed = listed

    def __get__(self, instance: object, owner: type[Any]) -> T:
        return self._listed(owner)


class Backend(Env):
    """An env around one object of another library, reachable as ``_env``.

    Public attributes that are not our own are the native env's. A subclass names its ``library``, builds from a name
    (``from_name``), lists the names it knows (``available_names``), and writes the hooks of ``RowEnv``.

    A simulator that is many envs by nature, because it steps them at once, is ``batched``: its ``from_name`` takes
    ``num_envs: int | None = None`` too and makes an env of ``batch_size`` ``[num_envs]``; None: as few as it can, one
    without a batch dimension or a batch of one.

    Args:
        native: the other library's env. It is closed with this one.
        frame_skip: how often each action is repeated; None: as often as the simulator itself does. Rewards are summed,
            and an episode that ends on the way ends the repetition.
        checks: when what the simulator returns is held against what it announces of its observations, and reward and
            flags against what they must be (a finite number, true or false): ``"first"``: at the first reset and the
            first step of each rollout; ``"full"``: at every one; ``"off"``: never. numpy would write a wrong shape,
            None or another dtype into a row without a word, and one NaN spoils a data set. ``"full"`` costs 4 % of
            CartPole's steps, and less where steps take longer. ``"first"`` is the default: it costs nothing that can be
            measured, and no long run stops late for a bound that is missed by a rounding.
        device, batch_size: see :class:`~envcli.Env`. Of what is one env, ``batch_size`` is empty, whoever names it.
        convert_actions_to_numpy, allow_done_after_reset, spec_locked: TorchRL's, taken for its sake where its classes
            take them. A simulator always gets numpy's arrays, flags are false after a reset, and specs can be assigned
            at any time.

    Raises:
        ConfigError: ``frame_skip`` is not at least 1, or there are no such ``checks``.
    """

    library: ClassVar[str]
    batched: ClassVar[bool] = False

    def __init__(
        self,
        native: Any,
        *,
        frame_skip: int | None = None,
        checks: str = "first",
        device: torch.device | str | None = None,
        batch_size: object = (),
    ) -> None:
        super().__init__(device=device, batch_size=batch_size)
        whole = isinstance(frame_skip, int) and not isinstance(frame_skip, bool)
        if frame_skip is not None and (not whole or frame_skip < 1):
            raise ConfigError(
                f"frame_skip: expected a whole number of at least 1, found {frame_skip!r}. 1 repeats nothing; "
                "null leaves it to the simulator"
            )
        self.checks = check_mode(checks)
        self._env = native
        self.frame_skip = frame_skip

    @classmethod
    def from_name(
        cls,
        name: str,
        *,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        pixels_only: bool = True,
        device: torch.device | str | None = None,
        **options: Any,
    ) -> Self:
        """The env called ``name``. ``options`` go to the native constructor. What a YAML chooses must write this.

        ``from_name = ByName()`` is enough where the constructor takes the name.

        Raises:
            UnknownName: there is no such env; says the nearest.
            ConfigError: the native constructor does not take an option, or misses a library; or this class wraps an env
                that exists already.
        """
        raise ConfigError(f"{cls.__name__} wraps an existing env, and cannot make {name!r}")

    @classmethod
    @abstractmethod
    def available_names(cls) -> list[str]:
        """The names that ``from_name`` takes, sorted."""

    @classmethod
    def needed_for(cls, name: str) -> str:
        """What to type before the env called ``name`` can run here; empty: nothing, as far as is known."""
        return ""

    @classmethod
    def facts(cls, name: str) -> str:
        """What ``envcli list`` says of the env called ``name`` beside it, in a few words; empty: nothing."""
        return ""

    @classmethod
    def absorb(
        cls, node: Mapping[str, Any], transforms: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """A configuration in which work that the simulator can do itself has moved from ``transforms`` to ``node``.

        Both are as a YAML has them. Nothing moves unless a subclass knows better; what has moved is not done twice.
        """
        return node, transforms

    @property
    def step_seconds(self) -> float | None:
        """How long a step takes in the simulator's own time, in seconds; None where it has no clock."""
        return None

    @property
    def frames_per_step(self) -> int | None:
        """How many frames of the simulator a step takes: ``frame_skip``, or its own; None where that differs."""
        return self.frame_skip or 1

    def _native_calls(self) -> Iterator[tuple[Any, str, str]]:
        """The calls of the simulator itself, to be measured: an object, the name of its method, and the kind of work.

        That is ``"steps"``, ``"resets"`` or ``"pixels"``. Each attribute is looked up by ``_bind`` or later, so that
        another function may be put there after the env is made.
        """
        for name, kind in (("step", "steps"), ("reset", "resets")):
            if callable(getattr(self._env, name, None)):
                yield self._env, name, kind
        if (pixels := getattr(self, "_pixels", None)) is not None:
            yield pixels, "_render", "pixels"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "_env" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return self._native_attribute(name)

    def _native_attribute(self, name: str) -> Any:
        return getattr(self._env, name)

    def _set_further_in(self, name: str, value: Any) -> None:
        setattr(self._env, name, value)

    def _refuse_options(self, library: str) -> None:
        """Raise ConfigError if a reset has options, which this engine does not take."""
        if self._reset_request.options:
            found = ", ".join(self._reset_request.options)
            raise ConfigError(f"reset: {library} takes no options, found {found}. To seed it: env.set_seed(seed)")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(env={self._native_name()}, batch_size={self.batch_size}, device={self.device})"

    def _native_name(self) -> str:
        return str(self._env)

    def _close(self) -> None:
        self._env.close()


def single(name: str, batch_size: Any) -> None:
    """Raise ConfigError unless ``batch_size``, which TorchRL's constructors take, is that of one env."""
    if batch_size is not None and len(torch.Size(batch_size)):
        raise ConfigError(
            f"batch_size: found {list(batch_size)}, but a {name} is a single env. For several, write "
            "envcli.ParallelEnv(num_envs, make) or envcli.SerialEnv(num_envs, make)"
        )


def step_limit(steps: int | None, usual: int) -> int:
    """``max_episode_steps``, or the ``usual`` number where it is None. Raises ConfigError unless it is a count.

    >>> step_limit(None, usual=200), step_limit(0, usual=200)
    (200, 0)
    """
    if steps is None:
        return usual
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise ConfigError(f"max_episode_steps: found {steps!r}, expected a whole number of at least 0 (0: no limit).")
    return steps
