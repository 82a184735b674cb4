"""Federations on one machine: worlds, data sets, the engines that run them, sweeps and benchmarks."""

import os
import warnings

# Flower and Ray report usage and look for updates unless told otherwise before they are imported.
QUIET_ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
for _name, _value in QUIET_ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
# Flower's protocol files are one major version of protobuf behind; that is supported, and said eleven times.
warnings.filterwarnings("ignore", message="Protobuf gencode version", category=UserWarning)
