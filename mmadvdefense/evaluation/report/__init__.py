"""What is shown.

``grid_*`` take the report of a grid and make tables, curves or example pictures of it; ``html_page`` and
``markdown_section`` put these where people read them. The rest knows no grid: ``tables`` and ``charts`` are what all
are drawn with, ``examples`` and ``distributions`` are collected from one model, ``example_pictures`` draws the former.
"""
