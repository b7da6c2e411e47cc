"""Whatever the server does, or what stands between: nothing is lost, nothing is believed, and it goes on by itself."""

from tests.e2e.conftest import MakeWorld
from tests.e2e.faultproxy import FaultProxy
from tests.e2e.mischief import Tenant, storm

IMPATIENT = {"PP_ASSIST_UPLOADER__TIMEOUT_SECONDS": "1"}
SOME = ["refused", "captive portal", "status 401", "lost receipts", "lost completions", "black hole"]


def test_nothing_is_lost_in_bad_weather(make_world: MakeWorld, proxy: FaultProxy) -> None:
    made = make_world(**IMPATIENT)
    made.server.start()
    proxy.target = made.server.port
    made.begin(proxy.url)
    tenant = Tenant(made, seed=5, sizes=[0, 10, 20_000, 400_000])
    tenant.work(5)
    made.soon_equal()
    for name in SOME:
        print(storm(made, proxy, name, lambda: tenant.work(5)))
    assert made.server.stop() == 0
    tenant.work(5)
    made.daemon.scan()
    made.daemon.restart()
    made.server.start()
    made.soon_equal(30)
    assert made.daemon.pending() == {}
