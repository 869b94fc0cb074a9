"""One contract for every algorithm of the registry, and for the variants that run other code of it."""

import dataclasses
import io
import re
from typing import Any

import pytest
import torch
from small_agents import VARIANTS, Pack, config, numbers, pack, same
from torch import Tensor

from savo_bench import algos
from savo_bench.algos.actor_critic import mean_distance
from savo_bench.algos.agent import load_policy_state, load_seed_state, parameters, policy_state, seed_state
from savo_bench.algos.nets import Stack

every_variant = pytest.mark.parametrize("variant", VARIANTS)
every_algorithm = pytest.mark.parametrize("name", algos.names())


pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def of(variant: str, *seeds: int, **fields: Any) -> Pack:
    """The variant, with more fields where the algorithm has them."""
    name, changed, items = VARIANTS[variant]
    return pack(name, seeds, items=items, **known(name, fields) | changed)


def known(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Those fields that an algorithm has."""
    return {field: value for field, value in fields.items() if field in field_names(name)}


def field_names(name: str) -> list[str]:
    return [field.name for field in dataclasses.fields(algos.get(name).config)]


def acts_on_items(variant: str) -> bool:
    return VARIANTS[variant].items > 0


def has_actor(variant: str) -> bool:
    return "actor_norm" in field_names(VARIANTS[variant].name)


def targets(agent: Any) -> dict[str, tuple[Stack, Stack]]:
    """Every slow copy with the network it follows."""
    pairs = {name: (agent.networks[name], agent.networks[name.removesuffix("_target")]) for name in agent.networks}
    return {name: pair for name, pair in pairs.items() if name.endswith("_target") and pair[0].flat.numel()}


@every_variant
def test_actions_lie_in_the_box_and_have_the_right_shapes(variant: str):
    made = of(variant, 0, 1)
    made.update(2)
    S, B, A, P = 2, 5, 2, made.agent.stored_proto_actions
    for scale, explore in ((0.0, False), (0.1, True), (9.0, True)):
        noise = {name: scale * value for name, value in made.noise("act").items()}
        acted = made.agent.act(torch.randn(S, B, 3, generator=torch.Generator().manual_seed(0)), noise, explore=explore)
        assert acted.action.shape == (S, B, A)
        assert acted.proto_actions.shape == (S, B, P, A)
        assert acted.chosen.shape == (S, B)
        assert acted.chosen.dtype == torch.int64
        assert acted.action.abs().max() <= 1
        assert acted.proto_actions.abs().sum() == 0 or acted.proto_actions.abs().max() <= 1
        assert not acted.action.requires_grad
        if acts_on_items(variant):
            vectors = made.agent.spaces.catalogue.vectors
            assert acted.items.shape[:2] == (S, B)
            assert acted.executed.shape == (S, B)
            assert torch.equal(vectors[acted.executed], acted.action)
        else:
            assert acted.items is None
            assert acted.executed is acted.action


@every_variant
def test_exploration_uses_its_noise_and_evaluation_none(variant: str):
    made = of(variant, 0, output_gain=1.0)
    obs, noise = torch.linspace(-1, 1, 90).view(1, 30, 3), made.noise("act")
    (explores,) = noise.keys() & {"explore", "sample"}
    other = noise | {explores: -30 * noise[explores]}
    explored = [made.agent.act(obs, each, explore=True).action for each in (noise, other)]
    assert not torch.equal(*explored)
    assert not made.agent.noise_shapes("evaluate").keys() & {"explore", "sample"}


@every_variant
def test_an_action_depends_on_its_own_state_alone(variant: str):
    made = of(variant, 0, 1, output_gain=1.0)
    obs = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    noise = made.noise("evaluate")
    together = made.agent.act(obs, noise, explore=False).action
    for b in range(6):
        alone = made.agent.act(obs[:, b : b + 1], noise, explore=False).action
        torch.testing.assert_close(alone, together[:, b : b + 1])
    few = acts_on_items(variant) or VARIANTS[variant].name == "cem"  # items, or samples that all states share
    assert len(together.flatten(0, 1).unique(dim=0)) >= (2 if few else 12)


UNSEARCHED = [v for v in VARIANTS if has_actor(v) and not acts_on_items(v) and "refine=" not in v]


@pytest.mark.parametrize("variant", UNSEARCHED)  # an ascent follows the critic, which has no such gain
def test_the_output_gain_scales_how_untrained_proposals_depend_on_the_state(variant: str):
    spans = []
    for gain in (1e-3, 1.0):
        made = of(variant, 0, output_gain=gain)
        noise = {name: torch.zeros_like(value) for name, value in made.noise("act").items()}
        obs = torch.randn(1, 9, 3, generator=torch.Generator().manual_seed(0))
        proposals = made.agent.propose(obs, noise, explore=True)  # (1, B, P, A)
        spans.append((proposals.amax(1) - proposals.amin(1)).squeeze(0))
    small, large = spans
    assert (small < 0.01).all()
    assert (large > 0.01).all()


SEVERAL = [v for v in VARIANTS if VARIANTS[v].name in ("savo", "savo-sac", "ensemble")]


@pytest.mark.parametrize("hidden", [(64, 64), (256, 256)])
@pytest.mark.parametrize("variant", [v for v in SEVERAL if VARIANTS[v].fields.get("extra_actors") != 0])
def test_every_actor_of_several_starts_apart_from_the_others(variant: str, hidden: tuple[int, int]):
    made = of(variant, *range(5), hidden=hidden)
    noise = {name: torch.zeros_like(value) for name, value in made.noise("act").items()}
    obs = torch.randn(5, 64, 3, generator=torch.Generator().manual_seed(0))
    proposals = made.agent.propose(obs, noise, explore=False)
    assert (mean_distance(proposals) > 0.05).all()
    K = proposals.shape[2]
    for i in range(K):  # not one actor among many that coincide
        others = proposals[:, :, [j for j in range(K) if j != i]]
        nearest = (others - proposals[:, :, i : i + 1]).norm(dim=-1).amin(-1)  # (S, B)
        assert (nearest.mean(1) > 0.01).all()


@every_variant
def test_the_policy_state_of_a_seed_is_enough_to_act(variant: str):
    made, fresh = of(variant, 0, 1, output_gain=1.0), of(variant, 7)
    made.update(4)
    load_policy_state(fresh.agent, 0, stored(policy_state(made.agent, 1)))
    obs = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    noise = made.noise("evaluate")
    trained = made.agent.act(obs, noise, explore=False)
    loaded = fresh.agent.act(obs[1:], {name: value[1:] for name, value in noise.items()}, explore=False)
    assert torch.equal(loaded.action, trained.action[1:])
    assert torch.equal(loaded.chosen, trained.chosen[1:])


@every_variant
def test_the_policy_state_holds_all_networks_but_the_targets(variant: str):
    made = of(variant, 0)
    wanted = {name for name in made.agent.networks if not name.endswith("_target")}
    assert policy_state(made.agent, 0).keys() == wanted
    assert {*made.agent.policy, "critic"} <= wanted


@every_variant
def test_a_policy_state_of_earlier_versions_is_enough_to_act(variant: str):
    made, fresh = of(variant, 0, output_gain=1.0), of(variant, 7)
    made.update(4)
    state = policy_state(made.agent, 0)
    load_policy_state(fresh.agent, 0, {name: state[name] for name in made.agent.policy})
    obs = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0))
    noise = made.noise("evaluate")
    acted = [each.agent.act(obs, noise, explore=False).action for each in (made, fresh)]
    assert torch.equal(*acted)
    with pytest.raises(KeyError):
        load_policy_state(fresh.agent, 0, {"spec": torch.zeros(1)})


@every_variant
def test_metrics_are_finite_and_one_per_seed(variant: str):
    made = of(variant, 0, 1)
    metrics = made.update(2) | made.agent.diagnose(made.batch(), made.noise("update"))
    assert {"critic_loss", "q"} <= metrics.keys()
    assert ("actor_loss" in metrics) is has_actor(variant)
    for name, value in metrics.items():
        assert value.shape == (2,), name
        assert value.isfinite().all(), name
        assert not value.requires_grad, name


@every_variant
def test_diagnosing_changes_nothing(variant: str):
    made, calm = of(variant, 0), of(variant, 0)
    for each in (made, calm):
        each.update(2)
    other = of(variant, 5)
    made.agent.diagnose(other.batch(), other.noise("update"))
    made.update(2)
    calm.update(2)
    assert same(numbers(made.agent), numbers(calm.agent))


# Without effect in a summary of one action.
RECURRENT = tuple(f"{direction}{layer}_recurrent.weight" for direction in ("forward", "backward") for layer in (0, 1))
OF_SEVERAL = (*RECURRENT, "query", "key")


@every_variant
def test_every_array_of_every_network_moves(variant: str):
    made = of(variant, 0, output_gain=1.0)
    views = {name: stack.frozen for name, stack in made.agent.networks.items() if stack.flat.numel()}
    before = {name: {layer: view.clone() for layer, view in layers.items()} for name, layers in views.items()}
    made.update(4)
    if "learn_temperature=False" in variant:
        del views["temperature"]
    still = [
        f"{name} {layer} of network {m}"
        for name, layers in views.items()
        for layer, view in layers.items()
        for m in range(view.shape[1])
        if torch.equal(view[:, m], before[name][layer][:, m])
        and not (m == 0 and layer.startswith(OF_SEVERAL))  # the second actor sees a single earlier action
        and layer not in ("key0.bias", "key1.bias")  # to which a softmax is blind
    ]
    assert still == []


@every_variant
def test_targets_move_by_exactly_tau_and_only_with_the_actors(variant: str):
    made = of(variant, 0, tau=0.25)
    made.agent.config = dataclasses.replace(made.agent.config, policy_delay=3)
    pairs = targets(made.agent)
    assert pairs
    for update in range(1, 7):
        before = {name: slow.flat.clone() for name, (slow, _) in pairs.items()}
        made.update()
        for name, (slow, online) in pairs.items():
            if update % 3:
                assert torch.equal(slow.flat, before[name]), name
            else:
                expected = 0.75 * before[name].double() + 0.25 * online.flat.double()
                torch.testing.assert_close(slow.flat.double(), expected, rtol=1e-6, atol=1e-9, msg=name)
                assert not torch.equal(slow.flat, before[name]), name


@every_variant
def test_actors_wait_for_the_policy_delay_and_the_others_do_not(variant: str):
    made = of(variant, 0)
    made.agent.config = dataclasses.replace(made.agent.config, policy_delay=3)
    moved = []
    for _ in range(6):
        before = numbers(made.agent)
        made.update()
        after = numbers(made.agent)
        moved.append({name for name in after if not torch.equal(after[name], before[name])})
    every = set(numbers(made.agent))
    if "learn_temperature=False" in variant:
        every.remove("temperature")
    waits = ("actor", "followers", "temperature")
    waiting = {name for name in every if name.startswith(waits) or name.endswith("_target")}
    assert waiting < every
    assert moved == [every - waiting, every - waiting, every] * 2


def test_policy_delay_of_one_moves_everything_at_once():
    made = pack("td3", (0,), policy_delay=1)
    before = numbers(made.agent)
    assert "actor_loss" in made.update()
    assert all(not torch.equal(value, before[name]) for name, value in numbers(made.agent).items())


@every_algorithm
def test_parameters_counts_the_trained_numbers_of_one_seed(name: str):
    one, two = pack(name, (0,)).agent, pack(name, (0, 1)).agent
    assert parameters(one) == parameters(two) > 0


@every_variant
def test_the_same_seed_gives_the_same_agent_and_another_seed_another(variant: str):
    one, again, other = of(variant, 3), of(variant, 3), of(variant, 4)
    metrics = [each.update(6) for each in (one, again, other)]
    assert same(numbers(one.agent), numbers(again.agent))
    assert same(metrics[0], metrics[1])
    for name, value in numbers(other.agent).items():
        fixed = name == "temperature" and "learn_temperature=False" in variant
        assert fixed or not torch.equal(value, numbers(one.agent)[name]), name


ODD = {"hidden": (50, 30), "batch_size": 33, "summary_hidden": 9, "summary_size": 5}
PACKS = ([0], [7], [3, 7], [1, 2, 3, 4, 5])


def odd(
    name: str, changed: dict[str, Any], items: int, seeds: list[int], action_dim: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    fields = known(name, ODD) | changed
    made = pack(name, seeds, obs_dim=11, action_dim=action_dim, items=items, **fields)
    results = made.update(3) | made.agent.diagnose(made.batch(), made.noise("update"))
    acted = made.act()
    return numbers(made.agent), results | {
        "action": acted.action,
        "proto_actions": acted.proto_actions,
        "chosen": acted.chosen,
    }


def assert_pack_free(name: str, action_dim: int, changed: dict[str, Any], items: int) -> None:
    together = odd(name, changed, items, list(range(10)), action_dim)
    for seeds in PACKS:
        for part, whole in zip(odd(name, changed, items, seeds, action_dim), together, strict=True):
            for key, value in part.items():
                assert torch.equal(value, whole[key][seeds]), f"{key} in a pack of {len(seeds)}"


@every_variant
def test_a_seed_is_bit_equal_alone_and_in_any_pack(variant: str):
    name, changed, items = VARIANTS[variant]
    assert_pack_free(name, 3, changed, items)


@every_algorithm
@pytest.mark.parametrize("action_dim", [1, 6])
def test_a_seed_is_bit_equal_in_any_pack_at_any_action_dimension(name: str, action_dim: int):
    assert_pack_free(name, action_dim, {}, 0)


def stored(state: Any) -> Any:
    """A state after a journey through a file."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@every_variant
@pytest.mark.parametrize("updates", [0, 3])
def test_a_fresh_agent_with_a_seeds_state_continues_bit_for_bit(variant: str, updates: int):
    made = of(variant, 5, 6)
    made.update(updates)
    fresh = of(variant, 8, 9)  # other networks; seed 6 moves from the second place to the first
    for index, seed in enumerate((1, 0)):
        load_seed_state(fresh.agent, index, stored(seed_state(made.agent, seed)))
    fresh = Pack(fresh.agent, made.streams[::-1])
    twin = of(variant, 5, 6)
    twin.update(updates)

    metrics, wanted = fresh.update(3), twin.update(3)
    assert fresh.agent.updates == updates + 3
    assert {name: value.flip(0).tolist() for name, value in metrics.items()} == {
        name: value.tolist() for name, value in wanted.items()
    }
    assert same({name: value.flip(0) for name, value in numbers(fresh.agent).items()}, numbers(twin.agent))


@every_algorithm
def test_a_state_is_a_copy(name: str):
    made = pack(name, (0,))
    made.update(2)
    state = seed_state(made.agent, 0)
    before = stored(state)
    policy = policy_state(made.agent, 0)
    made.update(2)
    for network, value in before["networks"].items():
        assert torch.equal(state["networks"][network], value)
        assert network not in policy or torch.equal(policy[network], value)
    for optimizer, moments in before["optimizers"].items():
        for one, other in zip(state["optimizers"][optimizer], moments, strict=True):
            assert same(one, other)


# What each field is changed to, and what else must be set for it to matter.
CHANGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "hidden": ((16, 8), {}),
    "actor_hidden": ((16, 8), {}),
    "lr": (2e-3, {}),
    "gamma": (0.9, {}),
    "tau": (0.01, {}),
    "policy_delay": (3, {}),
    "max_grad_norm": (0.01, {}),
    "actor_norm": (False, {}),
    "output_gain": (0.1, {}),
    "init": ("code", {}),
    "evaluate": ("first", {}),
    "argmax": ("act", {"output_gain": 10.0, "lr": 0.01}),
    "refine_step": (0.3, {"refine": 3}),
    "refine_at": ("act", {"refine": 3}),
    "best_of_sigma": (0.5, {"best_of": 3}),
    "explore": ("chosen", {}),
    "dual_executed": (False, {"dual": True}),
    "target_noise": (0.3, {}),
    "noise_clip": (0.1, {"target_noise": 0.2}),
    "batch_size": (9, {"target_noise": 0.2}),
    "extra_actors": (2, {}),
    "surrogate": ("exact", {}),
    "conditioning": ("none", {}),
    "joint": (True, {}),
    "diversity": (1.0, {}),
    "diversity_sigma": (0.25, {"diversity": 1.0}),
    "summary_hidden": (9, {}),
    "summary_size": (5, {}),
    "target_argmax": ("target", {"output_gain": 10.0, "lr": 0.01}),
    "surrogate_critics": ("target", {}),
    "summariser": ("lstm", {}),
    "candidates": (2, {"candidate_sigma": 0.5, "output_gain": 1.0}),
    "candidate_sigma": (0.5, {}),
    "dual": (True, {}),
    "iterations": (2, {}),
    "samples": (17, {}),
    "elites": (5, {}),
    "elite_fraction": (0.5, {}),
    "entropy": (0.5, {}),
    "snap_samples": (True, {}),
    "temperature": (0.5, {}),
    "learn_temperature": (False, {}),
    "target_entropy": (-2.0, {}),
}
ON_ITEMS_ALONE = ("snap_samples",)  # fields without a meaning in a box

