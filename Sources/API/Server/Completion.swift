import HTTPTypes
import JSON
import Ledger

/// The end of every request: the headers that all responses have, and one line in the log.
struct Completion: Sendable {
  let log: LineLog
  let responseTimes: ResponseTimes
  let metrics: Metrics

  private static let exposed = "shortId, Idempotent-Replayed, Retry-After, Server-Timing, X-Request-Id"

  /// - Parameter isCrossOrigin: whether the request says where it comes from; only a browser asks, and it does.
  func finish(
    _ headers: inout some HeaderList, status: Int, method: HTTPRequest.Method, target: Target, isCrossOrigin: Bool,
    record: RequestRecord
  ) {
    headers.append(.requestID, record.id)
    if isCrossOrigin, target.isAPI {
      headers.append(.accessControlAllowOrigin, "*")
      headers.append(.accessControlExposeHeaders, Self.exposed)
    }
    let elapsed = record.elapsed
    responseTimes.add(milliseconds: elapsed / .milliseconds(1))
    let notes = record.notes
    metrics.add(
      route: notes.route, status: status, seconds: elapsed / .seconds(1), isReplay: notes.isReplay,
      isConflict: notes.isConflict)
    if notes.showsTiming {
      var timing: [UInt8] = []
      if let ledger = notes.ledger {
        timing.append(json: "ledger;dur=")
        timing.append(milliseconds: ledger)
        timing.append(json: ", ")
      }
      timing.append(json: "total;dur=")
      timing.append(milliseconds: elapsed)
      headers.append(.serverTiming, String(decoding: timing, as: UTF8.self))
    }
    log.line(status >= 500 ? .error : .info, "request") { line in
      line.append(field: "requestId", string: record.id)
      line.append(field: "method", string: method.rawValue)
      line.append(json: ",\"path\":")
      line.append(jsonString: target.path.utf8.prefix(200).text)
      line.append(field: "status", integer: status)
      line.append(json: ",\"durationMs\":")
      line.append(milliseconds: elapsed)
      if let caller = notes.caller { line.append(field: "caller", string: caller) }
      if let address = notes.address { line.append(field: "address", string: address.description) }
      if notes.isReplay { line.append(json: ",\"replayed\":true") }
      if let fault = notes.fault { line.append(field: "fault", string: fault) }
    }
  }
}

extension Substring.UTF8View {
  /// The text, mended where a character was cut in two.
  fileprivate var text: String.UTF8View { String(decoding: self, as: UTF8.self).utf8 }
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
