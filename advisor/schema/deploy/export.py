"""What lies in the folder of an export: each file as it was written, so that a later export knows what it may replace."""

from advisor.schema.record import Name, Record, Sha256


class Export(Record, frozen=True, kw_only=True, tag_field="kind", tag="export"):
    """The files of an export to one server, by their places in its folder."""

    schema_version: int
    target: Name
    created: str  # of the advice
    advisor_version: str
    advice_sha256: Sha256
    variant: Name
    files: dict[Name, Sha256]