# Fields that an agent does not read but the loop; tests/test_config.py has them.
LOOP_FIELDS = ("preset", "buffer_size", "warmup_steps", "replay_ratio", "reset_every", "search", "probes")
NOISE_FIELDS = (
    "noise",
    "noise_sigma",
    "noise_theta",
    "noise_decay",
    "noise_final",
    "noise_decay_steps",
    "noise_reset",
    "epsilon",
)

FIELDS = [(name, field) for name in algos.names() for field in field_names(name)]
AGENT_FIELDS = [(name, field) for name, field in FIELDS if field not in LOOP_FIELDS + NOISE_FIELDS]


def label(pair: tuple[str, str]) -> str:
    return ".".join(pair)


def change(name: str, field: str) -> tuple[Any, dict[str, Any]]:
    """The entry of CHANGES; for a number or a switch that is not there, one that follows from its default."""
    if field in CHANGES:
        return CHANGES[field]
    default = getattr(config(name), field)
    assert isinstance(default, bool | int | float), f"say in CHANGES what {field} is changed to"
    if isinstance(default, bool):
        return not default, {}
    return (default + 1 if isinstance(default, int) else default / 2 or 0.5), {}


def outcome(name: str, items: int, **fields: Any) -> dict[str, Tensor]:
    made = pack(name, (0,), items=items, **fields)
    made.update(5)
    obs = torch.linspace(-1, 1, 60).view(1, 20, 3)
    evaluated = made.agent.act(obs, made.noise("evaluate"), explore=False).action
    return numbers(made.agent) | {"action": made.act(states=4).action, "evaluated": evaluated}


