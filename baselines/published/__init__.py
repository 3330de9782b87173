"""Published policies, one folder each: weights, settings and a card. ``redbutton list`` names them."""
