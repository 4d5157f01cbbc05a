"""Keep secrets out of texts that are shown, stored or logged."""

from fact_magics.redaction.redactor import (
    MASK,
    RedactedStream,
    Redactor,
    secrets_in_url,
    secrets_of_proxies,
)

__all__ = ["MASK", "RedactedStream", "Redactor", "secrets_in_url", "secrets_of_proxies"]
