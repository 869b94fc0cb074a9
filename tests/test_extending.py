"""docs/extending.md: its algorithm is the example package's, and it works as the page stands."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_agents import CPU, catalogue
from torch import Tensor

from savo_bench.algos import Entry
from savo_bench.algos.agent import Spaces
from savo_bench.algos.noise import Streams, exploration, standard_normal
from savo_bench.algos.replay import Layout, Replay

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def algorithm_on_the_page() -> str:
    """The page's code block that registers an algorithm."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "extending.md").read_text("utf-8"), re.DOTALL)
    (found,) = (block for block in blocks if "entry = Entry(" in block)
    return found


def entry_on_the_page() -> Entry:
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(algorithm_on_the_page(), "docs/extending.md", "exec"), names)
    return names["entry"]


def train(entry: Entry, seeds: list[int], items: int, **fields: Any) -> dict[str, Tensor]:
    """Networks and actions of seeds after a training as the loop makes it, on random transitions."""
    streams = [Streams(seed) for seed in seeds]
    spaces = Spaces(3, 2, catalogue(items, 2))
    config = entry.config(hidden=(8, 8), batch_size=5, lr=1e-2, **fields)
    config.check_spaces(spaces)
    agent = entry.agent(config, spaces, [stream.init for stream in streams], CPU)
    layout = Layout(spaces, agent.stored_proto_actions, agent.stored_items)
    replay = Replay(len(seeds), 50, layout, CPU)
    shapes = agent.noise_shapes("act")
    process = exploration(config, shapes.pop("explore", None), len(seeds))
    actions = []
    for step in range(10):
        rngs = [stream.explore for stream in streams]
        noise = standard_normal(rngs, shapes, CPU) | {"explore": torch.from_numpy(process.sample(rngs, step))}
        obs = np.stack([stream.environment.standard_normal((1, 3), dtype=np.float32) for stream in streams])
        acted = agent.act(torch.from_numpy(obs), noise, explore=True)
        executed = acted.executed.squeeze(1)
        stored = np.zeros((len(seeds), 0)) if acted.items is None else acted.items.squeeze(1)[:, : layout.items].numpy()
        reward = obs[:, 0, 0]
        parts = (obs[:, 0], executed.numpy(), acted.proto_actions.squeeze(1).numpy(), stored)
        replay.add(layout.pack(*parts, reward, np.zeros(len(seeds)), obs[:, 0]))
        actions.append(acted.action)
        batch = replay.sample([stream.replay for stream in streams], config.batch_size)
        noise = standard_normal([stream.update for stream in streams], agent.noise_shapes("update"), CPU)
        metrics = agent.update(batch, noise) | agent.diagnose(batch, noise)
        assert all(value.shape == (len(seeds),) and value.isfinite().all() for value in metrics.values())
    return {name: stack.flat for name, stack in agent.networks.items()} | {"actions": torch.stack(actions, dim=1)}


def test_the_pages_algorithm_is_that_of_the_example_package():
    package = ROOT / "tests" / "example_plugin" / "savo_bench_example" / "best_of_n.py"
    assert algorithm_on_the_page() == package.read_text("utf-8")


@pytest.mark.parametrize("items", [0, 23])
def test_the_pages_algorithm_trains_and_a_seed_is_bit_equal_alone_and_in_a_pack(items: int):
    entry = entry_on_the_page()
    pair, alone = (train(entry, seeds, items) for seeds in ([4, 7], [7]))
    fresh = train(entry, [8, 7], items)
    for name, value in alone.items():
        assert torch.equal(pair[name][1:], value), name
        assert torch.equal(fresh[name][1:], value), name
        assert not torch.equal(pair[name][:1], value), name


def test_the_pages_algorithm_has_a_cost_and_refuses_what_cannot_work():
    entry = entry_on_the_page()
    config = entry.config(perturbations=2)
    assert (entry.cost.relative(config), entry.cost.queries(config)) == (1, 3)
    with pytest.raises(ValueError, match="perturbations=0: must be above 0"):
        entry.config(perturbations=0)