@pytest.mark.parametrize(("name", "field"), AGENT_FIELDS, ids=map(label, AGENT_FIELDS))
def test_every_field_of_the_agent_changes_something(name: str, field: str):
    value, base = change(name, field)
    base, items = known(name, base), 23 if field in ON_ITEMS_ALONE else 0
    assert getattr(config(name, **base), field) != value
    before, after = outcome(name, items, **base), outcome(name, items, **base | {field: value})
    assert not same(before, after)


@every_variant
def test_every_network_and_optimizer_follows_the_config(variant: str):
    made = of(variant, 0, hidden=(7, 9), lr=0.125, max_grad_norm=0.5)
    for name, optimizer in made.agent.optimizers.items():
        assert optimizer.adam.param_groups[0]["lr"] == 0.125, name
        assert optimizer.max_grad_norm == (0.0 if name == "temperature" else 0.5), name
    trained = {id(stack) for optimizer in made.agent.optimizers.values() for stack in optimizer.stacks}
    for name, stack in made.agent.networks.items():
        if stack.flat.numel() and name != "temperature":
            widths = [stack.spec[f"hidden{index}.weight"].shape[1] for index in range(2)]
            assert widths == [7, 9], name
            assert (id(stack) in trained) is not name.endswith("_target"), name


@pytest.mark.parametrize("variant", [v for v in VARIANTS if has_actor(v)])
def test_actors_and_no_critics_have_the_widths_that_are_asked_for(variant: str):
    made = of(variant, 0, hidden=(7, 9), actor_hidden=(8, 6, 4))
    for name, stack in made.agent.networks.items():
        if stack.flat.numel() and name != "temperature":
            widths = [shape.shape[1] for layer, shape in stack.spec.items() if re.fullmatch(r"hidden\d\.weight", layer)]
            assert widths == ([8, 6, 4] if name.startswith(("actor", "followers")) else [7, 9]), name
    made.update(2)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if has_actor(v)])
