from __future__ import annotations

import torch
from tensordict import TensorDict

from envcli.frames.look import Look
from envcli.frames.scene import Frame, Scene


def rollout(count: int, done: list[int], batch: int | None = None, start: int = 0) -> TensorDict:
    """Frames that say in every pixel which step they are: t at the root, t + 1 under next."""
    times = torch.arange(start, start + count + 1, dtype=torch.uint8)
    pixels = times[:, None, None, None].expand(count + 1, 5, 6, 3)
    flags = torch.zeros(count, 1, dtype=torch.bool)
    flags[done] = True
    td = TensorDict(
        {"pixels": pixels[:-1], "next": {"pixels": pixels[1:], "reward": torch.ones(count, 1) * 0.5, "done": flags}},
        batch_size=[count],
    )
    return td if batch is None else td.expand(batch, count)


def seen(frames: list[Frame]) -> list[tuple[int, int, int, float]]:
    return [(int(f.image[0, 0, 0]), f.episode, f.step, f.total) for f in frames]


def test_an_episode_begins_with_its_reset() -> None:
    frames = list(Scene(["pixels"]).frames(rollout(3, done=[1])))
    assert seen(frames) == [(0, 0, 0, 0.0), (1, 0, 1, 0.5), (2, 0, 2, 1.0), (2, 1, 0, 0.0), (3, 1, 1, 0.5)]
    assert [frame.caption for frame in frames[:2]] == ["step 0", "step 1  reward 0.5  return 0.5"]


def test_pieces_continue_each_other() -> None:
    scene = Scene(["pixels"])
    frames = [*scene.frames(rollout(2, done=[])), *scene.frames(rollout(2, done=[1], start=2))]
    assert [frame.step for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[-1].total == 2.0
    assert scene.over == 1


def two(done: list[list[int]], count: int) -> TensorDict:
    """Two envs, whose pixels say the time; the second's say it from 100 on."""
    td = torch.stack([rollout(count, done=times) for times in done])
    for side in (td, td["next"]):
        side["pixels"] = side["pixels"] + torch.tensor([0, 100], dtype=torch.uint8)[:, None, None, None, None]
    return td


def both(frames: list[Frame]) -> list[tuple[int, int]]:
    return [(int(f.image[0, 0, 0]), int(f.image[0, -1, 0]) - 100) for f in frames]


def test_each_env_of_a_batch_shows_its_resets_in_its_own_time() -> None:
    scene, td = Scene(["pixels"]), two([[0, 1], [2]], 5)
    frames = [*scene.frames(td[:, :2]), *scene.frames(td[:, 2:])]
    assert both(frames) == [(0, 0), (1, 1), (1, 2), (2, 3), (2, 3), (3, 4), (4, 5)]
    assert both(list(scene.rest())) == [(5, 5)]
    assert (scene.begun, scene.over) == (3 + 2, 2 + 1)
    assert frames[-1].caption == "step 2  reward 0.5  return 1"


def test_an_end_that_stands_still_is_counted_once() -> None:
    scene = Scene(["pixels"])
    frames = [*scene.frames(two([[0, 1], [2]], 3)), *scene.rest()]
    assert both(frames) == [(0, 0), (1, 1), (1, 2), (2, 3), (2, 3), (3, 3)]
    assert (scene.begun, scene.over) == (3 + 1, 2 + 1)


def test_different_envs_are_named() -> None:
    plain, named = (
        next(iter(Scene(["pixels"], names=names).frames(two([[], []], 1))))
        for names in (["pong", "pong"], ["pong", "air_raid"])
    )
    assert plain.image.shape == (5, 6 + 4 + 6, 3)
    assert named.image.shape[0] == 5 * 42 + 20  # enlarged, so that the line below can be read
    assert named.image[-20:, :100].max() > 200


def test_floats_of_no_known_range_do_not_flicker() -> None:
    td = rollout(4, done=[]).apply(lambda x: x)
    for side in (td, td["next"]):
        side["pixels"] = side["pixels"].float()
    assert [value for value, *_ in seen(list(Scene(["pixels"]).frames(td)))] == [0, 1, 2, 3, 4]
    known = Scene(["pixels"], {"pixels": Look(0, 4)})
    assert [value for value, *_ in seen(list(known.frames(td)))] == [0, 64, 128, 191, 255]


def test_of_a_batch_all_are_shown() -> None:
    frame = next(iter(Scene(["pixels"]).frames(rollout(2, done=[], batch=4))))
    assert frame.image.shape == (5 + 4 + 5, 6 + 4 + 6, 3)


def test_several_keys_stand_side_by_side() -> None:
    td = rollout(1, done=[])
    td["raw"], td["next", "raw"] = td["pixels"] + 100, td["next", "pixels"] + 100
    first, second = Scene(["raw", "pixels"]).frames(td)
    assert first.image.shape == (5, 6 + 4 + 6, 3)
    assert [second.image[0, 0, 0], second.image[0, -1, 0]] == [101, 1]


def test_several_objectives_are_added_up() -> None:
    data = rollout(2, done=[1])
    data["next", "reward"] = torch.tensor([[0.0, -1.0, 3.0], [1.0, 0.0, 1.0]])
    assert [(frame.reward, frame.total) for frame in Scene(["pixels"]).frames(data)][1:] == [(2, 2), (2, 4)]


def test_without_a_reward_the_steps_are_counted() -> None:
    td = rollout(2, done=[1])
    del td["next", "reward"]
    assert [frame.caption for frame in Scene(["pixels"]).frames(td)] == ["step 0", "step 1", "step 2"]
