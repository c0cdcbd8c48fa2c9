"""A handler is a function: it is called."""

from consumer.orders import Line, Order
from tasks import label


def test_a_label_names_every_article() -> None:
    order = Order(customer="Ada", lines=[Line(article="kettle", cents=2990)])
    assert label(None, order) == "kettle.................29.90"
