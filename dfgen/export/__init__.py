"""Leads from a finished run to the tables that trainers load, and from such tables to rows.

`dfgen.export.tables` lists the tables and describes each. Everything is done on Arrow columns: no
token passes through a Python list.
"""
