"""The registry of environments and the environments of other packages."""

import json
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from savo_bench import envs
from savo_bench.envs import Metric, registry


class Image(gym.Env[Any, Any]):
    """Observes a float64 picture and acts in uneven bounds: nothing as agents see it."""

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Box(0, 255, (2, 3), np.float64)
        self.action_space = gym.spaces.Box(np.array([0, -2], np.float32), np.array([1, 4], np.float32))
        self.executed = np.zeros(2)

    def reset(self, *, seed=None, options=None):  # noqa: ARG002
        super().reset(seed=seed)
        return np.arange(6.0).reshape(2, 3), {}

    def step(self, action):
        self.executed = action
        return np.arange(6.0).reshape(2, 3), 0.0, False, False, {}


@pytest.fixture(autouse=True)
def _clean_registries(monkeypatch):
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    before = dict(gym.registry)
    yield
    for id in set(gym.registry) - set(before):
        del gym.registry[id]


def register(name: str = "image", id: str = "Test/Image-v0", **keywords):
    return envs.environment(name, id=id, tags=("test",), max_episode_steps=7, **keywords)


def test_an_environment_is_one_decorated_function():
    @register()
    def image(*, size: int = 3, render_mode: str | None = None) -> gym.Env:  # noqa: ARG001
        """A picture.

        And more about it.
        """
        return Image()

    assert "image" in envs.names()
    assert envs.names("test") == ["image"]
    assert "test" in envs.tags()
    found = envs.get("image")
    assert found.summary == "A picture"
    assert list(found.keywords) == ["size"]
    assert found.keywords["size"].annotation is int
    assert found.keywords["size"].default == 3
    spec = gym.make("Test/Image-v0", size=4).spec
    assert spec is not None
    assert spec.kwargs == {"name": "image", "size": 4}
    assert spec.max_episode_steps == 7


def test_a_metric_has_its_label_and_its_unit_where_the_environment_is_registered():
    register(metrics={"valid": Metric("mean", "invalid", "%", complement=True), "tries": "sum"})(lambda: Image())
    found = envs.get("image")
    assert found.metrics == {
        "valid": Metric("mean", "invalid", "%", complement=True),
        "tries": Metric("sum", "tries", ""),  # a plain string: the key is the label
    }
    labels = found.metric_labels()
    assert json.loads(json.dumps(labels)) == labels
    assert labels["valid"] == {"how": "mean", "label": "invalid", "unit": "%", "complement": True}
    assert envs.get("hopper").metric_labels() == {}


def test_an_environment_may_have_a_twin_for_evaluations():
    made = []

    @register()
    def image(*, size: int = 3, evaluation: bool = False) -> gym.Env:
        made.append((size, evaluation))
        return Image()

    @register("plain", "Test/Plain-v0")
    def plain(*, size: int = 3) -> gym.Env:
        made.append((size, None))
        return Image()

    assert list(envs.get("image").keywords) == ["size"]  # it is no keyword of the task
    for evaluation in (False, True):
        envs.make("image", size=4, evaluation=evaluation)
        envs.make("plain", size=5, evaluation=evaluation)
    gym.make("Test/Image-v0", evaluation=True, disable_env_checker=True)
    assert made == [(4, False), (5, None), (4, True), (5, None), (3, True)]
    spec = envs.make("image", evaluation=True).spec
    assert spec is not None
    assert spec.kwargs == {"name": "image", "evaluation": True}
    gym.make(spec)
    assert made[-2:] == [(3, True), (3, True)]


def test_an_environment_says_whether_it_can_be_made_here():
    def lacks(keywords: Mapping[str, Any]) -> str | None:
        return None if keywords.get("size") == 4 else "image: no data; pip install pictures"

    register(unavailable=lacks)(lambda size=3: Image())  # noqa: ARG005
    assert envs.get("image").unavailable({}) == "image: no data; pip install pictures"
    assert envs.get("image").unavailable({"size": 4}) is None
    assert envs.get("restricted-hopper").unavailable({}) is None


def test_agents_see_any_environment_in_the_same_form():
    register()(lambda: Image())
    env = envs.make("image")
    obs, _ = env.reset(seed=0)
    assert obs.shape == env.observation_space.shape == (6,)
    assert obs.dtype == env.observation_space.dtype == np.float32
    assert env.action_space == gym.spaces.Box(-1, 1, (2,), np.float32)
    for action, executed in (([-1, -1], [0, -2]), ([1, 1], [1, 4]), ([0, 0], [0.5, 1])):
        env.step(np.array(action, np.float32))
        assert isinstance(env.unwrapped, Image)
        np.testing.assert_array_equal(env.unwrapped.executed, executed)


def test_an_item_s_index_reaches_the_environment_as_it_is():
    class Shop(Image):
        def __init__(self) -> None:
            super().__init__()
            self.action_space = gym.spaces.Discrete(3)
            self.item_vectors = np.zeros((3, 2), np.float32)

    register()(lambda: Shop())
    env = envs.make("image")
    assert isinstance(env, registry.AgentView)
    assert env.action_space == gym.spaces.Discrete(3)
    env.reset(seed=0)
    action = np.int64(2)
    env.step(action)
    assert isinstance(env.unwrapped, Shop)
    assert env.unwrapped.executed is action
    assert env.unwrapped.item_vectors.shape == (3, 2)


def test_an_environment_that_is_as_agents_see_it_is_not_wrapped():
    assert not isinstance(envs.make("restricted-hopper"), registry.AgentView)


