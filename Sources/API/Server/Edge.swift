import HTTPTypes
import Hummingbird
import JSON
import Ledger

/// A refusal as a page to read, with the request id that finds it in the log.
public typealias ErrorPage = @Sendable (Refusal, _ requestID: String) -> Response

/// Around every request: finds its route, lets in who may come in, and whatever happens inside, the client gets JSON (or,
/// where a person is reading, a page) with its request id, and the log one line.
struct Edge: HTTPResponder {
  let routes: RouteTable
  let admission: Admission
  let log: LineLog
  let responseTimes: ResponseTimes
  /// What a browser is shown instead of an error's JSON.
  let errorPage: ErrorPage?

  /// The longest request target, in bytes: path and query.
  static let maximumTarget = 32 * 1024

  @concurrent func respond(to request: Request, context: FairdrawContext) async throws -> Response {
    var context = context
    var response: Response
    do {
      context.target = Target(request.head.path ?? "/")
      response = try await answer(request, &context)
    } catch let refusal as Refusal {
      response = errorResponse(refusal, to: request, context)
    } catch {
      context.record.note { $0.fault = "\(error)" }
      let fault = Refusal(
        500, "The server failed to answer this request; it is safe to try again.", code: "internal_error")
      response = errorResponse(fault, to: request, context)
    }
    finish(&response, of: request, context)
    return request.method == .head ? response.createHeadResponse() : response
  }

  private func answer(_ request: Request, _ context: inout FairdrawContext) async throws -> Response {
    guard context.target.bytes.count <= Self.maximumTarget else {
      throw Refusal(414, "The request's path and query are longer than \(Self.maximumTarget) bytes; send a POST.")
    }
    guard let (route, captures) = routes.route(at: context.target.path) else {
      throw Refusal(404, "There is nothing at this address.")
    }
    context.captures = captures
    guard let handler = route.handlers.first(where: { $0.method == request.method })?.handler else {
      return request.method == .options ? Self.preflight() : wrongMethod(route, request, context)
    }
    if route.readsKey { context.caller = try await admission.admit(request, context) }
    return try await handler(request, context)
  }

  private func wrongMethod(_ route: Route, _ request: Request, _ context: FairdrawContext) -> Response {
    var response = errorResponse(
      Refusal(405, "This address answers \(route.methods.joined(separator: " and ")) only."), to: request, context)
    response.headers[.allow] = (route.methods + ["OPTIONS"]).joined(separator: ", ")
    return response
  }

  /// JSON, unless a browser asks for something that is not the API's.
  private func errorResponse(_ refusal: Refusal, to request: Request, _ context: FairdrawContext) -> Response {
    guard let errorPage, !Self.isAPI(context.target),
      request.headers[values: .accept].contains(where: { $0.lowercased().contains("text/html") })
    else { return Response(refusal, requestID: context.record.id) }
    var response = errorPage(refusal, context.record.id)
    if let seconds = refusal.retryAfter { response.headers[.retryAfter] = String(seconds) }
    return response
  }

  private static func isAPI(_ target: Target) -> Bool {
    target.path == "/api" || target.path.hasPrefix("/api/") || target.path == "/openapi.json"
  }

  // MARK: CORS

  private static let exposed = "shortId, Idempotent-Replayed, Retry-After, Server-Timing, X-Request-Id"
  private static let accepted = "x-api-key, authorization, content-type, idempotency-key, last-event-id"

  private static func preflight() -> Response {
    var response = Response(status: .noContent)
    response.headers[.accessControlAllowMethods] = "GET, POST, OPTIONS"
    response.headers[.accessControlAllowHeaders] = accepted
    response.headers[.accessControlMaxAge] = "86400"
    return response
  }

  private static func addCORS(to response: inout Response, of request: Request, _ target: Target) {
    // Only a browser asks, and it says so.
    guard request.headers[.origin] != nil, isAPI(target) else { return }
    response.headers[.accessControlAllowOrigin] = "*"
    response.headers[.accessControlExposeHeaders] = exposed
  }

  // MARK: The end of a request

  private func finish(_ response: inout Response, of request: Request, _ context: FairdrawContext) {
    response.headers.append(HTTPField(name: .requestID, value: context.record.id))
    Self.addCORS(to: &response, of: request, context.target)
    let elapsed = context.record.elapsed
    responseTimes.add(milliseconds: elapsed / .milliseconds(1))
    let notes = context.record.notes
    if notes.showsTiming {
      var timing: [UInt8] = []
      if let ledger = notes.ledger {
        timing.append(json: "ledger;dur=")
        timing.append(milliseconds: ledger)
        timing.append(json: ", ")
      }
      timing.append(json: "total;dur=")
      timing.append(milliseconds: elapsed)
      response.headers.append(HTTPField(name: .serverTiming, value: String(decoding: timing, as: UTF8.self)))
    }
    let status = response.status.code
    log.line(status >= 500 ? .error : .info, "request") { line in
      line.append(field: "requestId", string: context.record.id)
      line.append(field: "method", string: request.method.rawValue)
      line.append(json: ",\"path\":")
      line.append(jsonString: context.target.path.utf8.prefix(200).text)
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
