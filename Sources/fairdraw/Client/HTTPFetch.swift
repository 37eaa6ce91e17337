import HTTPClient
import JSON

/// Requests to one server, for commands that ask it something.
struct HTTPFetch: Sendable {
  let base: String
  private let failureStatus: Int32
  /// The API key that requests carry; nil for an anonymous caller's.
  private let key: String?

  private static let longestAnswer = 4 << 20

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
    try await answer(to: request(path, headers), path)
  }

  /// - Parameters:
  ///   - body: JSON; nil for a request without a body.
  ///   - idempotencyKey: the key under which it may be sent again.
  /// - Throws: ``CommandFailure`` if there is no answer.
  func post(_ path: String, body: [UInt8]? = nil, idempotencyKey: String? = nil) async throws -> Answer {
    var request = request(path, idempotencyKey.map { [("Idempotency-Key", $0)] } ?? [])
    if body != nil { request.headers.append(("Content-Type", "application/json")) }
    request.body = body ?? []
    // A redirected POST would arrive as a GET.
    request.redirections = 0
    return try await answer(to: request, path)
  }

  private func answer(to request: HTTPSender.Request, _ path: String) async throws -> Answer {
    let response = try await send(request, path)
    return Answer(
      status: response.status, body: response.body, retryAfter: response.headers["retry-after"].flatMap { Int($0) },
      isReplayed: response.headers["idempotent-replayed"] == "true")
  }

  /// Hands an answer's body over piece by piece.
  ///
  /// - Throws: ``CommandFailure`` for no answer, or one that is not a success; what `body` throws.
  func stream(_ path: String, _ body: @escaping @Sendable ([UInt8]) throws -> Void) async throws {
    var request = request(path)
    request.receive = body
    let response = try await send(request, path)
    guard response.status == 200 else { throw failure("\(base)\(path) answered \(response.status)") }
  }

  private func request(_ path: String, _ headers: [(name: String, value: String)] = []) -> HTTPSender.Request {
    var request = HTTPSender.Request(
      url: base + path, connectTime: .seconds(10), timeLimit: .pause(seconds: 60), longestBody: Self.longestAnswer)
    request.headers = [("User-Agent", "Fairdraw/\(Fairdraw.version)")] + headers
    // A key must not go to another host.
    if let key { request.headers.append(("x-api-key", key)) } else { request.redirections = 5 }
    return request
  }

  private func send(_ request: HTTPSender.Request, _ path: String) async throws -> HTTPSender.Response {
    do {
      let response = try await HTTPSender.shared.send(request)
      if let failure = response.failure { throw failure }
      return response
    } catch let reason as HTTPFailure where reason == .tooLong(Self.longestAnswer) {
      throw failure("\(base)\(path) answered more than four mebibytes")
    } catch let reason as HTTPFailure {
      throw failure("\(base)\(path) did not answer to the end: \(reason)")
    }
  }

  private func failure(_ text: String) -> CommandFailure { CommandFailure(text, status: failureStatus) }
}

extension JSONValue {
  /// A string's text; nil for any other kind.
  var text: String? { string.map { String(decoding: $0, as: UTF8.self) } }

  /// A number that is an integer.
  var integer: Int? { number.flatMap { Int($0) } }
}
