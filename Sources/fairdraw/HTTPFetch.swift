import AsyncHTTPClient
import Foundation
import JSON
import NIOCore
import NIOPosix
import Webhooks

/// GET requests to one server, for commands that ask it something.
struct HTTPFetch: Sendable {
  private let base: String
  private let failureStatus: Int32

  /// Lives as long as the process.
  private static let client = {
    var configuration = HTTPClient.Configuration(timeout: .init(connect: .seconds(10), read: .seconds(60)))
    configuration.connectionPool.retryConnectionEstablishment = false
    return HTTPClient(
      eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton), configuration: configuration)
  }()

  /// - Parameters:
  ///   - base: its address, with or without a slash at its end.
  ///   - failureStatus: the exit status of a command that gets no answer.
  init(base: String, failureStatus: Int32 = 1) {
    self.base = base.hasSuffix("/") ? String(base.dropLast()) : base
    self.failureStatus = failureStatus
  }

  struct Answer: Sendable {
    let status: Int
    let body: [UInt8]

    /// A text member of the JSON object that was answered.
    func text(_ name: String) -> String? {
      (try? JSONText(body).root)?[name]?.string.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The sentence of a refusal, or what else there is to say.
    var error: String { text("error") ?? "no JSON of Fairdraw's" }
  }

  /// - Throws: ``CommandFailure`` if there is no answer.
  func get(_ path: String, headers: [(name: String, value: String)] = []) async throws -> Answer {
    let response = try await request(path, headers)
    do {
      let body = try await response.body.collect(upTo: 1 << 20)
      return Answer(status: Int(response.status.code), body: Array(body.readableBytesView))
    } catch is NIOTooManyBytesError {
      throw failure("\(base)\(path) answered more than a mebibyte")
    } catch {
      throw noAnswer(path, error)
    }
  }

  /// Hands an answer's body over piece by piece.
  ///
  /// - Throws: ``CommandFailure`` for no answer, or one that is not a success; what `body` throws.
  func stream(_ path: String, _ body: (ByteBufferView) throws -> Void) async throws {
    let response = try await request(path)
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
    _ path: String, _ headers: [(name: String, value: String)] = []
  ) async throws(CommandFailure) -> HTTPClientResponse {
    var request = HTTPClientRequest(url: base + path)
    for header in headers { request.headers.add(name: header.name, value: header.value) }
    do {
      return try await Self.client.execute(request, deadline: .now() + .seconds(60))
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
