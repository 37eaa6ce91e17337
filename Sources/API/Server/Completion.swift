import Crypto
import HTTPTypes
import JSON
import Ledger

/// The end of every request: the headers that all responses have, and one line in the log.
struct Completion: Sendable {
  let log: LineLog
  let metrics: Metrics
  /// Whether clients reach the server over https.
  let isSecure: Bool
  let signer: ResponseSigner

  private static let exposed =
    "shortId, Idempotent-Replayed, Idempotency-Status, RateLimit, RateLimit-Policy, Retry-After, Server-Timing, X-Request-Id, Content-Digest, Signature, Signature-Input"

  /// - Parameters:
  ///   - method: nil if the request could not be read.
  ///   - isAPI: whether the answer is the API's: nothing for a browser to render, and readable from any origin.
  ///   - request: nil if the request could not be read.
  func finish(
    _ headers: inout some HeaderList, status: Int, method: String?, isAPI: Bool, request: RequestHeaders?,
    record: RequestRecord
  ) {
    headers.append(.requestID, record.id)
    headers.append(.xContentTypeOptions, "nosniff")
    if isSecure { headers.append(.strictTransportSecurity, "max-age=31536000") }
    if isAPI {
      headers.append(.contentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
      // Browsers name a request's origin when it matters.
      if request == nil || request?.origin != nil {
        headers.append(.accessControlAllowOrigin, "*")
        headers.append(.accessControlExposeHeaders, Self.exposed)
      }
    }
    let elapsed = record.elapsed
    let notes = record.notes
    if isAPI, request?.idempotencyKeys.isEmpty == false, notes.caller == RequestRecord.anonymous {
      headers.append(.idempotencyStatus, "ignored; reason=anonymous")
    }
    metrics.add(
      route: notes.route, status: status, seconds: elapsed / .seconds(1), isReplay: notes.isReplay,
      isConflict: notes.isConflict)
    if notes.showsTiming {
      var timing: [UInt8] = []
      timing.append(json: "total;dur=")
      timing.append(milliseconds: elapsed)
      headers.append(.serverTiming, String(decoding: timing, as: UTF8.self))
    }
    log.line(status >= 500 ? .error : .info, "request") { line in
      line.append(field: "requestId", string: record.id)
      if let method { line.append(field: "method", string: method) }
      // Not the path as it was sent: client seeds stand in paths, and are nobody else's business.
      line.append(field: "path", string: notes.route)
      line.append(field: "status", integer: status)
      line.append(json: ",\"durationMs\":")
      line.append(milliseconds: elapsed)
      if let caller = notes.caller { line.append(field: "caller", string: caller) }
      if let address = notes.address { line.append(field: "address", string: address.description) }
      if notes.isReplay { line.append(json: ",\"replayed\":true") }
      if let trace = request?.traceParent.flatMap(TraceContext.init) {
        line.append(field: "traceId", string: String(trace.traceID))
        line.append(field: "parentId", string: String(trace.parentID))
      }
      if let fault = notes.fault { line.append(field: "fault", string: fault) }
    }
  }

  /// Signs a response whose client asked for that, before ``finish(_:status:method:isAPI:request:record:)``.
  ///
  /// - Parameter accepted: of `request`.
  /// - Throws: what the cipher throws; it does not for any message.
  func sign(
    _ headers: inout some HeaderList, status: Int, method: String, target: Target, _ request: RequestHeaders,
    _ accepted: AcceptedSignatures, digest: SHA256Digest
  ) throws {
    let exchange = SignedExchange(
      status: status, method: method, target: target, isSecure: isSecure, idempotencyKeys: request.idempotencyKeys,
      accepted: accepted)
    try signer.sign(&headers, of: exchange, digest: digest, created: LedgerWriter.wallClock() / 1000)
  }

  /// Says that an answer whose head is sent already, and is in the log as a success, does not come to its end.
  func noteCutOff(by fault: String, _ record: RequestRecord) {
    metrics.addCutOff()
    log.line(.error, "an answer was cut off") { line in
      line.append(field: "requestId", string: record.id)
      line.append(field: "path", string: record.notes.route)
      line.append(field: "fault", string: fault)
    }
  }
}

extension [UInt8] {
  /// Appends a time in milliseconds, to the microsecond.
  fileprivate mutating func append(milliseconds duration: Duration) {
    let (seconds, attoseconds) = duration.components
    let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    append(integer: microseconds / 1000)
    append(UInt8(ascii: "."))
    let rest = microseconds % 1000
    for digit in [rest / 100, rest / 10 % 10, rest % 10] { append(UInt8(ascii: "0") + UInt8(digit)) }
  }
}