@pytest.mark.parametrize("norm", [True, False])
def test_actors_and_no_critics_have_the_norm_that_is_asked_for(variant: str, norm: bool):
    made = of(variant, 0, actor_norm=norm)
    normed = {name for name, stack in made.agent.networks.items() if "norm.weight" in stack.spec}
    actors = {name for name in made.agent.networks if name.startswith(("actor", "followers"))}
    assert normed == (actors if norm else set())


@every_algorithm
def test_presets_change_fields_that_exist_to_values_that_are_allowed(name: str):
    kind = algos.get(name).config
    assert kind().preset in kind.PRESETS
    for preset, fields in kind.PRESETS.items():
        made = kind(preset=preset, **fields)
        assert all(getattr(made, field) == value for field, value in fields.items())


NAN = float("nan")
WRONG: dict[str, list[Any]] = {
    "preset": ["best", ""],
    "hidden": [(), (64, 0), (-1,)],
    "lr": [0.0, -1.0, NAN],
    "batch_size": [0, -1],
    "buffer_size": [0, -1],
    "warmup_steps": [-1],
    "gamma": [-0.1, 1.1, NAN],
    "tau": [0.0, 1.1, NAN],
    "policy_delay": [0, -1],
    "max_grad_norm": [-1.0, NAN],
    "search": ["hnsw", ""],
    "probes": [0, -1],
    "output_gain": [-1.0, NAN],
    "noise": ["pink"],
    "noise_sigma": [-0.1, NAN],
    "noise_theta": [-0.1, 1.1, NAN],
    "noise_final": [-0.1, 1.1, NAN],
    "noise_decay_steps": [-1],
    "epsilon": [-0.1, 1.1, NAN],
    "actor_hidden": [(64, 0), (-1,)],
    "target_noise": [-0.1, NAN],
    "noise_clip": [-0.1, NAN],
    "extra_actors": [-1],
    "surrogate": ["none"],
    "conditioning": ["lstm"],
    "summariser": ["film"],
    "candidates": [0],
    "candidate_sigma": [-0.1, NAN],
    "iterations": [0],
    "samples": [0],
    "elites": [0, 31],
    "elite_fraction": [0.0, 1.1, NAN],
    "entropy": [-0.1, NAN],
    "temperature": [0.0, -1.0, NAN],
    "target_entropy": [NAN],
    "diversity": [-1.0, NAN],
    "diversity_sigma": [0.0, NAN],
    "summary_hidden": [0],
    "summary_size": [0],
    "target_argmax": ["both"],
    "surrogate_critics": ["both"],
}
WRONG_BY_TYPE: dict[type, list[Any]] = {bool: [], int: [-1], float: [NAN], str: ["no such word"]}  # of other fields


