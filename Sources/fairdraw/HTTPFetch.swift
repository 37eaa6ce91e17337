import Foundation
import JSON
import Synchronization

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// GET requests to one server, for commands that ask it something.
struct HTTPFetch: Sendable {
  private let base: String

  /// - Parameter base: its address, with or without a slash at its end.
  init(base: String) {
    self.base = base.hasSuffix("/") ? String(base.dropLast()) : base
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
  func get(_ path: String) async throws -> Answer {
    let collected = Mutex<[UInt8]>([])
    let status = try await transfer(path) { piece in
      try collected.withLock {
        $0 += piece
        guard $0.count <= 1 << 20 else { throw CommandFailure("\(base)\(path) answered more than a mebibyte") }
      }
    }
    return Answer(status: status, body: collected.withLock { $0 })
  }

  /// Hands an answer's body over piece by piece.
  ///
  /// - Throws: ``CommandFailure`` for no answer, or one that is not a success; what `body` throws.
  func stream(_ path: String, _ body: @escaping @Sendable (Data) throws -> Void) async throws {
    let status = try await transfer(path, onlySuccess: true, body)
    guard status == 200 else { throw CommandFailure("\(base)\(path) answered \(status)") }
  }

  private func transfer(
    _ path: String, onlySuccess: Bool = false, _ body: @escaping @Sendable (Data) throws -> Void
  ) async throws -> Int {
    guard let url = URL(string: base + path) else { throw CommandFailure("\(base) is no address") }
    return try await withCheckedThrowingContinuation { continuation in
      let transfer = Transfer(url: url, onlySuccess: onlySuccess, body: body, continuation: continuation)
      let session = URLSession(configuration: .ephemeral, delegate: transfer, delegateQueue: nil)
      session.dataTask(with: url).resume()
      session.finishTasksAndInvalidate()
    }
  }
}

/// One transfer: passes the pieces on and says how it ended, once.
private final class Transfer: NSObject, URLSessionDataDelegate, Sendable {
  private let url: URL
  private let onlySuccess: Bool
  private let body: @Sendable (Data) throws -> Void
  private let state: Mutex<State>

  private struct State {
    var continuation: CheckedContinuation<Int, any Error>?
    var status = 0
  }

  init(
    url: URL, onlySuccess: Bool, body: @escaping @Sendable (Data) throws -> Void,
    continuation: CheckedContinuation<Int, any Error>
  ) {
    self.url = url
    self.onlySuccess = onlySuccess
    self.body = body
    state = Mutex(State(continuation: continuation))
  }

  func urlSession(
    _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
    completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
  ) {
    state.withLock { $0.status = (response as? HTTPURLResponse)?.statusCode ?? 0 }
    completionHandler(.allow)
  }

  func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
    guard !onlySuccess || state.withLock({ $0.status == 200 && $0.continuation != nil }) else { return }
    do {
      try body(data)
    } catch {
      finish(.failure(error))
      dataTask.cancel()
    }
  }

  func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
    if let error {
      finish(.failure(CommandFailure("\(url.absoluteString) did not answer to the end: \(reason(for: error))")))
    } else {
      finish(.success(state.withLock { $0.status }))
    }
  }

  private func finish(_ result: Result<Int, any Error>) {
    state.withLock { $0.continuation.take() }?.resume(with: result)
  }
}
