"""What agents are told of an environment."""

import pytest
from small_cells import one

from savo_bench.algos.agent import Spaces
from savo_bench.bench.errors import UserError
from savo_bench.bench.spaces import probe


def test_a_keyword_that_a_factory_refuses_is_named_when_the_environment_is_probed():
    with pytest.raises(UserError, match="balls=0"):
        probe(one(envs="restricted-hopper:balls=0"))
    assert probe(one(envs="restricted-hopper:extra_dims=2")) == Spaces(11, 5)


def test_an_environment_is_probed_once():
    first, again, other = (probe(one(envs=f"recsim:items={items}")) for items in (60, 60, 70))
    assert first is again
    assert first.catalogue is not None
    assert other.catalogue is not None
    assert (len(first.catalogue), len(other.catalogue)) == (60, 70)
