"""Hamilton in nautilus_trader: decides at each close and trades from then on; docs/serving.md."""

from nautilus_trader.config import StrategyConfig
from nautilus_trader.core.datetime import unix_nanos_to_dt
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.trading.strategy import Strategy

from serving import Hamilton, Limits, RemoteRegistry


class HamiltonConfig(StrategyConfig, frozen=True):
    registry: str
    model: str
    bar_type: BarType
    capital: float
    limits: dict = {}  # noqa: RUF012 -- each configuration has its own
    options: dict = {}  # noqa: RUF012


class HamiltonStrategy(Strategy):
    def on_start(self):
        config, clock = self.config, self.clock.timestamp_ns
        options = config.options | {"limits": Limits(**config.limits), "clock": clock}
        self.hamilton = Hamilton(RemoteRegistry(config.registry), [config.model], **options)
        start = unix_nanos_to_dt(min(self.hamilton.last_close(config.model), clock()))
        self.request_bars(config.bar_type, start=start)
        self.subscribe_bars(config.bar_type)

    def on_stop(self):
        self.hamilton.close()

    def on_historical_data(self, bar):
        close = bar.ts_event + -bar.ts_event % bar.bar_type.spec.get_interval_ns()  # rounded up
        row = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        if bar.volume > 0 and close > self.hamilton.last_close(self.config.model):
            self.hamilton.bar(self.config.model, *map(float, row), close)

    def on_bar(self, bar):
        self.on_historical_data(bar)
        if decision := self.hamilton.last_decision(self.config.model):
            instrument = self.cache.instrument(bar.bar_type.instrument_id)
            least = -1 if self.portfolio.account(instrument.venue).is_margin_account else 0
            wanted = max(decision.exposure, least) * self.config.capital / float(bar.close)
            change = wanted - float(self.portfolio.net_position(instrument.id))
            if abs(change) >= max(0.02 * abs(wanted), float(instrument.size_increment)):
                side = OrderSide.BUY if change > 0 else OrderSide.SELL
                quantity = instrument.make_qty(abs(change))
                self.submit_order(self.order_factory.market(instrument.id, side, quantity))
