"""What an agent must know of an environment: sizes, and where actions are items, their vectors."""

import gymnasium as gym
import torch

from savo_bench import envs
from savo_bench.algos.agent import Spaces
from savo_bench.algos.catalogue import Catalogue, InvertedFile
from savo_bench.algos.config import Config
from savo_bench.bench.cells import AnyConfig, Cell
from savo_bench.bench.errors import UserError
from savo_bench.envs.values import reason_of

_probed: dict[str, Spaces] = {}  # by the environment's label


def spaces_of(env: gym.Env, config: AnyConfig | None = None, device: torch.device | None = None) -> Spaces:
    """What agents must know of an environment.

    Args:
        env: The environment as `envs.make` returns it.
        config: Says how items are searched. Without it, and where it says nothing, the search is exact.
        device: Where the items' vectors are kept.

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
        if isinstance(config, Config) and config.search == "ivf":  # a plug-in's config may lack the field
            catalogue = InvertedFile(vectors, config.probes, device)
        else:
            catalogue = Catalogue(vectors, device)
        return Spaces(obs.shape[0], vectors.shape[1], catalogue)
    if action.shape is None or len(action.shape) != 1:
        raise UserError(f"{env}: actions must be vectors or items, not {action}")
    return Spaces(obs.shape[0], action.shape[0])


def probe(cell: Cell) -> Spaces:
    """What agents must know of a cell's environment, with an exact search. It is made once in a process.

    Raises:
        UserError: the environment cannot be made, for instance because of its keywords.
    """
    if cell.env_label not in _probed:
        try:
            environment = envs.make(cell.environment, **cell.env_keywords)
        except ValueError as error:
            raise UserError(str(error)) from None
        except Exception as error:  # a plug-in's factory may raise anything
            raise UserError(f"{cell.env_label} cannot be made: {reason_of(error)}") from None
        _probed[cell.env_label] = spaces_of(environment)
        environment.close()
    return _probed[cell.env_label]


def check_fit(cell: Cell, spaces: Spaces) -> None:
    """Check a config against the task that it is for.

    Raises:
        UserError: the config does not allow such a task.
    """
    check = getattr(cell.config, "check_spaces", None)  # a plug-in's config need not have it
    try:
        if check is not None:
            check(spaces)
    except ValueError as error:
        raise UserError(f"{error} ({cell.algorithm} on {cell.env_label})") from None
