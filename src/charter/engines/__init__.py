"""Ways of reaching a model, behind one protocol (``base.Engine``)."""
