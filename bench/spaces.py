"""Where environments and agents meet: what an agent must know of a task."""

from typing import Any

import gymnasium as gym
import torch

from savo_bench.algos.agent import Spaces
from savo_bench.algos.catalogue import Catalogue, InvertedFile
from savo_bench.bench.errors import UserError


def spaces_of(env: gym.Env, config: Any = None, device: torch.device | None = None) -> Spaces:
    """What agents must know of an environment: sizes, and where actions are items, their vectors.

    The items are searched as the config says, exactly where it says nothing.

    Raises:
        UserError: observations are no vectors, or actions neither vectors nor items with vectors.
    """
    obs, action = env.observation_space, env.action_space
    if obs.shape is None or len(obs.shape) != 1:
        raise UserError(f"{env}: observations must be vectors, not {obs}")
    if isinstance(action, gym.spaces.Discrete):
        vectors = getattr(env.unwrapped, "item_vectors", None)
        if vectors is None or len(vectors) != action.n:
            raise UserError(f"{env}: a Discrete action space needs item_vectors of shape ({action.n}, dimensions)")
        approximate = getattr(config, "search", "exact") == "ivf"  # a plug-in's config need not have it
        catalogue = InvertedFile(vectors, config.probes, device) if approximate else Catalogue(vectors, device)
        return Spaces(obs.shape[0], vectors.shape[1], catalogue)
    if action.shape is None or len(action.shape) != 1:
        raise UserError(f"{env}: actions must be vectors or items, not {action}")
    return Spaces(obs.shape[0], action.shape[0])
