"""A plan that may not be carried out, whatever it costs."""

from advisor.decide.lifetime.inputs import Life


def forbidden(life: Life) -> str | None:
    """Return why the plan is not allowed as it is written, None where it is."""
    if life.flags.get("data_must_stay") and "api_usd_per_input_token" in life.figures:
        return "requests may not leave the house (lifecycle.situation.data_must_stay), and an API is sent all of them"
    return None
