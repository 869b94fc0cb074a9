"""Networks with an axis of seeds, against plain arithmetic in float64 and against torch's own modules."""

from collections.abc import Callable, Sequence

import pytest
import torch
from small_agents import CPU, random, rngs
from torch import Tensor, tensor
from torch.nn.utils import clip_grad_norm_, parameters_to_vector

from savo_bench.algos import nets
from savo_bench.algos.nets import NetworkSpec, Optimizer, Params, Stack

pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def plain_dense(p: Params, layer: str, x: Tensor) -> Tensor:
    weight = p[f"{layer}.weight"]
    x = x.expand(-1, weight.shape[1], -1, -1)
    return torch.einsum("smbi,smij->smbj", x, weight) + p[f"{layer}.bias"][:, :, None]


def plain_norm(p: Params, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    normal = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return normal * p["norm.weight"][:, :, None] + p["norm.bias"][:, :, None]


def plain_mlp(p: Params, x: Tensor) -> Tensor:
    for layer in ("hidden0", "hidden1"):
        x = plain_dense(p, layer, x).relu()
    return plain_dense(p, "output", plain_norm(p, x) if "norm.weight" in p else x)


def plain_film(p: Params, x: Tensor, z: Tensor) -> Tensor:
    """Group by group, as if each were a batch of its own."""
    groups = []
    for h in x.split(z.shape[2], dim=2):
        for index in range(2):
            scale, shift = plain_dense(p, f"scale{index}", z), plain_dense(p, f"shift{index}", z)
            h = plain_dense(p, f"hidden{index}", h).relu() * scale + shift
        groups.append(plain_dense(p, "output", h))
    return torch.cat(groups, dim=2)


CASES: dict[str, tuple[NetworkSpec, Callable[..., Tensor], Callable[..., Tensor], list[tuple[int, ...]]]] = {
    "dense": (
        nets.dense_spec("layer", 5, 3),
        lambda p, x: nets.dense(p, "layer", x),
        lambda p, x: plain_dense(p, "layer", x),
        [(2, 3, 7, 5)],
    ),
    "dense with relu and one input for all networks": (
        nets.dense_spec("layer", 5, 3),
        lambda p, x: nets.dense(p, "layer", x, relu=True),
        lambda p, x: plain_dense(p, "layer", x).relu(),
        [(2, 1, 7, 5)],
    ),
    "mlp": (nets.mlp_spec(5, (6, 4), 2), nets.mlp, plain_mlp, [(2, 1, 7, 5)]),
    "mlp with norm": (nets.mlp_spec(5, (6, 4), 2, norm=True), nets.mlp, plain_mlp, [(2, 3, 7, 5)]),
    "film": (nets.film_spec(5, (6, 4), 2, 3), nets.film_mlp, plain_film, [(2, 3, 14, 5), (2, 3, 7, 3)]),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_plain_arithmetic(case: str):
    layers, ours, plain, shapes = CASES[case]
    stack = Stack.initialise(layers, rngs(0, 1), 3, CPU)
    exact = {name: view.detach().double().requires_grad_() for name, view in stack.params.items()}
    inputs = [random(*shape, seed=index).requires_grad_() for index, shape in enumerate(shapes)]
    exact_inputs = [x.detach().double().requires_grad_() for x in inputs]

    y, expected = ours(stack.params, *inputs), plain(exact, *exact_inputs)
    weight = random(*y.shape, seed=9)
    (y * weight).sum().backward()
    (expected * weight).sum().backward()

    assert stack.grad is not None
    gradients = Stack(layers, stack.grad, None).frozen
    found = {"value": y, **gradients, **{f"input {index}": x.grad for index, x in enumerate(inputs)}}
    wanted = {"value": expected, **{name: leaf.grad for name, leaf in exact.items()}}
    wanted |= {f"input {index}": x.grad for index, x in enumerate(exact_inputs)}
    assert found.keys() == wanted.keys()
    for name in found:
        torch.testing.assert_close(found[name], wanted[name].float(), rtol=1e-5, atol=1e-5, msg=f"{case}: {name}")


def test_film_scales_and_shifts_each_hidden_unit():
    stack = Stack.initialise(nets.film_spec(1, (2,), 1, 1), rngs(0), 1, CPU)
    p = stack.frozen
    stack.flat.zero_()
    p["hidden0.weight"][..., 0, :] = tensor([1.0, -1])
    p["scale0.weight"][..., 0, :] = tensor([2.0, 0])  # scale = (2 z, 0)
    p["shift0.bias"][:] = tensor([0.0, 10])
    p["output.weight"][:] = 1
    x, z = tensor([3.0, 5, -4, 1]).view(1, 1, 4, 1), tensor([1.0, 7]).view(1, 1, 2, 1)  # two groups of two rows
    assert nets.film_mlp(p, x, z).flatten().tolist() == [2 * 3 + 10, 14 * 5 + 10, 10, 14 * 1 + 10]


def test_an_untrained_film_layer_is_near_the_plain_one():
    p = Stack.initialise(nets.film_spec(3, (50,), 2, 16), rngs(0), 1, CPU).frozen
    assert (p["scale0.bias"].mean() - 1).abs() < 0.1
    assert p["shift0.bias"].mean().abs() < 0.1


def test_the_authors_initialisation_is_orthogonal_without_bias():
    spec = nets.film_spec(5, (16, 40), 2, 8, norm=True, init="code")
    p = Stack.initialise(spec, rngs(0, 1), 2, CPU).frozen
    for layer in ("hidden0", "hidden1", "scale0", "scale1", "shift0", "shift1"):
        weight = p[f"{layer}.weight"]  # (S, M, inputs, outputs), fewer inputs than outputs
        product = weight @ weight.mT
        torch.testing.assert_close(product, 2 * torch.eye(weight.shape[2]).expand_as(product), rtol=1e-5, atol=1e-5)
        assert not p[f"{layer}.bias"].any()
    gain = p["norm.weight"]
    assert 0 <= gain.min() < 0.2
    assert 0.8 < gain.max() <= 1
    assert p["output.bias"].any()  # as in torch
    assert not torch.equal(p["hidden0.weight"][0], p["hidden0.weight"][1])


def test_an_orthogonal_layer_of_more_inputs_than_outputs_has_orthogonal_outputs():
    weight = Stack.initialise(nets.orthogonal_spec("layer", 9, 4), rngs(0), 1, CPU).frozen["layer.weight"][0, 0]
    torch.testing.assert_close(weight.mT @ weight, 2 * torch.eye(4), rtol=1e-5, atol=1e-5)


def test_an_optimiser_that_forgets_takes_its_first_step_again():
    def step(optimizer: Optimizer, stack: Stack) -> Tensor:
        before = stack.flat.clone()
        optimizer.step(stack.params["layer.weight"].sum())
        return stack.flat - before

    stack = Stack.initialise(nets.dense_spec("layer", 3, 2), rngs(0), 1, CPU)
    optimizer = Optimizer([stack], 0.125, 0.0)
    first = step(optimizer, stack)
    stack.flat.zero_()
    optimizer.step((stack.params["layer.weight"] * 7).sum())
    optimizer.forget()
    assert optimizer.seed_state(0) == [{}]
    torch.testing.assert_close(step(optimizer, stack), first)


def test_layer_normalisation_starts_as_the_plain_one_of_torch():
    p = Stack.initialise(nets.norm_spec("norm", 6), rngs(0), 2, CPU).frozen
    x = random(1, 2, 5, 6)
    torch.testing.assert_close(nets.layer_norm(p, "norm", x), torch.nn.functional.layer_norm(x, (6,)))


def test_q_values_pair_each_state_with_its_own_actions():
    critic = nets.TwinCritic(5, (8, 8), rngs(0, 1), CPU, "torch")
    obs, actions = random(2, 3, 4), random(2, 3, 6, 1, seed=1)
    q = nets.q_values(critic.online.frozen, obs, actions)
    assert q.shape == (2, 2, 3, 6)
    one = torch.cat([obs[1, 2], actions[1, 2, 4]]).view(1, 1, 1, 5).expand(2, 1, 1, 5)
    torch.testing.assert_close(q[1, :, 2, 4], nets.mlp(critic.online.frozen, one)[1, :, 0, 0])


@pytest.mark.parametrize("members", [1, 2])
def test_a_given_q_stands_in_the_place_of_networks(members: int):
    obs, actions = random(2, 3, 4), random(2, 3, 6, 1, seed=1).requires_grad_()
    given = nets.GivenQ(lambda obs, actions: obs.sum(-1, keepdim=True) - actions.square().sum(-1), members)
    q = nets.q_values(given, obs, actions)
    assert q.shape == (2, members, 3, 6)
    for each in q.unbind(1):
        torch.testing.assert_close(each, obs.sum(-1)[..., None] - actions[..., 0] ** 2)
    q.sum().backward()
    torch.testing.assert_close(actions.grad, -2 * members * actions.detach())
    assert not given  # there is nothing to train


def test_twin_critics_differ_and_their_targets_start_as_copies():
    critic = nets.TwinCritic(3, (8,), rngs(0, 1), CPU, "torch")
    online, target = critic.online.flat, critic.target.flat
    assert torch.equal(online, target)
    assert not torch.equal(online[:, 0], online[:, 1])
    online.zero_()
    assert target.any()


def test_frozen_passes_give_a_gradient_to_the_input_and_none_to_the_weights():
    stack = Stack.initialise(nets.mlp_spec(3, (7, 5), 2, norm=True), rngs(0), 2, CPU)
    x = random(1, 1, 4, 3).requires_grad_()
    nets.mlp(stack.frozen, x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert stack.grad is not None
    assert not stack.grad.any()
    assert all(view.grad is None and not view.requires_grad for view in stack.frozen.values())


def test_frozen_and_trained_views_are_the_same_numbers():
    stack = Stack.initialise(nets.mlp_spec(3, (7,), 2), rngs(0), 1, CPU)
    before = nets.mlp(stack.params, random(1, 1, 4, 3)).detach()
    stack.flat.mul_(2)
    after = nets.mlp(stack.params, random(1, 1, 4, 3)).detach()
    assert not torch.equal(before, after)
    assert torch.equal(nets.mlp(stack.frozen, random(1, 1, 4, 3)), after)


def test_members_share_memory_with_their_stack():
    stack = Stack.initialise(nets.mlp_spec(3, (7,), 2), rngs(0, 1), 3, CPU)
    x = random(2, 3, 4, 3)
    together = nets.mlp(stack.params, x)
    for m, member in enumerate(stack.members):
        alone = nets.mlp(member.params, x[:, m : m + 1])
        assert torch.equal(alone, together[:, m : m + 1])
        (alone * (m + 1)).sum().backward()
    assert stack.grad is not None
    shared = stack.grad.clone()
    stack.grad.zero_()
    (together * tensor([1.0, 2, 3]).view(1, 3, 1, 1)).sum().backward()
    torch.testing.assert_close(shared, stack.grad)
    stack.members[1].flat.fill_(5)
    assert (stack.flat[:, 1] == 5).all()
    assert not (stack.flat[:, [0, 2]] == 5).all()


def used(stack: Stack) -> Tensor:
    """Which places of a stack's flat tensor belong to an array: (S, M, P) of bool."""
    marks = Stack(stack.spec, torch.zeros_like(stack.flat), None)
    for view in marks.frozen.values():
        view.fill_(1)
    return marks.flat.bool()


def test_padding_never_becomes_nonzero():
    stack = Stack.initialise(nets.film_spec(3, (7, 5), 1, 3, norm=True), rngs(0, 1), 2, CPU)
    target = stack.copy()
    optimizer = Optimizer([stack], 0.1, 1.0)
    padding = ~used(stack)
    assert padding.any()
    for step in range(4):
        optimizer.step(nets.film_mlp(stack.params, random(2, 1, 9, 3, seed=step), random(2, 1, 9, 3)).square().sum())
        target.polyak_update(stack, 0.5)
    state = optimizer.adam.state[stack.flat]
    for numbers in (stack.flat, target.flat, stack.grad, state["exp_avg"], state["exp_avg_sq"]):
        assert numbers is not None
        assert not numbers[padding].any()
        assert numbers[~padding].any()


def test_a_seed_draws_the_same_networks_alone_and_in_any_pack():
    layers = nets.mlp_spec(3, (7,), 2, norm=True)
    alone = Stack.initialise(layers, rngs(4), 2, CPU).flat
    pack = Stack.initialise(layers, rngs(1, 4, 9), 2, CPU).flat
    assert torch.equal(pack[1:2], alone)
    assert not torch.equal(pack[0], pack[1])
    assert torch.equal(Stack.initialise(layers, rngs(4), 1, CPU).flat, alone[:, :1])


def test_layers_are_drawn_uniformly_within_their_bound():
    p = Stack.initialise(nets.mlp_spec(25, (16, 100), 4, norm=True, gain=0.5), rngs(0), 1, CPU).frozen
    for layer, bound in {"hidden0": 1 / 5, "hidden1": 1 / 4, "output": 0.5 / 10}.items():
        weight = p[f"{layer}.weight"]
        assert weight.abs().max() <= bound
        assert weight.abs().mean() == pytest.approx(bound / 2, rel=0.1)
        assert weight.mean().abs() < bound / 5
        if layer == "output":
            bound = 1 / 10  # the gain is of the weight alone
        assert bound / 2 < p[f"{layer}.bias"].abs().max() <= bound
    assert (p["norm.weight"] == 1).all()
    assert not p["norm.bias"].any()


def flat_stack(rows: Sequence[Sequence[float]]) -> Stack:
    """One seed with a network of two numbers per row."""
    stack = Stack.initialise({"pair": nets.ParameterSpec((2,), 0.0)}, rngs(0), len(rows), CPU)
    stack.frozen["pair"][:] = tensor(rows).view(len(rows), 2)
    return stack


def test_a_target_moves_by_exactly_tau():
    target, online = flat_stack([[0, 8], [4, -4]]), flat_stack([[16, 0], [4, 4]])
    target.polyak_update(online, 0.25)
    assert target.frozen["pair"].tolist() == [[[4, 6], [4, -2]]]
    assert online.frozen["pair"].tolist() == [[[16, 0], [4, 4]]]
    target.polyak_update(online, 1.0)
    assert torch.equal(target.flat, online.flat)


def test_clipping_is_of_the_norm_of_each_network():
    stack = flat_stack([[0, 0], [0, 0], [0, 0]])
    gradient = stack.params["pair"].grad
    assert gradient is not None
    gradient.copy_(tensor([[[3.0, 4], [0.5, 0.25], [0, 0]]]))
    stack.clip_gradient(1.0)
    assert gradient[0, 0].tolist() == pytest.approx([0.6, 0.8])  # element by element it would be [1, 1]
    assert gradient[0, 1:].tolist() == [[0.5, 0.25], [0, 0]]


LAYERS = ("hidden0", "hidden1", "output")


def plain_network(stack: Stack, s: int, m: int) -> torch.nn.Sequential:
    """One network of a stack of MLPs with two hidden layers, as a module of torch's own."""
    parts: list[torch.nn.Module] = []
    for layer in LAYERS:
        weight = stack.frozen[f"{layer}.weight"][s, m]
        linear = torch.nn.Linear(weight.shape[0], weight.shape[1])
        linear.weight.data, linear.bias.data = weight.T.contiguous(), stack.frozen[f"{layer}.bias"][s, m].clone()
        parts += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1])


@pytest.mark.parametrize("max_norm", [0.0, 0.05])
def test_the_optimizer_is_adam_on_each_network_of_each_seed_alone(max_norm: float):
    stack = Stack.initialise(nets.mlp_spec(3, (7, 5), 2), rngs(0, 1), 2, CPU)
    networks = {(s, m): plain_network(stack, s, m) for s in range(2) for m in range(2)}
    before = stack.flat.clone()
    inputs = [random(2, 1, 9, 3, seed=step) for step in range(6)]

    optimizer = Optimizer([stack], 0.01, max_norm)
    for x in inputs:
        optimizer.step(nets.mlp(stack.params, x).square().mean((2, 3)).sum())
    assert ((stack.flat - before).abs().amax(-1) > 0.01).all()

    for (s, m), network in networks.items():
        adam = torch.optim.Adam(network.parameters(), lr=0.01)
        for x in inputs:
            adam.zero_grad()
            network(x[s, 0]).square().mean().backward()
            if max_norm:
                clip_grad_norm_(network.parameters(), max_norm)
            adam.step()
        trained = plain_network(stack, s, m)
        torch.testing.assert_close(
            parameters_to_vector(trained.parameters()), parameters_to_vector(network.parameters()), rtol=1e-4, atol=1e-5
        )


def test_an_optimizer_steps_all_its_stacks_and_leaves_out_empty_ones():
    full, empty = flat_stack([[1, 2]]), flat_stack([])
    assert empty.flat.numel() == 0
    optimizer = Optimizer([empty, full], 0.5, 0.0)
    optimizer.step(full.params["pair"].sum())
    assert full.frozen["pair"].flatten().tolist() == pytest.approx([0.5, 1.5])  # Adam's first step is lr


def test_an_old_gradient_does_not_enter_the_next_step():
    once, twice = flat_stack([[1, 2]]), flat_stack([[1, 2]])
    twice.params["pair"].square().sum().backward()  # as a pass outside the optimiser might leave it
    for stack in (once, twice):
        optimizer = Optimizer([stack], 0.5, 0.0)
        for _ in range(3):
            optimizer.step((stack.params["pair"] - tensor([3.0, -7])).square().sum())
    assert torch.equal(once.flat, twice.flat)


@pytest.mark.parametrize("shape", [(33, 1), (33, 3), (32, 2), (1, 6), (7, 5)], ids=str)
def test_tanh_has_the_same_bits_in_any_pack(shape: tuple[int, int]):
    x = random(10, 1, *shape).mul_(2).requires_grad_()
    y = nets.tanh(x)
    (y * random(10, 1, *shape, seed=1)).sum().backward()
    torch.testing.assert_close(y, torch.tanh(x.double()).float(), rtol=0, atol=1e-6)
    assert x.grad is not None
    for seeds in ([0], [9], [3, 7], [1, 2, 3, 4, 5]):
        part = x.detach()[seeds].requires_grad_()
        again = nets.tanh(part)
        (again * random(10, 1, *shape, seed=1)[seeds]).sum().backward()
        assert torch.equal(again, y[seeds])
        assert part.grad is not None
        assert torch.equal(part.grad, x.grad[seeds])


@pytest.mark.parametrize(("members", "shared"), [(1, False), (2, True), (3, False)])
@pytest.mark.parametrize("sizes", [(33, 14, 50), (33, 50, 30), (7, 37, 6), (8, 16, 16), (256, 256, 256)], ids=str)
def test_a_layer_has_the_same_bits_in_any_pack(sizes: tuple[int, int, int], members: int, shared: bool):
    B, I, J = sizes
    layers = nets.dense_spec("layer", I, J)
    drawn = Stack.initialise(layers, rngs(*range(10)), members, CPU).flat
    x, weight = random(10, 1 if shared else members, B, I), random(10, members, B, J, seed=1)

    def results(seeds: list[int]) -> list[Tensor]:
        stack = Stack(layers, drawn[seeds], torch.zeros_like(drawn[seeds]))
        inputs = x[seeds].requires_grad_()
        y = nets.dense(stack.params, "layer", inputs, relu=True)
        (y * weight[seeds]).sum().backward()
        assert stack.grad is not None
        assert inputs.grad is not None
        return [y.detach(), stack.grad, inputs.grad]

    together = results(list(range(10)))
    for seeds in ([0], [7], [3, 7], [1, 2, 3, 4, 5]):
        for alone, all_seeds in zip(results(seeds), together, strict=True):
            assert torch.equal(alone, all_seeds[seeds])
