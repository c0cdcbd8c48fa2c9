"""Settings of the shop, from the environment."""

import os

SLUICE_URL = os.environ.get("SLUICE_URL", "http://127.0.0.1:8000")
VAT_PERCENT = int(os.environ.get("SHOP_VAT_PERCENT", "19"))
