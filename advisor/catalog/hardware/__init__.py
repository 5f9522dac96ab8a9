"""Devices and machines to rent, one a file; a package so that editable installs find the files."""
