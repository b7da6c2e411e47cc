"""What batches answer is put together as text: it must be what the models say."""

import json

import pytest

from pp_server.core.model import Facts, VersionStatus
from pp_server.core.recorded import Whose, receipt_of, recorded
from pp_server.core.versions import Version
from pp_server.wire.batch import OperationResult, confirmed
from pp_server.wire.digest import EMPTY
from pp_server.wire.merkle import leaf_hash
from pp_server.wire.receipts import Signed, canonical, listed, tree_of

WHOSE = Whose('server "one"', "bob\n", "höst")
PATHS = [b"/a", "/né文".encode(), b"/caf\xe9", b'/x","filepath_b64":"y', b'/,"sha256":"', b"/\x01\\"]


def _versions() -> list[Version]:
    file, folder = Facts("file", 5, 0o644, 0, 0, "me", ""), Facts("dir")
    return [
        version
        for number, path in enumerate(PATHS)
        for version in (
            Version(3 * number, path, 1, VersionStatus.ACTIVE, True, file, EMPTY, 0, 7),
            Version(3 * number + 1, path, 2, VersionStatus.DELETED, True, file, EMPTY, 0, 7, 9),
            Version(3 * number + 2, path, 3, VersionStatus.SUPERSEDED, False, folder, None, 0, 7),
        )
    ]


@pytest.mark.parametrize("paths", [True, False])
def test_results_say_what_their_models_say(paths: bool) -> None:
    entries = [recorded(version, WHOSE, "") for version in _versions()]
    receipts = [receipt_of(entry.version, WHOSE) for entry in entries]
    signed = Signed(tree_of(receipts), "key", "c2ln", paths)
    assert signed.tree.leaves == [entry.leaf for entry in entries]
    for index, (entry, receipt) in enumerate(zip(entries, receipts, strict=True)):
        assert entry.words == canonical(receipt)
        assert entry.leaf == leaf_hash(entry.words)
        proof = signed.proof(index)
        assert json.loads(signed.proof_json(index)) == proof.model_dump()
        whole = receipt.model_copy(update={"proof": proof})
        text = listed(entry.words, signed.proof_json(index), entry.nulls)
        assert json.loads(text) == whole.model_dump()
        result = OperationResult(status="stored", receipt=whole, source_receipt=whole)
        assert json.loads(confirmed("stored", text, text)) == result.model_dump()
        assert json.loads(confirmed("deleted", text)) == OperationResult(status="deleted", receipt=whole).model_dump()
