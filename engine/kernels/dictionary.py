"""What each feature is: its name, formula, unit and look-back, and when it is unknown.

The order is that of the kernels' columns, which take their names from here. ``docs/features.md``
and the page beside every explanation are made of these entries. Needs the standard library alone.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BAR_ENTRIES",
    "ENTRIES",
    "LIQUIDATION_ENTRIES",
    "MARKET_ENTRIES",
    "NOTATION",
    "SENTIMENT_ENTRIES",
    "Entry",
]


@dataclass(frozen=True)
class Entry:
    """A feature.

    Attributes:
        name: of the feature.
        formula: in the words of :data:`NOTATION`.
        unit: of its values.
        look_back: bars that it depends on, its own included; a market feature needs the rows that
            are public and not stale at these bars' closes.
        unknown: when it is NaN though its own bar is there.
    """

    name: str
    formula: str
    unit: str
    look_back: int
    unknown: str


#: The words of the formulas. Lengths are in bars.
NOTATION: dict[str, str] = {
    "x[-h]": "x of the bar h bars before",
    "r": "ln(close / close[-1]), the bar's log return",
    "mean(x, w)": "mean of x over the last w bars, this one included; missing bars are skipped, "
    "and if more than half of the w bars are missing it is unknown",
    "max(x, w), min(x, w)": "largest and smallest in the same way",
    "sigma": "√mean(r², 72), the volatility of one bar",
    "range": "ln(high / low)",
    "gk(w)": "volatility of one bar by Garman and Klass (1980) with the opening gap of Yang and "
    "Zhang (2000): √(mean(½ range² - (2 ln 2 - 1) ln(close / open)², w) + "
    "mean(ln(open / close[-1])², w))",
    "hours": "hours from midnight UTC to the bar's close, which is when the next bar begins",
    "rate, interval": "the funding rate last settled, a share of the position's value, and the "
    "hours that it is for, as public at the bar's close; two intervals after its settlement it is "
    "stale, and so unknown",
    "base, usd": "open interest in base units and in USD, as public at the bar's close; two of its "
    "periods after its time stamp it is stale, and so unknown",
    "posts(w)": "the scores, -1 to 1, of the posts on the coin that were published after the close "
    "of the bar w before and had arrived by this bar's close; of no posts nothing is known",
    "index": "the Fear & Greed index of the day, 0 to 100, as public at the bar's close; two days "
    "after the day's beginning it is stale, and so unknown",
    "forced(w), long, short": "USD a minute of those who were liquidated (all, longs, shorts) over "
    "the known minutes of the w bars up to a minute before the bar's close; a minute is known that "
    "was listened to from end to end, once that has arrived",
    "gaps": "more than half of a window is missing",
    "no move": "prices did not move in the window, so that a denominator, or what the logarithm is "
    "taken of, is 0",
    "no trade": "nothing was traded in the window, or no volume is known",
    "exchanges": "a feature of funding, open interest or liquidations is computed for each "
    "exchange first, and is the mean over those where it is known; one of posts for each "
    "publisher",
}

_WINDOW = "gaps"
_FLAT = "gaps, no move"
_TRADE = "gaps, no trade"
_SIGMA = "one of the two closes is missing; gaps, no move in sigma"
_RANGE = "the bar's high is its low"
_LOG = "logarithm"
_RATIO = "logarithm of a ratio"
_SHARE = "share, 0 to 1"
_OF_SIGMA = "sigma × √bars"


def _returns() -> tuple[Entry, ...]:
    return tuple(
        Entry(
            f"ret_{h}", f"ln(close / close[-{h}]) / (sigma √{h})", _OF_SIGMA, max(73, h + 1), _SIGMA
        )
        for h in (1, 2, 4, 8, 24, 72, 168)
    )


#: The features of :mod:`engine.kernels.features`.
BAR_ENTRIES: tuple[Entry, ...] = (
    *_returns(),
    # Volatility of one bar.
    Entry("log_gk_24", "ln gk(24)", _LOG, 25, _FLAT),
    Entry("log_gk_168", "ln gk(168)", _LOG, 169, _FLAT),
    Entry("log_cc_24", "½ ln mean(r², 24)", _LOG, 25, _FLAT),
    Entry("log_abs_24", "ln mean(|r|, 24)", _LOG, 25, _FLAT),
    Entry("log_range_24", "ln mean(range, 24)", _LOG, 24, _FLAT),
    # Is it rising?
    Entry("range_1_24", "ln(range / mean(range, 24))", _RATIO, 24, _FLAT),
    Entry("range_4_24", "ln(mean(range, 4) / mean(range, 24))", _RATIO, 24, _FLAT),
    Entry("range_24_168", "ln(mean(range, 24) / mean(range, 168))", _RATIO, 168, _FLAT),
    Entry("abs_1_24", "|r| / mean(|r|, 24)", "ratio", 25, _FLAT),
    Entry("abs_4_24", "ln(mean(|r|, 4) / mean(|r|, 24))", _RATIO, 25, _FLAT),
    Entry("abs_24_168", "ln(mean(|r|, 24) / mean(|r|, 168))", _RATIO, 169, _FLAT),
    Entry("gk_24_168", "ln(gk(24) / gk(168))", _RATIO, 169, _FLAT),
    Entry(
        "same_hour_168",
        "ln(mean of |r|[-23], |r|[-47], …, |r|[-167] / mean(|r|, 168)): the seven bars that the "
        "next one is 24, 48, … bars after",
        _RATIO,
        169,
        "more than three of the seven bars are missing; gaps, no move",
    ),
    Entry(
        "vol_of_vol_168",
        "√mean(ln(gk(24) / gk(24)[-1])², 168)",
        "logarithm per bar",
        193,
        _FLAT,
    ),
    Entry("down_24", "mean(min(r, 0)², 24) / mean(r², 24)", _SHARE, 25, _FLAT),
    Entry("down_168", "mean(min(r, 0)², 168) / mean(r², 168)", _SHARE, 169, _FLAT),
    # Trend.
    Entry("above_mean_24", "(ln close - mean(ln close, 24)) / (sigma √24)", _OF_SIGMA, 73, _FLAT),
    Entry("above_mean_72", "(ln close - mean(ln close, 72)) / (sigma √72)", _OF_SIGMA, 73, _FLAT),
    Entry(
        "above_mean_168", "(ln close - mean(ln close, 168)) / (sigma √168)", _OF_SIGMA, 168, _FLAT
    ),
    Entry(
        "slope_24",
        "(mean(ln close, 12) - mean(ln close, 12)[-12]) / (sigma √24)",
        _OF_SIGMA,
        73,
        _FLAT,
    ),
    Entry(
        "slope_168",
        "(mean(ln close, 84) - mean(ln close, 84)[-84]) / (sigma √168)",
        _OF_SIGMA,
        168,
        _FLAT,
    ),
    Entry(
        "efficiency_24",
        "|ln(close / close[-24])| / (24 mean(|r|, 24)), Kaufman's (1995) efficiency ratio",
        "share, 0 to 1 without gaps",
        25,
        f"close[-24] is missing; {_FLAT}",
    ),
    Entry(
        "efficiency_72",
        "|ln(close / close[-72])| / (72 mean(|r|, 72))",
        "share, 0 to 1 without gaps",
        73,
        f"close[-72] is missing; {_FLAT}",
    ),
    Entry("rising_14", "mean(max(r, 0), 14) / mean(|r|, 14)", _SHARE, 15, _FLAT),
    Entry("autocorrelation_72", "mean(r r[-1], 72) / sigma²", "correlation", 74, _FLAT),
    # Place in the window's range.
    Entry(
        "position_24",
        "(close - min(low, 24)) / (max(high, 24) - min(low, 24))",
        _SHARE,
        24,
        _FLAT,
    ),
    Entry(
        "position_168",
        "(close - min(low, 168)) / (max(high, 168) - min(low, 168))",
        _SHARE,
        168,
        _FLAT,
    ),
    Entry("drawdown_168", "ln(close / max(high, 168)) / (sigma √168)", _OF_SIGMA, 168, _FLAT),
    # The bar itself.
    Entry("upper_shadow", "(high - max(open, close)) / (high - low)", _SHARE, 1, _RANGE),
    Entry("lower_shadow", "(min(open, close) - low) / (high - low)", _SHARE, 1, _RANGE),
    Entry("body", "(close - open) / (high - low)", "share, -1 to 1", 1, _RANGE),
    # Volume.
    Entry("volume_1_24", "ln(volume / mean(volume, 24))", _RATIO, 24, _TRADE),
    Entry("volume_24_168", "ln(mean(volume, 24) / mean(volume, 168))", _RATIO, 168, _TRADE),
    Entry(
        "signed_volume_4",
        "mean(sign(r) volume, 4) / mean(volume, 4)",
        "share, -1 to 1",
        5,
        _TRADE,
    ),
    Entry(
        "signed_volume_24",
        "mean(sign(r) volume, 24) / mean(volume, 24)",
        "share, -1 to 1",
        25,
        _TRADE,
    ),
    Entry(
        "illiquidity_24_168",
        "ln(mean(i, 24) / mean(i, 168)), i = |r| / (volume × close), Amihud's (2002) illiquidity",
        _RATIO,
        169,
        f"{_TRADE}, no move",
    ),
    # When the next bar begins.
    Entry("hour_sin", "sin(2π hours / 24)", "sine", 1, "never"),
    Entry("hour_cos", "cos(2π hours / 24)", "cosine", 1, "never"),
    Entry("weekday_sin", "sin(2π hours since Monday / 168)", "sine", 1, "never"),
    Entry("weekday_cos", "cos(2π hours since Monday / 168)", "cosine", 1, "never"),
    Entry("weekend", "1 on Saturday and Sunday UTC, else 0", "0 or 1", 1, "never"),
)

_RATE = "no exchange has a rate that is public and not stale"

#: The features of :mod:`engine.kernels.market_features`.
MARKET_ENTRIES: tuple[Entry, ...] = (
    Entry("funding_8h", "8 rate / interval", "share per 8 hours", 1, _RATE),
    Entry("funding_mean_24", "mean(funding_8h, 24)", "share per 8 hours", 24, _WINDOW),
    Entry("funding_mean_168", "mean(funding_8h, 168)", "share per 8 hours", 168, _WINDOW),
    Entry(
        "funding_spread",
        "largest less smallest of the exchanges' 8 rate / interval",
        "share per 8 hours",
        1,
        "fewer than two exchanges have a rate",
    ),
    Entry(
        "funding_elapsed",
        "time since the last settlement / interval",
        "intervals, 0 to 2",
        1,
        _RATE,
    ),
    *(
        Entry(
            f"oi_change_{h}",
            f"ln(base / base[-{h}])",
            _RATIO,
            h + 1,
            "no exchange has rows at both bars, or it is one and the same row",
        )
        for h in (1, 24, 168)
    ),
    Entry(
        "oi_turnover_24",
        "ln(usd / (24 mean(volume × close, 24))), base × close where there is no usd",
        _RATIO,
        24,
        f"no exchange has open interest; {_TRADE}",
    ),
    Entry(
        "oi_flow_24",
        "oi_change_24 × sign(close - close[-24])",
        _RATIO,
        25,
        "as oi_change_24, or close[-24] is missing",
    ),
)

_LIQUIDATIONS = (
    "less than .95 of a window's minutes is known at every exchange, or nothing came in a window "
    "of which any is not"
)
_NONE = f"{_LIQUIDATIONS}; nothing came in 168 bars"
_LONG = "(long - short) / (long + short)"

#: The features of :mod:`engine.kernels.liquidations`.
LIQUIDATION_ENTRIES: tuple[Entry, ...] = (
    Entry("liq_1_168", "ln(1 + forced(1) / forced(168))", _RATIO, 169, _NONE),
    Entry("liq_24_168", "ln(1 + forced(24) / forced(168))", _RATIO, 169, _NONE),
    Entry("liq_peak_24", "ln(1 + max(forced(1), 24) / forced(168))", _RATIO, 169, _NONE),
    Entry(
        "liq_side_1", f"{_LONG} of forced(1)", "share, -1 to 1", 2,
        f"{_LIQUIDATIONS}; nothing came",
    ),
    Entry(
        "liq_side_24", f"{_LONG} of forced(24)", "share, -1 to 1", 25,
        f"{_LIQUIDATIONS}; nothing came",
    ),
    Entry(
        "liq_turnover_24",
        "forced(24) × minutes of 24 bars / (24 mean(volume × close, 24))",
        "share; a lower bound where an exchange pushes a part of its liquidations alone",
        25,
        f"{_LIQUIDATIONS}; {_TRADE}",
    ),
)  # fmt: skip

_POSTS = "no publisher has a post with a score in the window"

#: The features of :mod:`engine.kernels.sentiment`.
SENTIMENT_ENTRIES: tuple[Entry, ...] = (
    *(
        Entry(
            f"mood_{w}",
            f"mean of posts({w})",
            "score, -1 to 1",
            w + 1,
            f"{_POSTS}, or the series is shorter",
        )
        for w in (4, 24, 168)
    ),
    Entry(
        "mood_spread_24",
        "standard deviation of posts(24)",
        "score, 0 to 1",
        25,
        "no publisher has two posts with scores in the window, or the series is shorter",
    ),
    Entry("fear_greed", "index / 100", "share, 0 to 1", 1, "no value is public and not stale"),
)

#: All of them.
ENTRIES: tuple[Entry, ...] = (
    *BAR_ENTRIES,
    *MARKET_ENTRIES,
    *SENTIMENT_ENTRIES,
    *LIQUIDATION_ENTRIES,
)
