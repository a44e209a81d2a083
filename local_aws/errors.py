"""What the Batch API answers when it refuses.

BatchApiError
    ClientError        the caller asked for something wrong (HTTP 400)
    TooManyRequests    throttled (HTTP 429)
"""


class BatchApiError(Exception):
    """An error with the code and the HTTP status that AWS Batch gives it."""

    code = "ServerException"
    http_status = 500

    def __init__(self, message: str) -> None:
        """Keep the message as the API will send it."""
        super().__init__(message)
        self.message = message


class ClientError(BatchApiError):
    """Raised for wrong input: the only client-side error in the Batch model."""

    code = "ClientException"
    http_status = 400


class TooManyRequestsError(BatchApiError):
    """Raised when a test asks for throttling; the code is not in the API model, but it is what AWS sends."""

    code = "TooManyRequestsException"
    http_status = 429