def test_mistakes_of_a_registration_are_named():
    with pytest.raises(ValueError, match="name='hopper': is registered already, as Hopper-v5; choose another"):
        register("hopper")(lambda: Image())
    with pytest.raises(ValueError, match="id='Hopper-v5': is registered with Gymnasium already; choose another"):
        register(id="Hopper-v5")(lambda: Image())
    for minimum in ("min", Metric("min")):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"metrics\['found'\]='min': must be mean, max or sum"):
            register(metrics={"found": minimum})(lambda: Image())
    with pytest.raises(ValueError, match="image: keyword 'size' of its factory: must have a default"):
        register()(lambda size: Image())  # noqa: ARG005
    with pytest.raises(ValueError, match="every keyword must be named"):
        register()(lambda **keywords: Image())  # noqa: ARG005
    assert "image" not in envs.names()
    assert "Test/Image-v0" not in gym.registry


def test_observations_and_actions_without_a_form_for_agents_are_refused():
    class Words(Image):
        def __init__(self) -> None:
            super().__init__()
            self.observation_space = gym.spaces.Text(5)

    class Endless(Image):
        def __init__(self) -> None:
            super().__init__()
            self.action_space = gym.spaces.Box(-np.inf, np.inf, (2,))

    register("words", "Test/Words-v0")(lambda: Words())
    register("endless", "Test/Endless-v0")(lambda: Endless())
    with pytest.raises(ValueError, match="must be a Box"):
        envs.make("words")
    with pytest.raises(ValueError, match="must be bounded"):
        envs.make("endless")


@pytest.mark.parametrize("name", ["restricted-hoper", "restrictedhopper", "Restricted-Hopper"])
def test_an_unknown_name_gets_the_nearest_ones(name: str):
    for function in (envs.get, envs.make):
        with pytest.raises(envs.UnknownEnvironment, match="restricted-hopper") as caught:
            function(name)
        assert "\n" not in str(caught.value)


def test_a_tag_that_nobody_has_has_no_names():
    assert envs.names("nobody") == []


def test_environments_of_an_installed_package_are_found(run_python, example_plugin):
    code = (
        "import gymnasium as gym; from savo_bench import envs\n"
        "print(envs.get('line').tags, list(envs.get('line').keywords), envs.get('line').summary)\n"
        "print(envs.make('line', friction=0.5))\n"
        "print(gym.make('SavoBenchExample/Line-v0').reset(seed=0)[0].dtype)\n"
        "try:\n"
        "    envs.make('line', friction=2)\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    result = run_python(code, example_plugin)
    assert result.stdout.splitlines() == [
        "('example',) ['friction'] A sledge on a line, pushed towards 0",
        "<TimeLimit<OrderEnforcing<Line<SavoBenchExample/Line-v0>>>>",
        "float32",
        "friction=2: must be from 0 to 1",
    ], result.stderr


def test_the_example_package_is_importable_before_envs(run_python, example_plugin):
    result = run_python(
        "import savo_bench_example.line; from savo_bench import envs; print(envs.names('example'))", example_plugin
    )
    assert (result.stdout, result.stderr) == ("['line']\n", "")


def test_an_environment_of_a_package_passes_the_checks(run_python, example_plugin):
    code = (
        "from savo_bench import envs\n"
        "from gymnasium.utils.env_checker import check_env\n"
        "check_env(envs.make('line').unwrapped)\n"
        "print('fine')\n"
    )
    assert run_python(code, example_plugin).stdout == "fine\n"


def test_a_broken_package_is_left_out_with_one_line_and_the_others_stay(run_python, example_plugin, tmp_path):
    for number, (module, source) in enumerate(
        [("nowhere", None), ("raises", "raise RuntimeError('first line\\nsecond line')"), ("twice", TWICE)]
    ):
        if source is not None:
            (tmp_path / f"{module}.py").write_text(source)
        metadata = tmp_path / f"broken{number}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: broken{number}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[{registry.ENTRY_POINTS}]\nof_{module} = {module}\n")
    result = run_python(
        "from savo_bench import envs; print(len(envs.names('control')), envs.names('example'))",
        tmp_path,
        example_plugin,
    )
    assert result.stdout == "6 ['line']\n", result.stderr
    warnings = [line.partition("RuntimeWarning: ")[2] for line in result.stderr.splitlines() if "Warning: " in line]
    left_out = "environments of the package 'broken{}' left out: its entry point 'of_{}' ({}) failed: "
    assert [line.partition("failed: ")[0] + "failed: " for line in warnings] == [
        left_out.format(0, "nowhere", "nowhere"),
        left_out.format(1, "raises", "raises"),
        left_out.format(2, "twice", "twice"),
    ]
    assert "ModuleNotFoundError" in warnings[0]
    assert warnings[1].endswith("RuntimeError: first line second line")
    assert warnings[2].endswith("name='hopper': is registered already, as Hopper-v5; choose another")


TWICE = """
import gymnasium as gym
from savo_bench.envs import environment

@environment("hopper", id="Broken/Hopper-v0", tags=(), max_episode_steps=1)
def hopper() -> gym.Env:
    return gym.make("Hopper-v5")
"""


def test_an_entry_point_may_be_a_function(run_python, tmp_path):
    (tmp_path / "offers.py").write_text(
        TWICE.replace('"hopper"', '"mine"')
        + "\n\ndef register():\n    environment('other', id='Other/Other-v0', tags=(), max_episode_steps=1)(hopper)\n"
    )
    metadata = tmp_path / "offers-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: offers\nVersion: 1.0\n")
    points = "a_factory = offers:hopper\na_function = offers:register\n"
    (metadata / "entry_points.txt").write_text(f"[{registry.ENTRY_POINTS}]\n{points}")
    result = run_python(
        "import sys; from savo_bench import envs; print(envs.names()[:], 'mujoco' in sys.modules)", tmp_path
    )
    assert "'mine'" in result.stdout
    assert "'other'" in result.stdout
    assert result.stdout.endswith("False\n")  # the factory was found, not called
    assert result.stderr == ""
