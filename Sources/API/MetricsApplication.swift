import HTTPTypes
import Hummingbird
import HummingbirdCore
import Ledger
import Logging
import NIOCore

/// Puts together the second, small HTTP server that shows `/metrics`. It is apart from the API, so that no proxy in front
/// of that can let the world see it.
///
/// - Parameter deliveries: how webhook deliveries stand.
public func buildMetricsApplication(
  host: String, port: Int, _ parts: ServerParts, logger: Logger,
  deliveries: @escaping @Sendable () async -> DeliveryCounts
) -> some ApplicationProtocol {
  let settings = ConnectionSettings(
    connections: Connections(limits: Connections.Limits(total: 16, perAddress: 16)))
  return Application(
    responder: MetricsResponder(parts: parts, deliveries: deliveries),
    server: HTTPServerBuilder { LedgerChannel(responder: $0, settings: settings) },
    configuration: ApplicationConfiguration(
      address: .hostname(host, port: port), serverName: nil,
      availableConnectionsDelegate: AcceptanceLimit(limit: 20)),
    eventLoopGroupProvider: .singleton,
    logger: logger)
}

private struct MetricsResponder: HTTPResponder {
  typealias Context = BasicRequestContext

  let parts: ServerParts
  let deliveries: @Sendable () async -> DeliveryCounts

  func respond(to request: Request, context: BasicRequestContext) async throws -> Response {
    guard request.uri.path == "/metrics" else { return Response(status: .notFound) }
    guard request.method == .get || request.method == .head else {
      return Response(status: .methodNotAllowed, headers: [.allow: "GET, HEAD"])
    }
    let size: Int64?
    do throws(StoreFailure) {
      size = try await parts.store.size()
    } catch {
      parts.log.line(.warning, "the size of the database is not known") {
        $0.append(field: "error", string: error.description)
      }
      size = nil
    }
    let page = parts.metrics.page(
      version: parts.lifecycle.version, writer: parts.writer.report, queued: parts.writer.queued,
      deliveries: await deliveries(), databaseSize: size)
    let response = Response(
      status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: page)))
    return request.method == .head ? response.createHeadResponse() : response
  }
}
