import HTTPTypes
import Hummingbird
import HummingbirdCore
import Ledger
import Logging
import NIOCore

/// What a witness answers to a request.
public struct WitnessAnswer: Sendable {
  public var status: Int
  public var contentType: String
  public var body: String

  public init(status: Int, contentType: String = "text/plain; charset=utf-8", body: String) {
    self.status = status
    self.contentType = contentType
    self.body = body
  }
}

/// Puts together a witness's HTTP server, which answers `POST /add-checkpoint` (<https://c2sp.org/tlog-witness>).
///
/// - Parameters:
///   - bodyLimit: the most bytes of a request's body.
///   - addCheckpoint: answers a body.
///   - onServerRunning: called with the address once connections are accepted.
public func buildWitnessApplication(
  host: String, port: Int, bodyLimit: Int, logger: Logger,
  addCheckpoint: @escaping @Sendable ([UInt8]) async -> WitnessAnswer,
  onServerRunning: @escaping @Sendable (SocketAddress?) async -> Void
) -> some ApplicationProtocol {
  let settings = ConnectionSettings(
    connections: Connections(limits: Connections.Limits(total: 256, perAddress: 64)))
  return Application(
    responder: WitnessResponder(bodyLimit: bodyLimit, addCheckpoint: addCheckpoint),
    server: HTTPServerBuilder { LedgerChannel(responder: $0, settings: settings) },
    configuration: ApplicationConfiguration(
      address: .hostname(host, port: port), serverName: nil,
      availableConnectionsDelegate: AcceptanceLimit(limit: 272)),
    onServerRunning: { await onServerRunning($0.localAddress) },
    eventLoopGroupProvider: .singleton,
    logger: logger)
}

private struct WitnessResponder: HTTPResponder {
  typealias Context = BasicRequestContext

  let bodyLimit: Int
  let addCheckpoint: @Sendable ([UInt8]) async -> WitnessAnswer

  func respond(to request: Request, context: BasicRequestContext) async throws -> Response {
    guard request.uri.path == "/add-checkpoint" else {
      return Self.response(WitnessAnswer(status: 404, body: "There is only /add-checkpoint here.\n"))
    }
    guard request.method == .post else {
      var response = Self.response(WitnessAnswer(status: 405, body: "Use POST.\n"))
      response.headers[.allow] = "POST"
      return response
    }
    do throws(Refusal) {
      return Self.response(await addCheckpoint(try await BodyReader.read(request, upTo: bodyLimit)))
    } catch {
      return Self.response(WitnessAnswer(status: error.status, body: error.error + "\n"))
    }
  }

  private static func response(_ answer: WitnessAnswer) -> Response {
    Response(
      status: HTTPResponse.Status(code: answer.status), headers: [.contentType: answer.contentType],
      body: ResponseBody(byteBuffer: ByteBuffer(string: answer.body)))
  }
}
