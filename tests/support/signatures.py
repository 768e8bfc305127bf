"""Signatures put together by hand, right in mathematics and wrong in whatever a test wants to be wrong."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives import hashes
from lxml import etree

from protocol.seal import DS, ENVELOPED, EXCLUSIVE_C14N, QCVN, SHA256, canonical
from tests.support.signers import KeySigner

MORE = "http://www.w3.org/2001/04/xmldsig-more#"
RSA_SHA256 = f"{MORE}rsa-sha256"
ECDSA_SHA256 = f"{MORE}ecdsa-sha256"

ENVELOPE = f"""<edXML:edXMLEnvelope xmlns:edXML="{QCVN}" Id="id-1">
  <edXML:edXMLHeader>
    <edXML:MessageHeader>
      <edXML:From><edXML:OrganId>H21.16</edXML:OrganId></edXML:From>
      <edXML:To><edXML:OrganId>H21.23</edXML:OrganId></edXML:To>
      <edXML:Subject>V/v nghỉ lễ 2/9 &amp; treo cờ</edXML:Subject>
    </edXML:MessageHeader>
  </edXML:edXMLHeader>
  <edXML:edXMLBody><edXML:edXMLManifest version="1.0"/></edXML:edXMLBody>
</edXML:edXMLEnvelope>""".encode()


@dataclass(frozen=True)
class Profile:
    """What a signature says of itself; the defaults are the seal's profile for RSA."""

    method: str = RSA_SHA256
    signing_hash: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    c14n: str = f'<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE_C14N}"/>'
    method_content: str = ""
    uri: str = "#id-1"
    transforms: str = f'<ds:Transform Algorithm="{ENVELOPED}"/><ds:Transform Algorithm="{EXCLUSIVE_C14N}"/>'
    digest_method: str = SHA256
    digest: str = "sha256"
    more_references: str = ""
    key_info: str = "<ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data>"
    more: str = ""
    """Behind KeyInfo."""

    def but(self, **changes: object) -> Profile:
        return replace(self, **changes)  # type: ignore[arg-type] # fields by name


def unsigned_tree(envelope: bytes = ENVELOPE) -> etree._Element:
    return etree.fromstring(envelope)


def signature_over(signed: bytes, signer: KeySigner, profile: Profile = Profile()) -> etree._Element:
    """A `ds:Signature` over these canonical octets."""
    digest = base64.b64encode(hashlib.new(profile.digest, signed).digest()).decode()
    certificate = base64.b64encode(signer.certificate).decode()
    signature = etree.fromstring(
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>{profile.c14n}'
        f'<ds:SignatureMethod Algorithm="{profile.method}">{profile.method_content}</ds:SignatureMethod>'
        f'<ds:Reference URI="{profile.uri}"><ds:Transforms>{profile.transforms}</ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{profile.digest_method}"/><ds:DigestValue>{digest}</ds:DigestValue>'
        f"</ds:Reference>{profile.more_references}</ds:SignedInfo><ds:SignatureValue/>"
        f"<ds:KeyInfo>{profile.key_info.format(certificate=certificate)}</ds:KeyInfo>{profile.more}</ds:Signature>"
    )
    value = signer.sign_with(canonical(signature[0]), profile.signing_hash)
    signature[1].text = base64.b64encode(value).decode()
    return signature


def signed_tree(signer: KeySigner, profile: Profile = Profile(), envelope: bytes = ENVELOPE) -> etree._Element:
    """The envelope with a signature over it at the end of its header."""
    tree = unsigned_tree(envelope)
    header = tree.find(f"{{{QCVN}}}edXMLHeader")
    assert header is not None
    header.append(signature_over(canonical(tree), signer, profile))
    return tree
