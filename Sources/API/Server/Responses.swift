import HTTPTypes
import Hummingbird
import Ledger
import NIOCore

extension HTTPField.Name {
  private static func named(_ name: String) -> HTTPField.Name {
    guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is no header name") }
    return name
  }

  static let shortID = named("shortId")
  static let idempotencyKey = named("Idempotency-Key")
  static let idempotentReplayed = named("Idempotent-Replayed")
  static let requestID = named("X-Request-Id")
  static let serverTiming = named("Server-Timing")
  static let apiKey = named("x-api-key")
  static let forwardedFor = named("X-Forwarded-For")
}

extension Response {
  private static let jsonHeaders: HTTPFields = [.contentType: "application/json", .cacheControl: "no-store"]

  /// JSON bytes, not to be kept by any cache.
  static func json(_ body: [UInt8], status: HTTPResponse.Status = .ok) -> Response {
    Response(status: status, headers: jsonHeaders, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
  }

  /// A body that is made while it is sent, as fast as the client takes it. If `write` throws, the connection is closed.
  ///
  /// - Parameter length: how many bytes that will be, if it is known.
  static func stream(
    _ contentType: String, length: Int? = nil,
    _ write: @concurrent @Sendable @escaping (inout any ResponseBodyWriter) async throws -> Void
  ) -> Response {
    let body = ResponseBody(contentLength: length) { writer in
      try await write(&writer)
      try await writer.finish(nil)
    }
    return Response(status: .ok, headers: [.contentType: contentType, .cacheControl: "no-store"], body: body)
  }

  /// What the ledger answered, byte for byte.
  init(_ reply: Reply) {
    self = .json(reply.body, status: HTTPResponse.Status(code: reply.status))
    if let shortID = reply.shortID {
      headers.append(HTTPField(name: .shortID, value: String(decoding: shortID, as: UTF8.self)))
    }
    if let seconds = reply.retryAfter { headers.append(HTTPField(name: .retryAfter, value: String(seconds))) }
    if reply.isReplay { headers.append(HTTPField(name: .idempotentReplayed, value: "true")) }
  }

  /// A refusal; a fault (5xx) carries the request id that finds it in the log.
  init(_ refusal: Refusal, requestID: String) {
    self = .json(
      refusal.body(requestID: refusal.status >= 500 ? requestID : nil),
      status: HTTPResponse.Status(code: refusal.status))
    if let seconds = refusal.retryAfter { headers[.retryAfter] = String(seconds) }
  }
}
