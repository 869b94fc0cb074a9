"""FLOPs that are counted: those of TD3 and of an ensemble by hand, and no product of any algorithm is missed."""

import itertools
import re

import pytest
from small_agents import VARIANTS, Variant, catalogue, config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from savo_bench import algos
from savo_bench.algos import flops
from savo_bench.algos.agent import Spaces
from savo_bench.algos.products import LARGE

O, A, B = 4, 2, 7
WIDTHS = (5, 3)


def trial(name: str, seeds: int = 1, items: int = 0, **fields: object) -> flops.Trial:
    return flops.Trial(algos.get(name), config(name, **fields), Spaces(O, A, catalogue(items, A)), seeds)


def forward(inputs: int, outputs: int) -> int:
    """FLOPs of a network of WIDTHS for one row: 2 I J of each layer."""
    sizes = [inputs, *WIDTHS, outputs]
    return sum(2 * before * after for before, after in itertools.pairwise(sizes))


ACTOR, CRITIC = forward(O, A), forward(O + A, 1)
ACTOR_FIRST, CRITIC_FIRST = 2 * O * WIDTHS[0], 2 * (O + A) * WIDTHS[0]  # of the layers whose input needs no gradient


def by_hand(K: int, delay: int) -> float:
    """FLOPs of an update of K actors on the first critic: of TD3 without smoothing, and of an ensemble."""
    target = K * ACTOR + (K * CRITIC if K > 1 else 0) + 2 * CRITIC  # propose, select, both critics at the best
    critics = 2 * (3 * CRITIC - CRITIC_FIRST)  # backward is twice forward, but for the gradient of the data
    actors = K * (3 * ACTOR - ACTOR_FIRST) + K * 2 * CRITIC  # through the critic alone to its action
    return B * (target + critics + actors / delay)


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_an_update_of_td3_has_the_flops_that_are_counted_by_hand(delay: int):
    made = trial("td3", hidden=WIDTHS, batch_size=B, policy_delay=delay)
    assert flops.of_update(made) == pytest.approx(by_hand(1, delay))


@pytest.mark.parametrize("extra", [1, 2, 5])
def test_an_update_of_an_ensemble_has_the_flops_that_are_counted_by_hand(extra: int):
    made = trial("ensemble", hidden=WIDTHS, batch_size=B, extra_actors=extra)
    assert flops.of_update(made) == by_hand(extra + 1, 2)


def savo_by_hand(k: int, delay: int, summary: int, size: int) -> float:
    """FLOPs of an update of SAVO with k extra actors, conditioned by FiLM on DeepSets of these widths."""
    element_first = 2 * (O + A) * summary
    element = element_first + 2 * summary * summary  # of each earlier action
    summarised = 2 * summary * summary + 2 * summary * size + sum(4 * size * width for width in WIDTHS)  # once a state
    earlier = k * (k + 1) / 2  # actor i sees i actions
    target = (k + 1) * (ACTOR + CRITIC) + 2 * CRITIC + k * summarised + earlier * element
    critics = 2 * (3 * CRITIC - CRITIC_FIRST)
    targets_of_surrogates = 2 * (k + 2) * CRITIC  # both critics at all proposals and at the executed action
    surrogates = k * (2 * (3 * CRITIC - CRITIC_FIRST) + 3 * summarised) + earlier * (3 * element - element_first)
    actors = (k + 1) * (3 * ACTOR - ACTOR_FIRST) + k * 3 * summarised + earlier * (3 * element - element_first)
    climbed = (k + 1) * 2 * CRITIC + k * summarised + earlier * element  # through Q_1 and the surrogates to the actions
    return B * (target + critics + targets_of_surrogates + surrogates + (actors + climbed) / delay)


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_an_update_of_savo_has_the_flops_that_are_counted_by_hand(k: int):
    fields = {"hidden": WIDTHS, "batch_size": B, "policy_delay": 2, "summary_hidden": 6, "summary_size": 4}
    assert flops.of_update(trial("savo", extra_actors=k, **fields)) == savo_by_hand(k, 2, 6, 4)


def test_an_action_has_the_flops_of_its_proposals_and_of_the_critic_that_selects():
    assert flops.of_action(trial("td3", hidden=WIDTHS)) == ACTOR
    assert flops.of_action(trial("ensemble", hidden=WIDTHS, extra_actors=2)) == 3 * (ACTOR + CRITIC)


def test_smoothing_is_no_product():
    usual, smoothed = (trial("td3", hidden=WIDTHS, target_noise=noise) for noise in (0.0, 0.2))
    assert flops.of_update(usual) == flops.of_update(smoothed)


@pytest.mark.parametrize("name", ["td3", "savo", "cem", "greedy-ac"])
def test_the_flops_of_a_seed_do_not_depend_on_its_pack(name: str):
    alone, packed = trial(name), trial(name, seeds=3)
    assert flops.of_update(alone) == flops.of_update(packed)
    assert flops.of_action(alone) == flops.of_action(packed)


@pytest.mark.parametrize("name", ["td3", "savo", "savo-sac"])
def test_the_flops_of_an_update_are_those_of_a_state_times_the_batch(name: str):
    one, eight = (flops.of_update(trial(name, batch_size=size)) for size in (1, 8))
    assert eight == 8 * one


def test_large_products_are_counted_as_small_ones():
    """They are made by an operation that torch does not count."""
    width = 256
    assert 128 * width**2 >= LARGE
    small, large = (trial("td3", hidden=(width, width), batch_size=size) for size in (8, 128))
    assert flops.of_update(large) == 16 * flops.of_update(small)


def test_a_second_count_gives_the_same():
    made = trial("savo")
    assert flops.of_update(made) == flops.of_update(made)


@pytest.mark.parametrize("name", ["td3", "savo"])
def test_torchs_own_counter_agrees(name: str):
    made = trial(name)
    counted = flops.counted(made.update)
    with FlopCounterMode(display=False) as theirs:
        made.update()
    assert theirs.get_total_flops() == counted


class Operations(TorchDispatchMode):
    """The operations that run in its block, each under its name."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, object] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.found[func.name().split("::")[1]] = func.overloadpacket
        return func(*args, **kwargs or {})


PRODUCT = re.compile(r"mm\b|mv\b|dot\b|matmul|linear|conv|einsum|addbmm|attention|lstm|gru|cdist", re.ASCII)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_no_product_of_an_algorithm_is_missed(variant: Variant):
    made = trial(variant.name, items=variant.items, **variant.fields)
    made.update()
    with Operations() as operations:
        made.update()
        made.act()
    products = {name: packet for name, packet in operations.found.items() if PRODUCT.search(name.split(".")[0])}
    assert products
    assert [name for name, packet in products.items() if flops.formula(packet) is None] == []
