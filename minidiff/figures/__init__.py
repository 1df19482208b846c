"""Figures of the report: grids, GIFs, the HTML page, and one module per part of the course."""
