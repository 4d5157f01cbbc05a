"""The signature of a tool: read from its source with `ast`, and used to validate its inputs and results."""

from fact_magics.signature.reading import read_signature
from fact_magics.signature.signature import Parameter, Signature, signature_identity

__all__ = ["Parameter", "Signature", "read_signature", "signature_identity"]
