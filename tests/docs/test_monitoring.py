"""Alerts and dashboard ask for metrics that exist, under the names that Prometheus gives them. Rule: compared with what `/metrics` says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from tests.docs import tree
from tests.docs.test_reference_pages import edges

FOLDER = Path("deploy/monitoring")
METRIC = re.compile(r"\bflash_[a-z_]+\b")


async def exported(tmp_path: Path) -> set[str]:
    """Every name that a server's `/metrics` describes, as it is asked for."""
    text = "".join(generate_latest(edge.metrics.registry).decode() for edge in await edges(tmp_path))
    return set(re.findall(r"^# TYPE (flash_\w+)", text, re.MULTILINE))


def expressions() -> list[str]:
    """Every query of the alerts and of the dashboard."""
    alerts: dict[str, Any] = yaml.safe_load(tree.text(FOLDER / "alerts.yml"))
    dashboard: dict[str, Any] = json.loads(tree.text(FOLDER / "grafana.json"))
    rules = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    return rules + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


async def test_every_metric_that_is_asked_for_exists(tmp_path: Path) -> None:
    asked = {name for expression in expressions() for name in METRIC.findall(expression)}
    assert len(asked) > 15
    assert asked <= await exported(tmp_path)


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    alerts = yaml.safe_load(tree.text(FOLDER / "alerts.yml"))
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "action"}


@pytest.mark.parametrize("name", ["prometheus.yml", "alerts.yml"])
def test_the_files_are_yaml(name: str) -> None:
    assert yaml.safe_load(tree.text(FOLDER / name))


def test_no_two_panels_cover_each_other() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(tree.text(FOLDER / "grafana.json"))["panels"]:
        place = panel["gridPos"]
        mine = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not mine & cells, panel["title"]
        cells |= mine
