"""The page: every station of a fleet in one static HTML file, those that need attention first."""

import html
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from core.printable import printable
from core.timestamps import rfc3339
from fleet.station import Station

STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5rem; color: #1b1f24; background: #fff }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #d8dee4; vertical-align: top }
th { position: sticky; top: 0; background: #f3f5f7 }
th:nth-last-child(-n + 2), td.number { text-align: right }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap }
tr.trouble { background: #fff1ef }
.bad { color: #b3261e; font-weight: 600 }
@media (max-width: 56rem) {
  body { margin: .8rem } h1 { font-size: 1.3rem } thead { display: none }
  table, tbody, tr, td, td.number { display: block; text-align: left; overflow-wrap: anywhere; white-space: normal }
  tr { padding: .4rem .6rem; border-bottom: 1px solid #d8dee4 } td { padding: 0; border: 0 }
  td:first-child { font-weight: 600 } td:empty { display: none } td::before { color: #51606f; font-weight: 400 }
"""
COLUMNS = ("station", "online", "what is wrong", "agent", "model", "bundle", "parts", "not passed")
STYLE += (
    "".join(f'  td:nth-child({k})::before {{ content: "{name}: " }}\n' for k, name in enumerate(COLUMNS[1:], 2)) + "}\n"
)


def page(stations: Mapping[str, Station], at_s: float) -> str:
    """Draw the page of all stations as they are at `at_s` (Unix time)."""
    ordered = sorted(stations.values(), key=lambda each: (not troubles(each), each.name))
    rows = "\n".join(_row(each) for each in ordered)
    heads = "".join(f"<th>{name}</th>" for name in COLUMNS)
    online, trouble = sum(each.is_online for each in ordered), sum(bool(troubles(each)) for each in ordered)
    facts = f"{len(ordered)} stations, {online} online, {trouble} need attention"
    models = Counter(_model(each) for each in ordered)
    versions = "; ".join(f"{_text(name)}: {count}" for name, count in models.most_common(12))
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Fleet: {facts}</title><style>{STYLE}</style>\n"
        f"<h1>{facts}</h1>\n<p>As of {rfc3339(at_s)}. Models: {versions}</p>\n"
        f"<table><thead><tr>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table></html>\n"
    )


def troubles(station: Station) -> list[str]:
    """Say in words what somebody has to look at; nothing, where all is well."""
    found = []
    if not station.is_online:
        found.append(f"offline: {station.status.get('reason') or 'never seen'}")
    elif reason := station.status.get("reason"):
        found.append(str(reason))
    report, order = station.report, station.order
    if report is not None and not station.has_agent:
        found.append("its agent is away")
    if report is not None and report.error:
        found.append(report.error)
    if order is not None and report is not None and order.sha256 != report.sha256 and not report.error:
        found.append("does not have the bundle that it should have")
    if station.drifting:
        found.append(f"drifts: {', '.join(station.drifting)}")
    return found


def _row(station: Station) -> str:
    found, count, report = troubles(station), station.count, station.report
    cells: Iterable[tuple[str, Any]] = (
        ("", station.name),
        ("" if station.is_online else "bad", "yes" if station.is_online else "no"),
        ("", "; ".join(found)),
        ("", "" if report is None else "yes" if station.has_agent else "no"),
        ("", _model(station)),
        ("", "" if report is None else f"{report.state} {(report.sha256 or 'from before')[:12]}"),
        ("number", f"{count.judged:,}"),
        ("number", "" if count.rate is None else f"{count.rate:.2%}"),
    )
    drawn = "".join(f'<td class="{kind}">{_text(value)}</td>' for kind, value in cells)
    return f'<tr class="{"trouble" if found else ""}">{drawn}</tr>'


def _model(station: Station) -> str:
    name, sha256 = station.model.get("name"), station.model.get("sha256")
    return f"{name} {str(sha256)[:8]}" if name else "unknown"


def _text(value: object) -> str:
    return html.escape(printable(value))
