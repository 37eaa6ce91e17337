import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import Synchronization

/// Sets connections up: HTTP/1 with a ``LedgerConnection``, before what Hummingbird makes of the requests that are passed
/// on to it.
struct LedgerChannel: HTTPChannelHandler {
  let responder: HTTPChannelHandler.Responder
  let settings: ConnectionSettings

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<AcceptedConnection> {
    channel.eventLoop.makeCompletedFuture {
      // A bound on what the system keeps for a client that reads slowly, and a finer measure of whether it reads at all.
      try? channel.syncOptions?.setOption(.socketOption(.so_sndbuf), value: 256 << 10)
      var encoding = HTTPResponseEncoder.Configuration()
      encoding.automaticallySetFramingHeaders = false  // ``LedgerConnection`` does
      try channel.pipeline.syncOperations.addHandlers([
        HTTPResponseEncoder(configuration: encoding),
        LedgerConnection(settings),
        HTTP1ToHTTPServerCodec(secure: false),
      ])
      return AcceptedConnection(
        try NIOAsyncChannel(
          wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true)))
    }
  }

  func handle(value: AcceptedConnection, logger: Logger) async {
    await handleHTTP(asyncChannel: value.take(), logger: logger)
  }
}

/// A connection on its way to the task that handles it. There is none for a connection that was accepted at the moment in
/// which the server stopped; that is closed here. Left alone, its writer would trap.
final class AcceptedConnection: ServerChildChannelValue {
  private let connection: NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>
  private let isTaken = Atomic<Bool>(false)

  init(_ connection: NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>) { self.connection = connection }

  var channel: any Channel { connection.channel }

  func take() -> NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart> {
    isTaken.store(true, ordering: .relaxed)
    return connection
  }

  deinit {
    guard !isTaken.load(ordering: .relaxed) else { return }
    // Whatever it throws, the connection is closed and of no more interest.
    Task { [connection] in try? await connection.executeThenClose { _, _ in } }
  }
}

/// What all connections of a server share.
package struct ConnectionSettings: Sendable {
  /// What answers the ledger's routes; without it everything is passed on.
  var service: LedgerService?
  let connections: Connections
  let limits: ConnectionState.Limits
  /// The bodies of all requests that are coming in.
  let bodies: ByteBudget
  /// Answers that wait for their clients to read them.
  let answers = ByteBudget(limit: 128 << 20, ofOne: 32 << 20)
  /// Pieces of answers up to this size count for nothing.
  let freeAnswer = 64 << 10
  /// So much of a body counts for nothing: with the bound on connections it is bounded too, and small requests always
  /// find room.
  let freeBody = 16 << 10

  /// What is held for bodies that are coming in and answers that wait.
  package var heldBytes: Int { bodies.bytesHeld + answers.bytesHeld }

  package init(connections: Connections, limits: ConnectionState.Limits = .init(), bodyBytes: Int = 64 << 20) {
    self.connections = connections
    self.limits = limits
    bodies = ByteBudget(limit: bodyBytes, ofOne: bodyBytes / 2)
  }
}
