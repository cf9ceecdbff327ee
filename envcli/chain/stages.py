"""The stages of a transformed env: the specs after each transform, and which memory its entries have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import IntEnum
from typing import cast

import torch

from envcli.errors import EnvcliError, TransformError
from envcli.keys import Key, NestedKey, as_path, as_user_key, under_next
from envcli.memory.buffer import Layout, Recolour, RolloutBuffer
from envcli.rows.env_specs import FAMILIES, EnvSpecs
from envcli.rows.roles import Roles
from envcli.rows.row_env import RowEnv
from envcli.rows.row_layout import group_parts
from envcli.specs import Composite
from envcli.transforms.transform import KEYS, Transform

__all__ = ["Change", "Stages", "keys_of"]


class Change(IntEnum):
    """How an env's entries change when an attribute of a transform is set."""

    NOTHING = 0
    BOUNDS = 1  # the same rows may hold other values
    ROWS = 2  # other entries, shapes, dtypes or roles


class Stages:
    """Stage 0 is the base env, stage ``i`` what the first ``i`` transforms make of it.

    An entry of a stage either has the user's memory, under the same name or another, or is private to the chain: one
    row that stands for every time.

    Attributes:
        specs: what each stage shows and takes.
        roles: of the entries that the last stage shows, by the user's names.
        private_reads: (stage, path) of what a step reads and the chain itself keeps up to date, each memory once.
        private_flags: (stage, path) of flags of the done family whose ``next`` the chain itself clears before a step.
        recoloured: the images that the base env draws as the first transform that looks at them makes them: what that
            makes of each colour. In memory, they have one channel from the base env on.
        keys: of each transform, as they were when the stages were worked out: see :func:`keys_of`.

    Raises:
        TransformError: a transform does not fit where it stands.
    """

    def __init__(self, base: RowEnv, chain: Sequence[Transform]) -> None:
        self.base = base
        self.chain = list(chain)
        self.specs: list[EnvSpecs] = [_widened(base, self.chain)]
        for transform in self.chain:
            self.specs.append(_after(self.specs[-1], transform))
        self.layouts = [dict(specs._row_layout()) for specs in self.specs]
        self._added = [base._roles(), *map(_roles_added, self.chain, self.specs[1:])]
        values = list(map(_of_values, self.specs, self.layouts))
        self._rewritten = list(map(_rewritten, self.chain, self.specs, values, values[1:]))
        self.recoloured = self._recoloured()
        self.private_reads = self._private_reads()
        self.private_flags = self._private_flags()
        self.roles = self._roles()
        self.keys = list(map(keys_of, self.chain))

    def has_other_keys(self) -> bool:
        """Have the keys of a transform changed since? Asked before each step, so the lists are not copied."""
        for transform, keys in zip(self.chain, self.keys, strict=True):
            own = transform.__dict__
            for name, was in keys.items():
                if own[name] != was:
                    return True
        return False

    def change_by(self, transform: Transform) -> Change:
        """How the specs after ``transform`` change, now that one of its attributes was set."""
        found = Change.NOTHING
        for i, own in enumerate(self.chain):
            if own is transform:
                found = max(found, _change(self.specs[i + 1], _after(self.specs[i], transform)))
        return found

    def _roles(self) -> Roles:
        last, masks, stages = self.specs[-1], self._masks(), list(enumerate(self._added))
        leaves = self._outside((i, path) for i, roles in stages for path in roles.writes_back)
        carries = [(i, path) for i, roles in stages for path in roles.recurrent]
        for stage, path in carries:
            if self.outside(stage, path) is None and path in self.layouts[-1]:
                raise TransformError(
                    f"{type(self.chain[stage - 1]).__name__}: a later transform rewrites {as_user_key(path)!r}, "
                    "and what a policy writes there would be lost. Put that one before it, or name its keys"
                )
        states = ((i, path) for i, specs in enumerate(self.specs) for path in specs.state_spec.leaves())
        hidden = {path for stage, path in states if self.outside(stage, path) is None}
        hidden |= {self.outside(0, path) or path for path in self._added[0].hidden_states}
        reads = self._outside(self._reads()) | set(masks.values())
        return replace(
            last._roles(),
            reads=reads - leaves - set(last.full_action_spec.leaves()),
            writes_back=leaves,
            recurrent=self._outside(iter(carries)),
            hidden_states=hidden & set(last.observation_spec.leaves()),
            masks=masks,
            end_flags=self._outside((i, path) for i, roles in stages for path in roles.end_flags),
            independent_ends=self._outside((i, path) for i, roles in stages for path in roles.independent_ends),
            reset_reads_input=self._added[0].reset_reads_input,
            reward_transforms=self._reward_transforms(),
        )

    def _reward_transforms(self) -> list[str]:
        found = list(self._added[0].reward_transforms)
        for i, transform in enumerate(self.chain):
            before, after = (set(specs.full_reward_spec.leaves()) for specs in self.specs[i : i + 2])
            if not self._rewritten[i].isdisjoint(map(under_next, before & after)):
                found.append(type(transform).__name__)
        return found

    def _recoloured(self) -> dict[Key, Recolour]:
        found = {}
        for image in self.base._recolours:
            stage = self._first_look(image)
            recolour = None if stage is None else self._recolour_of(stage, image)
            if stage is None or recolour is None:
                continue
            found[image] = recolour
            for layout in self.layouts[: stage + 1]:
                for path in (image, under_next(image)):
                    shape, dtype = layout[path]
                    layout[path] = torch.Size([*shape[:-1], 1]), dtype
        return found

    def _first_look(self, image: Key) -> int | None:
        """The first transform that looks at ``image``; None: there is none, or another is in doubt."""
        for stage, transform in enumerate(self.chain):
            if image in map(as_path, transform.in_keys):
                return stage
            renames, rewritten = transform._renames(), self._rewritten[stage]
            named = image in renames or image in renames.values() or image in rewritten
            heeds_only_keys = vars(type(transform)).get("_heeds_only_keys", False)  # of a subclass, nobody knows
            if named or not heeds_only_keys or transform._hook_plan.on_tensordicts:
                return None
        return None

    def _recolour_of(self, stage: int, image: Key) -> Recolour | None:
        """What the transform after ``stage`` makes of each colour of ``image``; None: more, or it shows both."""
        transform = self.chain[stage]
        keys = [
            (as_path(before), as_path(after))
            for before, after in zip(transform.in_keys, transform.out_keys, strict=False)
        ]
        return transform._recolour() if keys.count((image, image)) == 1 else None

    def outside(self, stage: int, path: Key) -> Key | None:
        """The user's name for the memory that is ``path`` at ``stage``; None: it is private."""
        for i in range(stage, len(self.chain)):
            renamed, layout = self.chain[i]._renames(), self.layouts[i + 1]
            if path not in renamed and (path in self._rewritten[i] or path in renamed.values()):
                return None
            path = renamed.get(path, path)
            if path not in layout:
                return None
        return path

    # -- memory ---------------------------------------------------------------------------------------------------

    def buffers(self, outer: RolloutBuffer) -> list[RolloutBuffer]:
        """The memory of every stage, where ``outer`` is that of the last."""
        found, place = [outer], self.base._row_memory.place()
        for i, transform in reversed(list(enumerate(self.chain))):
            seen = found[0].reshaped(self.specs[i].batch_size)
            found.insert(0, seen.behind(self.layouts[i], self._rewritten[i], transform._renames(), place))
        return found

    def reads_of(self, stage: int) -> set[Key]:
        """What a step of ``stage`` reads at the root besides the action, by the names of that stage."""
        added = (roles.reads for roles in self._added[: stage + 1])
        return set(self.specs[stage].state_spec.leaves()).union(*added)

    def _private_reads(self) -> list[tuple[int, Key]]:
        found = {self._innermost(stage, path) for stage, path in self._reads() if self.outside(stage, path) is None}
        return [(stage, path) for stage, path in sorted(found) if under_next(path) in self.layouts[stage]]

    def _private_flags(self) -> list[tuple[int, Key]]:
        flags = ((i, under_next(path)) for i, specs in enumerate(self.specs) for path in specs.full_done_spec.leaves())
        found = {self._innermost(stage, path) for stage, path in flags if self.outside(stage, path) is None}
        return [(stage, path[1:]) for stage, path in sorted(found)]

    def _innermost(self, stage: int, path: Key) -> tuple[int, Key]:
        """The first stage that has the memory of ``path`` at ``stage``, and its name there."""
        while stage:
            named = {new: old for old, new in self.chain[stage - 1]._renames().items()}
            if path not in named and path in self._rewritten[stage - 1]:
                break
            if named.get(path, path) not in self.layouts[stage - 1]:
                break
            stage, path = stage - 1, named.get(path, path)
        return stage, path

    def _reads(self) -> Iterator[tuple[int, Key]]:
        for i, roles in enumerate(self._added):
            states = set(self.specs[i].state_spec.leaves()) if i else set()
            yield from ((i, path) for path in states | roles.reads)

    def _outside(self, entries: Iterator[tuple[int, Key]]) -> set[Key]:
        return {name for stage, path in entries if (name := self.outside(stage, path)) is not None}

    # -- masks ----------------------------------------------------------------------------------------------------

    def _masks(self) -> dict[Key, Key]:
        found: dict[Key, Key] = {}
        for stage, roles in enumerate(self._added):
            for action, mask in roles.masks.items():
                outer_action, outer_mask = self.outside(stage, action), self.outside(stage, mask)
                if outer_action is None or outer_mask is None:
                    lost = as_user_key(action if outer_action is None else mask)
                    raise TransformError(
                        f"ActionMask: a later transform rewrites or drops {lost!r}, so random and checked actions "
                        "cannot be masked. Put ActionMask after it"
                    )
                found[outer_action] = outer_mask
        return found


