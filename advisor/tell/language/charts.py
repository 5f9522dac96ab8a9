"""The charts on a language model elsewhere: TTFT and TPOT against the load of one replica, and the memory of its cache."""

from advisor.schema.language import LanguageAdvice
from advisor.tell.generation.charts import Panel, panel_of_cache, panels_by_load
from advisor.tell.language.naming import subject
from advisor.tell.language.words import room_bytes


def language_load_panels(advice: LanguageAdvice) -> tuple[Panel, ...]:
    """Lay out TTFT and TPOT at the quantile of the targets over the load of one replica; none where nothing was simulated."""
    shown = subject(advice)
    if shown is None:
        return ()
    return panels_by_load(advice.load_curve, advice.workload.slo, advice.mean_requests_per_s / shown.deployment.replicas)


def language_kv_panel(advice: LanguageAdvice) -> Panel | None:
    """Lay out the memory of the cache of one replica over its running requests; None where nothing is known of it."""
    shown = subject(advice)
    if shown is None:
        return None
    return panel_of_cache(advice.kv_curve, room_bytes(shown), shown.deployment.max_running_requests)
