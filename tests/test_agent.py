"""The sizes of an agent, against the bytes that are stored."""

import io
from typing import Any

import pytest
import torch
from small_agents import VARIANTS, pack
from torch import Tensor

from savo_bench.algos.agent import policy_bytes, policy_state, seed_state, seed_state_bytes

pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def tensor_bytes(state: Any) -> int:
    """Bytes of all tensors in a nested state."""
    if isinstance(state, Tensor):
        return state.nbytes
    if isinstance(state, dict | list):
        return sum(map(tensor_bytes, state.values() if isinstance(state, dict) else state))
    return 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_sizes_are_those_of_the_stored_tensors_of_one_seed(variant: str):
    name, fields, items = VARIANTS[variant]
    made = pack(name, (0, 1), items=items, **fields)
    made.update(2 * made.agent.config.policy_delay)
    assert policy_bytes(made.agent) == tensor_bytes(policy_state(made.agent, 1))
    assert seed_state_bytes(made.agent) == tensor_bytes(seed_state(made.agent, 1))


def test_sizes_are_those_of_the_files_but_for_their_headers():
    agent = pack("savo", (0, 1), hidden=(128, 128), summary_hidden=64).agent
    file = io.BytesIO()
    torch.save(policy_state(agent, 0), file)
    assert len(file.getvalue()) == pytest.approx(policy_bytes(agent), rel=0.02)
