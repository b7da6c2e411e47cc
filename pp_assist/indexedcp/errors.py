"""What can go wrong with an upload. All are RuntimeErrors, as the documents say."""


class UploadError(RuntimeError):
    """A chunk was not taken."""


class Unauthorized(UploadError):
    """The server does not accept the API key: trying again changes nothing."""


class ServerAsksToWait(UploadError):
    """The server takes nothing for now: no attempt of ours counts."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class SourceChanged(UploadError):
    """The file is not what it was when it was added: add it again."""


class UploadsFailed(RuntimeError):
    """Some files are still here. *results* are those that arrived: path to the server's name."""

    def __init__(self, message: str, results: dict[str, str]) -> None:
        super().__init__(message)
        self.results = results
