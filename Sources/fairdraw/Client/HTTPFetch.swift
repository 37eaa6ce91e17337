import AsyncHTTPClient
import Foundation
import JSON
import NIOCore
import NIOPosix
import Webhooks

/// Requests to one server, for commands that ask it something.
struct HTTPFetch: Sendable {
  let base: String
  private let failureStatus: Int32
  /// The API key that requests carry; nil for an anonymous caller's.
  private let key: String?

  /// They live as long as the process. A redirected POST would arrive as a GET, and a key must not go to another host: so
  /// redirections are followed only without a key.
  private static let (client, keyedClient) = (makeClient(.follow(max: 5, allowCycles: false)), makeClient(.disallow))

  private static func makeClient(_ redirections: HTTPClient.Configuration.RedirectConfiguration) -> HTTPClient {
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: redirections, timeout: .init(connect: .seconds(10), read: .seconds(60)))
    configuration.connectionPool.retryConnectionEstablishment = false
    return HTTPClient(
      eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton), configuration: configuration)
  }

  /// - Parameters:
  ///   - base: its address, with or without a slash at its end.
  ///   - failureStatus: the exit status of a command that gets no answer.
  ///   - key: the API key to present.
  init(base: String, failureStatus: Int32 = 1, key: String? = nil) {
    self.base = base.hasSuffix("/") ? String(base.dropLast()) : base
    self.failureStatus = failureStatus
    self.key = key
  }

  struct Answer: Sendable {
    let status: Int
    let body: [UInt8]
    /// The seconds of a `Retry-After`.
    var retryAfter: Int?
    var isReplayed = false

    /// The JSON that was answered; nil if it is none.
    var json: JSONValue? { try? JSONText(body).root }

    /// A text member of the JSON object that was answered.
    func text(_ name: String) -> String? { json?[name]?.text }

    /// The sentence of a refusal, or what else there is to say.
    var error: String { text("error") ?? "no JSON of Fairdraw's" }
  }

  /// - Throws: ``CommandFailure`` if there is no answer.
  func get(_ path: String, headers: [(name: String, value: String)] = []) async throws -> Answer {
    try await send("GET", path, headers: headers)
  }

  /// - Parameters:
  ///   - body: JSON; nil for a request without a body.
  ///   - idempotencyKey: the key under which it may be sent again.
  /// - Throws: ``CommandFailure`` if there is no answer.
  func send(
    _ method: String, _ path: String, body: [UInt8]? = nil, idempotencyKey: String? = nil,
    headers: [(name: String, value: String)] = []
  ) async throws -> Answer {
    let headers = headers + (idempotencyKey.map { [(name: "Idempotency-Key", value: $0)] } ?? [])
    let response = try await request(method, path, body, headers)
    do {
      let body = try await response.body.collect(upTo: 4 << 20)
      return Answer(
        status: Int(response.status.code), body: Array(body.readableBytesView),
        retryAfter: response.headers.first(name: "Retry-After").flatMap { Int($0) },
        isReplayed: response.headers.first(name: "Idempotent-Replayed") == "true")
    } catch is NIOTooManyBytesError {
      throw failure("\(base)\(path) answered more than four mebibytes")
    } catch {
      throw noAnswer(path, error)
    }
  }

  /// Hands an answer's body over piece by piece.
  ///
  /// - Throws: ``CommandFailure`` for no answer, or one that is not a success; what `body` throws.
  func stream(_ path: String, _ body: (ByteBufferView) throws -> Void) async throws {
    let response = try await request("GET", path)
    guard response.status == .ok else { throw failure("\(base)\(path) answered \(response.status.code)") }
    var pieces = response.body.makeAsyncIterator()
    while true {
      let piece: ByteBuffer?
      do { piece = try await pieces.next() } catch { throw noAnswer(path, error) }
      guard let piece else { return }
      try body(piece.readableBytesView)
    }
  }

  private func request(
    _ method: String, _ path: String, _ body: [UInt8]? = nil, _ headers: [(name: String, value: String)] = []
  ) async throws(CommandFailure) -> HTTPClientResponse {
    var request = HTTPClientRequest(url: base + path)
    request.method = .init(rawValue: method)
    request.headers.add(name: "User-Agent", value: "Fairdraw/\(Fairdraw.version)")
    if let key { request.headers.add(name: "x-api-key", value: key) }
    for header in headers { request.headers.add(name: header.name, value: header.value) }
    if let body {
      request.headers.add(name: "Content-Type", value: "application/json")
      request.body = .bytes(ByteBuffer(bytes: body))
    }
    do {
      return try await (key == nil && body == nil ? Self.client : Self.keyedClient).execute(
        request, deadline: .now() + .seconds(60))
    } catch {
      throw noAnswer(path, error)
    }
  }

  private func failure(_ text: String) -> CommandFailure { CommandFailure(text, status: failureStatus) }

  private func noAnswer(_ path: String, _ error: any Error) -> CommandFailure {
    failure(
      "\(base)\(path) did not answer to the end: \(DeliveryFailure(error, host: URL(string: base)?.host ?? base))")
  }
}

extension JSONValue {
  /// A string's text; nil for any other kind.
  var text: String? { string.map { String(decoding: $0, as: UTF8.self) } }

  /// A number that is an integer.
  var integer: Int? { number.flatMap { Int($0) } }
}
