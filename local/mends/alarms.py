"""Alarms of CloudWatch: which values they look at."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ministack.services import cloudwatch

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def install() -> None:
    """Puts the mends of this module in place."""
    look_at_own_metric_period_by_period()


def look_at_own_metric_period_by_period() -> None:
    """MiniStack takes the values of every metric with the same name, whatever its dimensions, and makes one
    statistic of all periods: one endpoint's errors set off the alarms of all endpoints.

    MiniStack evaluates alarms whenever metric data are put, and so does this: an alarm whose metric falls
    silent keeps its state until the next data of any metric. Anomaly bands stay as MiniStack has them.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
    """
    original = cloudwatch._evaluate_alarm

    def evaluate(alarm: dict[str, Any]) -> None:
        compare = _COMPARISONS.get(alarm.get("ComparisonOperator") or "")
        if compare is None or not alarm.get("MetricName"):
            original(alarm)
            return
        values = _values(alarm)
        breaching = [None if value is None else compare(value, alarm["Threshold"]) for value in values]
        wanted = alarm.get("DatapointsToAlarm") or len(values)
        state = new_state(breaching, wanted, alarm.get("TreatMissingData") or "missing")
        old = alarm["StateValue"]
        if state is None or state == old:
            return
        known = [value for value in values if value is not None]
        reason = (
            f"Threshold Crossed: {len(known)} datapoints {known} with {wanted} needed: {_statistic(alarm)} "
            f"{alarm['ComparisonOperator']} {alarm['Threshold']}"
        )
        alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
        cloudwatch._record_history(alarm["AlarmName"], old, state, reason)
        cloudwatch._dispatch_alarm_actions(alarm, old, state, reason)
        cloudwatch._evaluate_parent_alarms(alarm)

    cloudwatch._evaluate_alarm = evaluate


def new_state(breaching: Sequence[bool | None], wanted: int, missing: str) -> str | None:
    """The state that these periods (None: no data) lead to; None when it stays.

    `wanted` is how many must breach; `missing` is TreatMissingData. With that left as it is, an alarm without
    any data keeps its state (on AWS it comes to INSUFFICIENT_DATA).
    """
    if missing in ("breaching", "notBreaching"):
        breaching = [missing == "breaching" if one is None else one for one in breaching]
    known = [one for one in breaching if one is not None]
    if not known or (missing == "ignore" and len(known) < len(breaching) and sum(known) < wanted):
        return None
    return "ALARM" if sum(known) >= min(wanted, len(known)) else "OK"


def _statistic(alarm: Mapping[str, Any]) -> str:
    return alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"


def _values(alarm: Mapping[str, Any]) -> list[float | None]:
    """The statistic of each evaluation period, the latest first."""
    dimensions = cloudwatch._dims_key(cloudwatch._dims_from_list(alarm.get("Dimensions") or []))
    points = cloudwatch._metrics.get((alarm["Namespace"], alarm["MetricName"], dimensions)) or []
    period, count, now = alarm["Period"], alarm["EvaluationPeriods"], time.time()
    periods: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    for point in points:
        age = max(0, int((now - point["Timestamp"]) // period))
        if age < count:
            periods[age].append(point)
    return [
        cloudwatch._stat_value(cloudwatch._calc_stats(found), _statistic(alarm), found) if found else None
        for found in periods
    ]
