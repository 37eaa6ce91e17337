import HTTPTypes
import Hummingbird
import JSON
import Ledger

/// Around every request: whatever happens inside, the client gets JSON with its request id, and the log one line.
struct Edge: RouterMiddleware {
  let log: LineLog
  let responseTimes: ResponseTimes
  let directory: RouteDirectory

  /// The longest request target, in bytes: path and query.
  static let maximumTarget = 32 * 1024

  func handle(
    _ request: Request, context: FairdrawContext, next: (Request, FairdrawContext) async throws -> Response
  ) async throws -> Response {
    var response: Response
    do {
      guard request.uri.string.utf8.count <= Self.maximumTarget else {
        throw Refusal(414, "The request's path and query are longer than \(Self.maximumTarget) bytes; send a POST.")
      }
      response = try await next(request, context)
    } catch let refusal as Refusal {
      response = Response(refusal, requestID: context.record.id)
    } catch let error as HTTPError {
      response = answer(error, to: request, context)
    } catch {
      context.record.note { $0.fault = "\(error)" }
      let fault = Refusal(500, "The server failed to answer this request; it is safe to try again.", code: "internal_error")
      response = Response(fault, requestID: context.record.id)
    }
    response.headers[.requestID] = context.record.id
    addCORS(to: &response, of: request)
    finish(&response, of: request, context)
    return response
  }

  /// What the router and the body reader throw.
  private func answer(_ error: HTTPError, to request: Request, _ context: FairdrawContext) -> Response {
    switch error.status {
    case .notFound:
      guard let allowed = directory.methods(at: request.uri.path) else {
        return Response(Refusal(404, "There is nothing at this address."), requestID: context.record.id)
      }
      if request.method == .options { return preflight() }
      var response = Response(
        Refusal(405, "This address answers \(allowed.joined(separator: " and ")) only."), requestID: context.record.id)
      response.headers[.allow] = (allowed + ["OPTIONS"]).joined(separator: ", ")
      return response
    case .contentTooLarge:
      return Response(
        Refusal(413, "The request's body is longer than \(RequestBody.maximumBody) bytes."), requestID: context.record.id)
    default:
      return Response(
        Refusal(error.status.code, error.body ?? "The request could not be read."), requestID: context.record.id)
    }
  }

  // MARK: CORS

  private static let exposed = "shortId, Idempotent-Replayed, Retry-After, Server-Timing, X-Request-Id"
  private static let accepted = "x-api-key, authorization, content-type, idempotency-key, last-event-id"

  private func preflight() -> Response {
    var response = Response(status: .noContent)
    response.headers[.accessControlAllowMethods] = "GET, POST, OPTIONS"
    response.headers[.accessControlAllowHeaders] = Self.accepted
    response.headers[.accessControlMaxAge] = "86400"
    return response
  }

  private func addCORS(to response: inout Response, of request: Request) {
    guard request.uri.path.hasPrefix("/api/") || request.uri.path == "/openapi.json" else { return }
    response.headers[.accessControlAllowOrigin] = "*"
    response.headers[.accessControlExposeHeaders] = Self.exposed
  }

  // MARK: The end of a request

  private func finish(_ response: inout Response, of request: Request, _ context: FairdrawContext) {
    let elapsed = context.record.elapsedMilliseconds
    responseTimes.add(milliseconds: elapsed)
    let notes = context.record.current
    if notes.showsTiming {
      var timing = "total;dur=\(elapsed.threeDecimals)"
      if let ledger = notes.ledgerMilliseconds { timing = "ledger;dur=\(ledger.threeDecimals), " + timing }
      response.headers[.serverTiming] = timing
    }
    let status = response.status.code
    log.line(status >= 500 ? .error : .info, "request") { line in
      line.append(field: "requestId", string: context.record.id)
      line.append(field: "method", string: request.method.rawValue)
      line.append(field: "path", string: String(request.uri.path.prefix(200)))
      line.append(field: "status", integer: status)
      line.append(json: ",\"durationMs\":")
      line.append(text: elapsed.threeDecimals)
      if let caller = notes.caller { line.append(field: "caller", string: caller) }
      if let address = notes.address { line.append(field: "address", string: address) }
      if response.headers[.idempotentReplayed] != nil { line.append(json: ",\"replayed\":true") }
      if let fault = notes.fault { line.append(field: "fault", string: fault) }
    }
  }
}

extension Double {
  /// A time in milliseconds for a log line or a header: to the microsecond.
  fileprivate var threeDecimals: String {
    let thousandths = Int(magnitude * 1000)
    let rest = String(1000 + thousandths % 1000).dropFirst()
    return "\(thousandths / 1000).\(rest)"
  }
}

/// Which methods each address answers; kept beside the router, which does not tell.
struct RouteDirectory: Sendable {
  private let allowed: [String: [String]]

  init(_ routes: [Route]) {
    allowed = Dictionary(uniqueKeysWithValues: routes.map { ($0.path, $0.methods.map(\.rawValue)) })
  }

  /// The methods of an address, or nil if there is none. A slash at the end makes no other address.
  func methods(at path: String) -> [String]? {
    allowed["/" + path.split(separator: "/").joined(separator: "/")]
  }
}
