"""Hamilton in freqtrade: decides at each close, trades at the next open; see docs/serving.md."""

from freqtrade.strategy import IStrategy, timeframe_to_seconds

from serving import Hamilton, Limits, RemoteRegistry


class HamiltonStrategy(IStrategy):
    timeframe, minimal_roi, stoploss, position_adjustment_enable = "1h", {}, -0.99, True
    can_short = property(lambda self: self.config.get("trading_mode", "spot") != "spot")

    def bot_start(self, **_):
        brain, folder = self.config["brain"], self.config["user_data_dir"]
        limits, options = brain.get("limits", {}), {x: folder / x for x in ("journal", "cache")}
        if self.dp.runmode.value not in ("live", "dry_run"):  # of the past, by today's champions
            limits, options = limits | {"stale_after": float("inf")}, {"refresh": None}
        registry, models = RemoteRegistry(brain["registry"]), brain["models"].values()
        self.hamilton = Hamilton(registry, models, limits=Limits(**limits), **options)

    def ft_bot_cleanup(self):
        self.hamilton.close()

    def populate_indicators(self, frame, metadata):
        model = self.config["brain"]["models"][metadata["pair"]]
        end = frame.date.dt.as_unit("ns").astype(int) + timeframe_to_seconds(self.timeframe) * 10**9
        # freqtrade fills gaps with candles without volume; for Hamilton they stay missing.
        bars = frame[["open", "high", "low", "close", "volume"]].where(frame["volume"] > 0)
        new = bars.assign(close_time=end)[end > self.hamilton.last_close(model)]
        decisions = [self.hamilton.last_decision(model)]  # which is held, after a restart too
        decisions += [self.hamilton.bar(model, *bar) for bar in new.itertuples(index=False)]
        stake = end.map({d.time: d.exposure * self.config["stake_amount"] for d in decisions if d})
        return frame.assign(long=stake, short=-stake)

    def populate_entry_trend(self, frame, metadata):
        return frame.assign(enter_long=frame.long > 0, enter_short=frame.short > 0)

    def populate_exit_trend(self, frame, metadata):
        return frame.assign(exit_long=frame.long <= 0, exit_short=frame.short <= 0)

    def custom_stake_amount(self, pair, side, **_):
        return self.dp.get_analyzed_dataframe(pair, self.timeframe)[0][side].iloc[-1]

    def adjust_trade_position(self, trade, min_stake, **_):
        last = self.dp.get_analyzed_dataframe(trade.pair, self.timeframe)[0].iloc[-1]
        wanted, worth = last[trade.trade_direction], trade.amount * last["close"]
        change, least = wanted - worth, max(min_stake or 0, 0.02 * wanted)
        wait = trade.has_open_orders or wanted <= 0 or abs(change) < least
        # What is to be sold, freqtrade takes as a share of what the trade has cost.
        return None if wait else change * (1 if change > 0 else trade.stake_amount / worth)
