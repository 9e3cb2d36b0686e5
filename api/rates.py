"""What each currency is worth, by the settings: apart, as a look at the graph loads no model."""

from api.settings import Settings
from ingest.currencies import RateTable, rates_from_toml
from ingest.mapping import load_mapping


def rate_table(settings: Settings) -> RateTable:
    """The configured rates, or those of the simulator's currencies."""
    if settings.rates is not None:
        return rates_from_toml(settings.rates)
    shipped = load_mapping("ringfence").rate_table
    assert shipped is not None  # noqa: S101 - a test reads every mapping that ships
    return shipped