def wrong(name: str, field: str) -> list[Any]:
    kind = type(getattr(config(name), field))
    assert field in WRONG or kind in WRONG_BY_TYPE, f"say in WRONG which values {field} refuses"
    return WRONG[field] if field in WRONG else WRONG_BY_TYPE[kind]


REFUSED = [(name, field, value) for name, field in FIELDS for value in wrong(name, field)]


@pytest.mark.parametrize(("name", "field", "value"), REFUSED, ids=str)
def test_a_wrong_value_is_refused_with_its_field_named(name: str, field: str, value: Any):
    with pytest.raises(ValueError, match=field) as caught:
        config(name, **{field: value})
    message = str(caught.value)
    assert message.startswith(f"{field}={value}: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"joint": True, "surrogate": "exact"}, "surrogate=exact"),
        ({"joint": True, "conditioning": "none"}, "conditioning=none"),
        ({"summariser": "lstm", "conditioning": "none"}, "summariser=lstm"),
        ({"surrogate": "exact", "surrogate_critics": "target"}, "surrogate_critics=target"),
        ({"argmax": "target", "evaluate": "first"}, "evaluate=first: has no meaning when argmax is target"),
    ],
)
def test_values_that_exclude_each_other_are_refused(fields: dict[str, Any], named: str):
    with pytest.raises(ValueError, match=named):
        config("savo", **fields)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"refine_step": 0.2}, "refine_step=0.2: has no meaning when refine is 0"),
        ({"refine_at": "act"}, "refine_at=act: has no meaning when refine is 0"),
        ({"best_of_sigma": 0.1, "refine": 2}, "best_of_sigma=0.1: has no meaning when best_of is 1"),
    ],
)
def test_fields_of_a_search_that_is_not_asked_for_are_refused(fields: dict[str, Any], named: str):
    with pytest.raises(ValueError, match=named):
        config("td3", **fields)


