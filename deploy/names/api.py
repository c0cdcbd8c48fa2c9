"""`python -m api` in the image."""

from sluice.core.process.given_names import run_or_give_way

run_or_give_way(__name__, __file__)
