"""Plots of what was measured, each with sentences that hold the same numbers. plotly is imported late."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from page import markup, numbers
from page.markup import block
from page.words import Language, say
from tools.words import PROBES

if TYPE_CHECKING:
    import plotly.graph_objects as plotly_graphs

AGREEMENTS = ("unit_order", "unit_partners", "unit_relations", "turned_partners")
HEIGHT = 280

# Up to this many layers each has its bar and its number in the sentence; beyond it there are lines, and range
# and median in words. All values are in the JSON.
SPELLED_LAYERS = 16

# Series differ in pattern, sign and dash as well as in colour. Both colours keep 3:1 on white and on slate.
STYLES = (
    {"color": "#3b74e0", "pattern": "", "symbol": "circle", "dash": "solid"},
    {"color": "#b8651b", "pattern": "/", "symbol": "diamond", "dash": "dot"},
    {"color": "#6b7890", "pattern": "x", "symbol": "square", "dash": "dash"},
    {"color": "#a45fd0", "pattern": ".", "symbol": "cross", "dash": "dashdot"},
)

Points = Sequence[tuple[float, float]]


def agreement_per_layer(result: Mapping[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Per probe the mean agreement of each layer, in layer order; a probe without layers is left out.

    Where a model's layers carry no number (convolutions), their place in the file stands for it.
    """
    series = {}
    for probe in AGREEMENTS:
        where = result["findings"].get(probe, {}).get("where")
        entries = [entry for entry in where if isinstance(entry, Mapping)] if isinstance(where, list) else []
        numbered = all(isinstance(entry.get("layer"), int) for entry in entries)
        layers: dict[int, list[float]] = {}
        for place, entry in enumerate(entries):
            layers.setdefault(entry["layer"] if numbered else place, []).append(float(entry["statistic"]))
        if layers:
            series[probe] = [(float(layer), mean(values)) for layer, values in sorted(layers.items())]
    return series


def agreement_words(result: Mapping[str, Any], language: Language) -> str:
    """The numbers of the plot as sentences, or an empty string where there is nothing to plot."""
    series = agreement_per_layer(result)
    if not series:
        return ""
    rows = "".join(
        f"<li><b>{PROBES[probe]['label'][language]}:</b> {_values(points, language)}</li>"
        for probe, points in series.items()
    )
    title, intro = say(language, "plot_title"), say(language, "twin_intro")
    return block("twin", [f"<h4>{title}</h4><p>{intro}</p><ul>{rows}</ul>"])


def agreement(result: Mapping[str, Any], language: Language) -> plotly_graphs.Figure | None:
    """Agreement per layer, or None where no probe measured layers."""
    series = agreement_per_layer(result)
    if not series:
        return None
    named = [(PROBES[probe]["label"][language], points) for probe, points in series.items()]
    few = max(len(points) for _, points in named) <= SPELLED_LAYERS
    figure = _figure(named, say(language, "plot_x"), say(language, "plot_y"), bars=few)
    figure.add_hline(y=1.0, line={"color": "rgba(128,128,128,.8)", "width": 1, "dash": "dash"})
    figure.add_hline(y=0.0, line={"color": "rgba(128,128,128,.8)", "width": 1})
    lowest = min(value for _, points in named for _, value in points)
    figure.update_yaxes(range=[min(-0.1, lowest * 1.15), 1.12], tickvals=[0, 0.5, 1])
    if few:
        figure.update_xaxes(dtick=1)
    return figure


def behaviour_words(result: Mapping[str, Any], language: Language) -> str:
    """The numbers of the plot over noise as sentences."""
    comma = say(language, "comma")
    rows = "".join(
        f"<li><b>{markup.plain(name, 200)}:</b> "
        + comma.join(
            say(language, "behave_twin_point", noise=numbers.number(noise), value=numbers.share(value))
            for noise, value in points
        )
        + "</li>"
        for name, points in _over_noise(result, language)
    )
    title, intro = say(language, "behave_plot_title"), say(language, "behave_twin")
    return block("twin", [f"<h4>{title}</h4><p>{intro}</p><ul>{rows}</ul>"])


def behaviour(result: Mapping[str, Any], language: Language) -> plotly_graphs.Figure:
    """Share of prompts answered alike over noise, for the pair and for the control."""
    named = _over_noise(result, language)
    figure = _figure(named, say(language, "behave_plot_x"), say(language, "behave_plot_y"), bars=False)
    figure.update_yaxes(range=[-0.03, 1.05], tickformat=".0%")
    # The levels lie as unevenly as 0, 0.01, 0.2; each gets the same room.
    figure.update_xaxes(type="category")
    return figure


def _over_noise(result: Mapping[str, Any], language: Language) -> list[tuple[str, list[tuple[float, float]]]]:
    models = result["models"]
    b = models["b"]["name"]
    names = {
        "pair": say(language, "behave_pair", a=models["a"]["name"], b=b),
        "control": say(language, "behave_control", b=b),
    }
    return [
        (
            markup.printable(name, 120),
            [
                (float(noise), float(value))
                for noise, value in zip(result["noise_levels"], result[side]["agreement"], strict=True)
                if value is not None
            ],
        )
        for side, name in names.items()
    ]


def _values(points: Points, language: Language) -> str:
    if len(points) <= SPELLED_LAYERS:
        return say(language, "comma").join(
            say(language, "twin_layer", layer=f"{layer:.0f}", value=numbers.agreement(value)) for layer, value in points
        )
    values = [value for _, value in points]
    return say(
        language,
        "twin_many",
        low=numbers.agreement(min(values)),
        high=numbers.agreement(max(values)),
        middle=numbers.agreement(median(values)),
        count=len(values),
    )


def _figure(named: Sequence[tuple[str, Points]], x_title: str, y_title: str, *, bars: bool) -> plotly_graphs.Figure:
    """Bars side by side, or lines with signs. Names are shown as typed: plotly would read tags in them."""
    import plotly.graph_objects as plotly_graphs

    figure = plotly_graphs.Figure()
    for (name, points), style in zip(named, STYLES, strict=False):
        shown = html.escape(name)
        common = {
            "x": [x for x, _ in points],
            "y": [y for _, y in points],
            "name": shown,
            "hovertemplate": f"{x_title} %{{x}}: %{{y:.3f}}<extra>{shown}</extra>",
        }
        if bars:
            pattern = {
                "shape": style["pattern"],
                "fillmode": "overlay",
                "fgcolor": "#ffffff",
                "size": 7,
                "solidity": 0.2,
            }
            figure.add_bar(**common, marker={"color": style["color"], "pattern": pattern})
        else:
            figure.add_scatter(
                **common,
                mode="lines+markers",
                line={"color": style["color"], "dash": style["dash"], "width": 2},
                marker={"symbol": style["symbol"], "size": 8},
            )
    grid = {"gridcolor": "rgba(128,128,128,.2)", "zeroline": False, "fixedrange": True}
    figure.update_layout(
        template="none",
        height=HEIGHT,
        margin={"l": 48, "r": 8, "t": 36, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12, "color": "#64748b"},
        legend={"orientation": "h", "x": 0, "y": 1.03, "yanchor": "bottom"},
        showlegend=True,
        bargap=0.35,
        bargroupgap=0.12,
    )
    figure.update_xaxes(title=x_title, **{**grid, "showgrid": not bars})
    figure.update_yaxes(title=y_title, **grid)
    return figure
