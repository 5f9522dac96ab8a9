"""What a device draws of its rating, and a data centre beside it: constants with their sources, for energy measured and planned alike."""

# What a device draws when it idles, as a share of what it draws at most: idle GPUs and servers are told to take a tenth to a half.
IDLE_FRACTION = {"low": 0.1, "value": 0.3, "high": 0.5}
# What it draws when it serves, as a share of its rating: few workloads reach the limit that the maker sets.
BUSY_FRACTION_OF_RATING = {"low": 0.4, "value": 0.7, "high": 1.0}
# Google's fleet, and a little above the mean of the industry (Google, 2025: 2508.15734; Uptime Institute, about 1.5).
USAGE_EFFECTIVENESS = {"low": 1.09, "value": 1.5, "high": 1.6}