def keys_of(transform: Transform) -> dict[str, list[NestedKey]]:
    """A copy of the keys of ``transform``, by the names of its attributes."""
    return {name: list(getattr(transform, name)) for name in KEYS}


class _Widened(EnvSpecs):
    """``base``, an env that takes TensorDicts of any batch size, as it is at ``batch_size``."""

    def __init__(self, base: RowEnv, batch_size: torch.Size) -> None:
        super().__init__(base.device, batch_size)
        self._base = base
        for family in FAMILIES:
            self._assign(family, base._spec(family).expand(batch_size))

    def _title(self) -> str:
        return self._base._title()

    def _roles(self) -> Roles:
        return self._base._roles()


def _widened(base: RowEnv, chain: Sequence[Transform]) -> EnvSpecs:
    """``base`` at the batch size that a transform of ``chain`` wants it at."""
    sizes = (transform._widens_to() for transform in chain)
    wanted = next((size for size in sizes if size is not None), base.batch_size)
    if wanted == base.batch_size:
        return base
    if not base._binds_batch_of(wanted):
        raise TransformError(
            f"batch_size {list(wanted)}: {type(base).__name__} has {list(base.batch_size)}, and only an EnvBase with "
            "batch_locked=False takes another. Build it with that batch size, or use SerialEnv or ParallelEnv"
        )
    try:
        return _Widened(base, wanted)
    except RuntimeError as error:
        raise TransformError(f"batch_size {list(wanted)} does not extend {list(base.batch_size)}: {error}") from error


