"""Charts as Vega-Lite specifications, each with the table of its figures: drawn in the browser, and as pictures that stand still."""
