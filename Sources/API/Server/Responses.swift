import HTTPTypes
import Hummingbird
import Ledger
import NIOCore
import NIOHTTP1

extension HTTPField.Name {
  private static func named(_ name: String) -> HTTPField.Name {
    guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is no header name") }
    return name
  }

  static let shortID = named("shortId")
  static let idempotencyKey = named("Idempotency-Key")
  static let idempotentReplayed = named("Idempotent-Replayed")
  static let idempotencyStatus = named("Idempotency-Status")
  static let rateLimitPolicy = named("RateLimit-Policy")
  static let rateLimit = named("RateLimit")
  static let contentDigest = named("Content-Digest")
  static let signature = named("Signature")
  static let signatureInput = named("Signature-Input")
  static let requestID = named("X-Request-Id")
  static let serverTiming = named("Server-Timing")
  static let apiKey = named("x-api-key")
  static let forwardedFor = named("X-Forwarded-For")
  static let lastEventID = named("Last-Event-ID")
  static let accelBuffering = named("X-Accel-Buffering")
  static let operatorProof = named(OperatorProof.header)
}

/// Headers on their way out, in either of the forms they have in this server.
protocol HeaderList {
  mutating func append(_ name: HTTPField.Name, _ value: String)
  /// The field's values with commas between them; nil if it is not there.
  func combined(_ name: HTTPField.Name) -> String?
}

extension HTTPFields: HeaderList {
  mutating func append(_ name: HTTPField.Name, _ value: String) { append(HTTPField(name: name, value: value)) }
  func combined(_ name: HTTPField.Name) -> String? { self[name] }
}

extension HTTPHeaders: HeaderList {
  mutating func append(_ name: HTTPField.Name, _ value: String) { add(name: name.rawName, value: value) }
  func combined(_ name: HTTPField.Name) -> String? {
    contains(name: name.rawName) ? self[name.rawName].joined(separator: ", ") : nil
  }
}

extension Reply {
  /// What a reply says beside its body.
  func addHeaders(to headers: inout some HeaderList) {
    if let shortID { headers.append(.shortID, String(decoding: shortID, as: UTF8.self)) }
    if let retryAfter { headers.append(.retryAfter, String(retryAfter)) }
    if isReplay { headers.append(.idempotentReplayed, "true") }
    if let quotaLeft { headers.append(.rateLimit, quotaLeft.rateLimit) }
    if let policy = refusal?.policy { headers.append(policy, resetIn: retryAfter) }
  }
}

extension HeaderList {
  /// Adds what a client is told of a limit that is used up.
  mutating func append(_ policy: RateLimitPolicy, resetIn seconds: Int?) {
    append(.rateLimitPolicy, policy.description)
    append(.rateLimit, policy.state(remaining: 0, reset: policy.window == nil && policy.unit != nil ? nil : seconds))
  }
}

extension Response {
  /// Says when a retry makes sense and, if a limit is used up, which one.
  package mutating func say(_ policy: RateLimitPolicy?, retryAfter: Int?) {
    if let retryAfter { headers[.retryAfter] = String(retryAfter) }
    if let policy { headers.append(policy, resetIn: retryAfter) }
  }
}

extension Refusal {
  public static let nothingHere = Refusal(404, "There is nothing at this address.", code: .notFound)
}

private enum ResponsePieces {
  /// In bytes.
  static let size = 64 << 10
}

extension ResponseBodyWriter {
  /// Writes a large body as fast as the client takes it.
  @concurrent package mutating func write(inPieces buffer: ByteBuffer) async throws {
    var rest = buffer
    while let piece = rest.readSlice(length: min(rest.readableBytes, ResponsePieces.size)), piece.readableBytes > 0 {
      try await write(piece)
    }
  }
}

extension Response {
  private static let jsonHeaders: HTTPFields = [.contentType: "application/json", .cacheControl: "no-store"]

  /// JSON bytes, not to be kept by any cache.
  static func json(_ body: [UInt8], status: HTTPResponse.Status = .ok) -> Response {
    Response(status: status, headers: jsonHeaders, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
  }

  /// JSON whose memory stays reserved until it is sent.
  static func json(
    _ body: [UInt8], holding reservation: MemoryBudget.Reservation, _ context: FairdrawContext
  ) -> Response {
    .held(body, "application/json", by: reservation, context)
  }

  /// A body whose memory stays reserved until it is sent; not to be kept by any cache.
  static func held(
    _ body: [UInt8], _ contentType: String, by reservation: MemoryBudget.Reservation, _ context: FairdrawContext
  ) -> Response {
    let buffer = ByteBuffer(bytes: body)
    guard body.count > ResponsePieces.size else {
      return Response(
        status: .ok, headers: [.contentType: contentType, .cacheControl: "no-store"],
        body: ResponseBody(byteBuffer: buffer))
    }
    reservation.shrink(to: body.count)
    return .stream(contentType, length: buffer.readableBytes, context) { writer in
      try await writer.write(inPieces: buffer)
      withExtendedLifetime(reservation) {}
    }
  }

  /// A body that is made while it is sent, as fast as the client takes it. If `write` throws, the connection is closed,
  /// and the log says why.
  ///
  /// - Parameter length: how many bytes that will be, if it is known.
  package static func stream(
    _ contentType: String, length: Int? = nil, _ context: FairdrawContext,
    _ write: @concurrent @Sendable @escaping (inout any ResponseBodyWriter) async throws -> Void
  ) -> Response {
    let body = ResponseBody(contentLength: length) { writer in
      do {
        try await write(&writer)
      } catch {
        context.noteCutOff(by: error)
        throw error
      }
      try await writer.finish(nil)
    }
    return Response(status: .ok, headers: [.contentType: contentType, .cacheControl: "no-store"], body: body)
  }

  /// What the ledger answered, byte for byte.
  init(_ reply: Reply) {
    self = .json(reply.body, status: HTTPResponse.Status(code: reply.status))
    reply.addHeaders(to: &headers)
  }
}
