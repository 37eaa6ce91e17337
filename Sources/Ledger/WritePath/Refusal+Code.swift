extension Refusal {
  /// The words that programs tell refusals by. `docs/errors.md` has a section for each.
  public enum Code: String, Sendable, CaseIterable {
    case aborted
    case apiKeyRequired = "api_key_required"
    case bodyTooLong = "body_too_long"
    case commitmentExpired = "commitment_expired"
    case commitmentNotYours = "commitment_not_yours"
    case commitmentUsed = "commitment_used"
    case damaged
    case encodedBody = "encoded_body"
    case expectationFailed = "expectation_failed"
    case headersTooLong = "headers_too_long"
    case idempotencyInFlight = "idempotency_in_flight"
    case idempotencyReplay = "idempotency_replay"
    case insufficientScope = "insufficient_scope"
    case internalError = "internal_error"
    case invalidAPIKey = "invalid_api_key"
    case invalidParameter = "invalid_parameter"
    case invalidRequest = "invalid_request"
    case ipNotAllowed = "ip_not_allowed"
    case itemsTooLarge = "items_too_large"
    case logRolledBack = "log_rolled_back"
    case methodNotAllowed = "method_not_allowed"
    case notFound = "not_found"
    case nothingToRotate = "nothing_to_rotate"
    case notImplemented = "not_implemented"
    case notLoggedYet = "not_logged_yet"
    case notPublished = "not_published"
    case overloaded
    case quotaExceeded = "quota_exceeded"
    case rateLimited = "rate_limited"
    case refererNotAllowed = "referer_not_allowed"
    case requestTimeout = "request_timeout"
    case shuttingDown = "shutting_down"
    case storageFailed = "storage_failed"
    case targetTooLong = "target_too_long"
    case testModeForbidden = "test_mode_forbidden"
    case timedOut = "timed_out"
    case tooManyWebhooks = "too_many_webhooks"
    case tooManyStreams = "too_many_streams"
    case unavailable
    case unknownCommitment = "unknown_commitment"
    case unknownEndpoint = "unknown_endpoint"
    case unknownIdempotencyKey = "unknown_idempotency_key"
    case webhookDisabled = "webhook_disabled"
    case webhookExists = "webhook_exists"
  }
}
