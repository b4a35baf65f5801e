"""The leaderboard: one result file for each defense, made of reports of grids, and the pages made of these files."""

from .receipts import check_receipt
from .row import Reference, Row, read_row, read_rows, write_row

__all__ = ['Reference', 'Row', 'check_receipt', 'read_row', 'read_rows', 'write_row']
