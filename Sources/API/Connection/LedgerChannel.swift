import HummingbirdCore
import Ledger
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// Hummingbird's HTTP/1.1 channel with a ``LedgerConnection`` before it, which answers the ledger's routes by itself.
struct LedgerChannel: ServerChildChannel {
  private let base: HTTP1Channel
  private let service: LedgerService
  private let idleTimeout: TimeAmount

  init(responder: @escaping HTTPChannelHandler.Responder, service: LedgerService, idleTimeout: TimeAmount) {
    base = HTTP1Channel(responder: responder)
    self.service = service
    self.idleTimeout = idleTimeout
  }

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTP1Channel.Value> {
    base.setup(channel: channel, logger: logger).flatMapThrowing { value in
      // Before requests are turned into the form in which the rest of the server knows them.
      let pipeline = channel.pipeline.syncOperations
      let codec = try pipeline.context(handlerType: HTTP1ToHTTPServerCodec.self).handler
      let peer = NetworkAddress(channel.remoteAddress)
      let position = MessagePosition()
      try pipeline.addHandler(TargetEncoder(position), position: .first)
      try pipeline.addHandlers(
        [
          IdleStateHandler(allTimeout: idleTimeout),
          LedgerConnection(service: service, peer: peer, position: position),
        ],
        position: .before(codec))
      return value
    }
  }

  func handle(value: HTTP1Channel.Value, logger: Logger) async {
    await base.handle(value: value, logger: logger)
  }
}
