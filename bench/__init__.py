"""Measurements of the controller against what one could use instead; ``make bench`` runs them."""
