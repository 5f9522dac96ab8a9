"""Rules as data, one YAML file each; a package so that editable installs find the files."""