class _Stage(EnvSpecs):
    """What ``transform`` makes of what is said of the entries before it."""

    def __init__(self, before: EnvSpecs, transform: Transform) -> None:
        batch_size = transform.transform_env_batch_size(before.batch_size)
        super().__init__(transform.transform_env_device(before.device), batch_size)
        self._told = before._roles().behind(transform._renames(), transform._roles())
        self._transform = type(transform).__name__

    def _title(self) -> str:
        return self._transform

    def _roles(self) -> Roles:
        return self._told


def _after(before: EnvSpecs, transform: Transform) -> EnvSpecs:
    """What ``transform`` makes of the specs of the stage before it."""
    try:
        transform._inspect(before)
        output = transform.transform_output_spec(before._gather("observation", "reward", "done"))
        inputs = transform.transform_input_spec(before._gather("state", "action"))
    except EnvcliError:
        raise
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        shown = {".".join(path): list(leaf.shape) for path, leaf in before.observation_spec.leaves().items()}
        raise TransformError(f"{transform!r} does not fit an env that shows {shown}: {error}") from error
    _require_keys(before, transform)
    after = _Stage(before, transform)
    sources = {family: inputs if family in ("action", "state") else output for family in FAMILIES}
    specs = {family: cast(Composite, source[f"full_{family}_spec"]) for family, source in sources.items()}
    for family, spec in _in_groups(specs, after.ndim).items():
        after._assign(family, spec)
    _require_one_value(after, transform)
    return after


