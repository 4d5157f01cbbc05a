"""Keep secrets out of texts that are shown, stored or logged."""

from fact_magics.redaction.redactor import (
    MASK,
    RedactedStream,
    Redactor,
    is_unguessable,
    secrets_in_environment,
    secrets_in_url,
)

__all__ = ["MASK", "RedactedStream", "Redactor", "is_unguessable", "secrets_in_environment", "secrets_in_url"]
