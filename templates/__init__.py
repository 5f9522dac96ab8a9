"""Jinja templates as data, a folder for each format of a report; a package so that editable installs find the files."""
