"""Registers dfgen with ms-swift: --external_plugins $(python -m dfgen.trainers swift)."""

from dfgen.trainers.swift import register

register()
