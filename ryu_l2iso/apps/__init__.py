"""The apps: one class a module, handlers of a few lines, no decision."""
