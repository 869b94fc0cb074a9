"""Products: right, and with the same bits for a seed alone and in any pack."""

import pytest
import torch
from small_agents import random

from savo_bench.algos import products

pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")

SIZES = [(33, 5, 50), (33, 50, 30), (33, 30, 1), (33, 30, 6), (8, 16, 16), (1, 17, 9), (7, 37, 3), (61, 100, 70)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("count", [1, 2, 5, 10])
def test_products_have_the_bits_of_single_ones(count: int, sizes: tuple[int, int, int]):
    I, J, K = sizes
    a, b, c = (products.aligned(random(count, 1, *shape)) for shape in ((I, J), (J, K), (1, K)))  # as a layer has them
    for left, right in ((a, b), (a, products.aligned(b.mT).mT), (products.aligned(a.mT).mT, b)):
        for bias in (None, c.squeeze(2)):
            out = products.products(products.aligned_empty((count, 1, I, K), a), left, right, bias)
            for s in range(count):
                single = [left[s, 0], right[s, 0]]
                assert torch.equal(out[s, 0], torch.mm(*single) if bias is None else torch.addmm(bias[s, 0], *single))


def test_a_batched_product_is_used_only_where_it_gives_the_bits_of_single_ones():
    trusted = 0
    for count in (2, 10):
        for I, J, K in SIZES:
            if products._batched_is_exact(count, I, J, K):
                trusted += 1
                a, b, c = random(count, I, J, seed=5), random(count, J, K, seed=6), random(count, K, seed=7)
                batched, single = torch.empty(count, I, K), torch.empty(count, I, K)
                products._batched(batched, a, b, c)
                products._one_by_one(single, a, b, c)
                assert torch.equal(batched, single)
    assert not products._batched_is_exact(2, 33, 30, 1)
    assert trusted > 0


# Over and under the size from which on another library makes the products; odd ones too.
LARGE_SIZES = [(256, 256, 256), (256, 17, 256), (253, 131, 67), (100, 256, 129)]


@pytest.mark.parametrize("sizes", LARGE_SIZES, ids=str)
def test_large_products_are_right_and_have_the_same_bits_in_any_pack(sizes: tuple[int, int, int]):
    I, J, K = sizes
    a, b, c = (products.aligned(random(5, 2, *shape)) for shape in ((I, J), (J, K), (1, K)))
    for left, right in ((a, b), (a, products.aligned(b.mT).mT), (products.aligned(a.mT).mT, b)):
        for bias in (None, c.squeeze(2)):
            out = products.products(products.aligned_empty((5, 2, I, K), a), left, right, bias)
            expected = left.double() @ right.double() + (0 if bias is None else c.double())
            torch.testing.assert_close(out.double(), expected, rtol=0, atol=1e-5 * J)
            for seeds in ([0], [3], [4, 1]):
                some = None if bias is None else bias[seeds]
                again = products.products(
                    products.aligned_empty((len(seeds), 2, I, K), a), left[seeds], right[seeds], some
                )
                assert torch.equal(again, out[seeds])


def test_where_onednn_cannot_be_had_the_other_library_makes_large_products(monkeypatch):
    monkeypatch.setattr(products, "_onednn", lambda: None)
    a, b = (products.aligned(random(1, 1, 256, 256, seed=seed)) for seed in (0, 1))
    assert torch.equal(products.products(torch.empty_like(a), a, b)[0, 0], torch.mm(a[0, 0], b[0, 0]))
