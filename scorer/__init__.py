"""From a transaction and its evidence to a verdict: features, booster, blend, decision."""