def _in_groups(specs: dict[str, Composite], ndim: int) -> dict[str, Composite]:
    """Every group of entries as wide as in the other families, where a transform added it without saying how wide."""
    for path, part in group_parts(specs, ndim).items():
        for spec in specs.values():
            group = spec.get(path)
            if isinstance(group, Composite) and group.ndim == ndim:
                spec[as_user_key(path)] = Composite(dict(group.items()), shape=(*group.shape, *part))
    return specs


def _change(before: EnvSpecs, after: EnvSpecs) -> Change:
    if before._row_layout() != after._row_layout() or before._roles() != after._roles():
        return Change.ROWS
    same = all(before._spec(family) == after._spec(family) for family in FAMILIES)
    return Change.NOTHING if same else Change.BOUNDS


def _roles_added(transform: Transform, after: EnvSpecs) -> Roles:
    """What ``transform`` adds. One that is written on TensorDicts may read all that it shows, and raise any flag."""
    added, speaks = transform._roles(), transform._hook_plan.on_tensordicts
    if speaks & {"inverse", "step"}:
        added = added.reading({*after.observation_spec.leaves(), *after.state_spec.leaves()})
    return replace(added, end_flags=added.end_flags | set(after._governing_flags())) if "step" in speaks else added


def _rewritten(transform: Transform, before: EnvSpecs, layout: Layout, following: Layout) -> set[Key]:
    """Its ``_rewrites``, and whatever has another shape or dtype on its other side, said or not.

    One that a TensorDict is given may change any action in it, and what the user gave is kept. Layouts are those of
    :func:`_of_values`.
    """
    kept = layout.keys() & following.keys() - transform._renames().keys()
    found = transform._rewrites() | {path for path in kept if layout[path] != following[path]}
    inverts = "inverse" in transform._hook_plan.on_tensordicts
    return found | (set(before.full_action_spec.leaves()) if inverts else set())


def _of_values(specs: EnvSpecs, layout: Layout) -> Layout:
    """``layout``, that of ``specs``, without the batch."""
    return {path: (shape[specs.ndim :], dtype) for path, (shape, dtype) in layout.items()}


def _require_one_value(after: EnvSpecs, transform: Transform) -> None:
    shown = {**after._leaves("observation"), **after._leaves("reward")}
    for path, (shape, dtype) in after._leaves("state").items():
        if shown.get(path, (shape, dtype)) != (shape, dtype):
            raise TransformError(
                f"{type(transform).__name__}: shows {as_user_key(path)!r} as {shown[path][1]} {list(shown[path][0])}, "
                f"but the next step reads it as {dtype} {list(shape)}. Show it under another name: out_keys"
            )


def _require_keys(before: EnvSpecs, transform: Transform) -> None:
    if transform.missing_tolerance:
        return
    shown = {path for family in ("observation", "reward", "done") for path in before._leaves(family)}
    taken = {path for family in ("action", "state") for path in before._leaves(family)}
    needs_shown, needs_taken = transform._required_keys()
    for name, keys, known in (("in_keys", needs_shown, shown), ("in_keys_inv", needs_taken, taken)):
        missing = [key for key in keys if as_path(key) not in known]
        if missing:
            raise TransformError(
                f"{type(transform).__name__}: {name} {missing} do not exist. "
                f"The env has: {', '.join(map('.'.join, sorted(known)))}. "
                + ". ".join(_cures(before, keys, missing, known))
            )


def _cures(before: EnvSpecs, keys: list[NestedKey], missing: list[NestedKey], known: set[Key]) -> Iterator[str]:
    """What to type where ``missing`` of ``keys`` are none of the ``known``."""
    have = {".".join(path): path for path in known}
    for key in map(str, missing):
        if key in have:
            yield f"{key} is written [{', '.join(have[key])}], in Python {have[key]}"
    observed = [*before._leaves("observation")]
    if "pixels" in missing:
        yield "For pixels, type: from_pixels=true"
        for path in observed[:1]:
            yield f"For {'.'.join(path)}: in_keys=[{','.join(path)}]"
    elif "observation" in missing and all(len(path) == 1 for path in observed):
        there = [*observed, *(path for key in keys if (path := as_path(key)) in known)]
        yield f"For what it shows: in_keys=[{','.join(map('.'.join, there))}]"
