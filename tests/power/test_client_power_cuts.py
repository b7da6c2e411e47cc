"""The power goes under the daemon and the tree it watches: what survives is stored, and nothing that is there is told
deleted. `make prove-power-client` does this hundreds of times."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.power.client_cutting import cut_clients
from tests.power.client_real import cut_real_client
from tests.power.loopdisk import why_not

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", autouse=True)
def a_disk_can_be_cut() -> None:
    if reason := why_not():
        pytest.skip(reason)


def test_after_each_cut_the_server_has_what_is_left() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:  # in this process are threads of other tests
        outcome = pool.submit(cut_clients, 3, 4, 120.0).result()
    assert outcome.cuts > 2, f"a slow machine: {outcome}"
    assert outcome.converged > 1
    assert outcome.counts["acknowledged"] > 0


def test_after_a_cut_under_a_real_process_the_server_has_what_is_left() -> None:
    assert cut_real_client(seed=4, cuts=1).cuts == 1
