"""Catalogue data; a package so that editable installs find the files."""
