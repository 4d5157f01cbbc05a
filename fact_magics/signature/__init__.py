"""A tool's signature: read from its source by `ast`, it validates inputs and results and describes both."""

from fact_magics.signature.reading import read_signature
from fact_magics.signature.signature import Parameter, Signature, signature_identity

__all__ = ["Parameter", "Signature", "read_signature", "signature_identity"]