@every_algorithm
def test_a_config_cannot_be_changed_and_takes_no_positions(name: str):
    with pytest.raises(dataclasses.FrozenInstanceError):
        config(name).lr = 1.0
    with pytest.raises(TypeError):
        algos.get(name).config("fair")


@pytest.mark.parametrize("target_noise", [0.0, 0.2])
@pytest.mark.parametrize("control", ["savo", "ensemble"])
def test_without_extra_actors_it_is_td3_bit_for_bit(control: str, target_noise: float):
    td3 = config("td3", target_noise=target_noise)
    known = {field.name for field in dataclasses.fields(config(control))}  # not those of td3's search
    shared = {field.name: getattr(td3, field.name) for field in dataclasses.fields(td3) if field.name in known}
    one, other = pack("td3", (0, 1), **shared), pack(control, (0, 1), extra_actors=0, **shared)
    for _ in range(6):
        batch = one.batch()
        noise = one.noise("update")
        first = one.agent.update(batch, noise)
        proto_actions = batch.action.unsqueeze(2)
        second = other.agent.update(batch._replace(proto_actions=proto_actions, proposals=proto_actions), noise)
        assert same(first, second)
    assert same(numbers(one.agent), numbers(other.agent))
    obs, noise = torch.ones(2, 1, 3), one.noise("act")
    for explore in (True, False):
        actions = [each.agent.act(obs, noise, explore=explore).action for each in (one, other)]
        assert torch.equal(*actions)


def test_every_name_gives_its_entry():
    assert len(set(algos.names())) == len(algos.names())
    for name in algos.names():
        entry = algos.get(name)
        assert entry.name == name
        assert entry.description
        assert entry.cost.relative(config(name)) >= 1
        assert entry.cost.queries(config(name)) >= 1
        assert dataclasses.is_dataclass(entry.config)


def test_an_entry_without_a_cost_counts_as_td3():
    entry = algos.Entry("plain", object, pack, "without a cost")
    assert (entry.cost.relative(None), entry.cost.queries(None)) == (1, 1)


def test_an_unknown_name_is_refused_with_the_nearest_ones():
    with pytest.raises(algos.UnknownAlgorithm, match="'savvo' is unknown; did you mean savo"):
        algos.get("savvo")
    with pytest.raises(algos.UnknownAlgorithm, match="did you mean td3, savo"):
        algos.get("zzzzzz")
