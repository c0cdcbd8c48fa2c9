"""How tasks come in: ids are pulled and scheduled, claims made, and some held until a slot is vacant."""
