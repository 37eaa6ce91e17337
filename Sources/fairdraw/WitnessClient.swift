import AsyncHTTPClient
import Foundation
import NIOCore
import NIOPosix
import Transparency
import Webhooks

/// Sends requests to witnesses.
struct WitnessClient: Sendable {
  private let client: HTTPClient

  init() {
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow, timeout: .init(connect: .seconds(3)))
    configuration.httpVersion = .http1Only
    client = HTTPClient(
      eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton), configuration: configuration)
  }

  func post(_ url: String, _ body: [UInt8], within time: Duration) async throws -> LogWitnesses.Answer {
    try await withThrowingTaskGroup(of: LogWitnesses.Answer.self) { group in
      group.addTask { try await send(body, to: url) }
      // The client's own deadline ends with the head of a response. A body can take longer.
      group.addTask {
        try await Task.sleep(for: time)
        throw CommandFailure("there was no response in time")
      }
      defer { group.cancelAll() }
      guard let answer = try await group.next() else { throw CancellationError() }
      return answer
    }
  }

  private func send(_ body: [UInt8], to url: String) async throws -> LogWitnesses.Answer {
    var request = HTTPClientRequest(url: url)
    request.method = .POST
    request.headers.add(name: "User-Agent", value: "Fairdraw/\(Fairdraw.version)")
    request.body = .bytes(ByteBuffer(bytes: body))
    do {
      let response = try await client.execute(request, deadline: .distantFuture)
      let answer = try await response.body.collect(upTo: LogWitnesses.longestAnswer)
      return LogWitnesses.Answer(
        status: Int(response.status.code), contentType: response.headers.first(name: "Content-Type"),
        body: Array(answer.readableBytesView))
    } catch is NIOTooManyBytesError {
      throw CommandFailure("the response is longer than \(LogWitnesses.longestAnswer) bytes")
    } catch {
      throw DeliveryFailure(error, host: url)
    }
  }

  func shutDown() async throws { try await client.shutdown() }
}

/// Asks the witnesses until it is cancelled, and closes the connections to them.
struct Witnessing: Sendable {
  let witnesses: LogWitnesses
  let client: WitnessClient

  func run() async {
    await witnesses.run()
    do { try await client.shutDown() } catch { print("fairdraw: \(error)", to: &Terminal.error) }
  }
}
