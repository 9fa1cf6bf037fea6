"""A dashboard as data: rows of panels, each panel its queries."""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models.common import (
    GraphGradientMode,
    LegendDisplayMode,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import Dashboard as Json
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DynamicConfigValue,
    FieldColorModeId,
    VariableRefresh,
    VariableSort,
)

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

COLOURS = {
    "device": "#56A64B",
    "host": "#3274D9",
    "storage": "#A352CC",
    "miss": "#E02F44",
    "absent": "#C4C4CC",
    "issued": "#3274D9",
    "used": "#56A64B",
    "late": "#FF9830",
    "wasted": "#E02F44",
    "refused": "#C4C4CC",
    "stack": "#56A64B",
    "lru": "#98A1B0",
    "oracle": "#FF9830",
}
"""One colour a tier, an outcome and an order, on every dashboard."""

_QUANTILES = (0.5, 0.95, 0.99)
_COLOURED = {"{{tier}}", "{{found}}", "{{outcome}}", "{{order}}"}


_METRIC = re.compile(r"\b(scalesim_\w+)(\{)?")
_SCOPE = {"namespace": "namespace", "release": "app_kubernetes_io_instance"}
"""Choices at the top of every board, and the labels that the chart's monitors give to what they
scrape; where nothing has those labels, as outside of Kubernetes, all is shown."""


def scoped(expr: str) -> str:
    """Return a query about the namespaces and releases that are chosen at the top."""
    chosen = ",".join(f'{label}=~"${name}"' for name, label in _SCOPE.items())

    def narrow(found: re.Match[str]) -> str:
        return f"{found[1]}{{{chosen}" + ("," if found[2] else "}")

    return _METRIC.sub(narrow, expr).replace(",}", "}")


class Query(NamedTuple):
    """PromQL and the name of each series, in Grafana's `{{label}}` notation."""

    expr: str
    legend: str = ""


def quantiles(histogram: str) -> list[Query]:
    """Return median, 95th and 99th percentile of a histogram, over everything scraped."""
    buckets = f"sum by (le) (rate({histogram}_bucket[$__rate_interval]))"
    return [Query(f"histogram_quantile({q}, {buckets})", f"p{q * 100:g}") for q in _QUANTILES]


class Panel(NamedTuple):
    """One panel.

    Attributes:
        title: What it shows.
        text: What to make of it.
        unit: Grafana's name of the unit.
        queries: What is drawn.
        number: Show the last value large instead of a curve.
        stack: Pile the series up.
        width: Of 24 columns.
        decimals: Digits after the point; None lets Grafana choose.
        signed: Values may be below zero.
    """

    title: str
    text: str
    unit: str
    queries: list[Query]
    number: bool = False
    stack: bool = False
    width: int = 12
    decimals: int | None = None
    signed: bool = False


class Variable(NamedTuple):
    """A choice at the top: the values of a label, or free text where `label` is empty.

    Those of `release` are of the namespaces chosen, those of other labels of both.
    """

    name: str
    metric: str = ""
    label: str = ""
    default: str = ""


class Board(NamedTuple):
    """One dashboard.

    Attributes:
        uid: Stable name, also of the file.
        title: Shown in Grafana.
        text: What it is for.
        variables: Choices beside the data source.
        rows: Panels by row title.
    """

    uid: str
    title: str
    text: str
    variables: list[Variable]
    rows: dict[str, list[Panel]]

    @property
    def panels(self) -> list[Panel]:
        """All panels in their order."""
        return [panel for row in self.rows.values() for panel in row]

    def json(self) -> Json:
        """Return it as Grafana's classic dashboard."""
        board = (
            dashboard.Dashboard(f"ScaleSim / {self.title}")
            .uid(self.uid)
            .description(self.text)
            .tags(["scalesim"])
            .refresh("10s")
            .time("now-30m", "now")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .readonly()
            .with_variable(
                dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
            )
        )
        first = [Variable(name, "scalesim_replicas", label) for name, label in _SCOPE.items()]
        for variable in first + self.variables:
            board.with_variable(_variable(variable))
        number = itertools.count(1)
        for title, panels in self.rows.items():
            board.with_row(dashboard.Row(title).id(next(number)))
            for panel in panels:
                board.with_panel(_panel(panel).id(next(number)))
        return board.build()


def _variable(variable: Variable) -> dashboard.QueryVariable | dashboard.TextBoxVariable:
    if not variable.label:
        return dashboard.TextBoxVariable(variable.name).default_value(variable.default)
    return (
        dashboard.QueryVariable(variable.name)
        .datasource(SOURCE)
        .query(f"label_values({_narrowed(variable)}, {variable.label})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .include_all(True)
        .multi(True)
        .all_value(".*")
    )


def _narrowed(variable: Variable) -> str:
    if variable.name == "namespace":
        return variable.metric
    if variable.name == "release":
        return f'{variable.metric}{{namespace=~"$namespace"}}'
    return scoped(variable.metric)


def _panel(panel: Panel) -> timeseries.Panel | stat.Panel:
    drawn = _number() if panel.number else _curves(panel)
    drawn.title(panel.title).description(panel.text).unit(panel.unit).datasource(SOURCE)
    drawn.span(panel.width).height(4 if panel.number else 8)
    if not panel.signed:
        drawn.min(0)
    if panel.decimals is not None:
        drawn.decimals(panel.decimals)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        target = prometheus.Dataquery().ref_id(letter).expr(scoped(query.expr)).datasource(SOURCE)
        drawn.with_target(target.legend_format(query.legend or "__auto"))
    return drawn


def _number() -> stat.Panel:
    return stat.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def _curves(panel: Panel) -> timeseries.Panel:
    curves = (
        timeseries.Panel()
        .line_width(2)
        .fill_opacity(60 if panel.stack else 8)
        .gradient_mode(GraphGradientMode.OPACITY)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .show_legend(True)
            .calcs(["lastNotNull"])
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if panel.unit == "percentunit":
        curves.axis_soft_max(1)
    if panel.stack:
        curves.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if any(query.legend in _COLOURED for query in panel.queries):
        for name, colour in COLOURS.items():
            fixed = {"mode": FieldColorModeId.FIXED.value, "fixedColor": colour}
            curves.override_by_name(name, [DynamicConfigValue(id_val="color", value=fixed)])
    return curves
