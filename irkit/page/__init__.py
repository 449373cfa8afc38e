"""One self-contained HTML page that shows a model at every level; `irkit show --html` writes it.

`collect` takes a model through the levels and gathers facts as plain values (`facts`); `html` turns them into a page.
"""
