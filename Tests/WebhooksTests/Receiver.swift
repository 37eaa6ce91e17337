import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A receiver on 127.0.0.1 that answers every request with one status and headers, and keeps what it was sent.
final class Receiver: Sendable {
  struct Received: Sendable {
    let head: HTTPRequestHead
    let body: [UInt8]
  }

  private let channel: any Channel
  private let log: Log

  final class Log: Sendable {
    let received = Mutex<[Received]>([])
  }

  init(status: HTTPResponseStatus = .ok, headers: HTTPHeaders = [:], body: String = "") async throws {
    let log = Log()
    self.log = log
    channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline()
          try channel.pipeline.syncOperations.addHandler(
            Handler(log: log, status: status, headers: headers, body: body))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
  }

  var port: Int { channel.localAddress?.port ?? 0 }
  var received: [Received] { log.received.withLock { $0 } }

  func stop() async throws { try await channel.close() }

  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let log: Log
    private let status: HTTPResponseStatus
    private let headers: HTTPHeaders
    private let answer: String
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []

    init(log: Log, status: HTTPResponseStatus, headers: HTTPHeaders, body: String) {
      self.log = log
      self.status = status
      self.headers = headers
      answer = body
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data) {
      case .head(let head): self.head = head
      case .body(let buffer): body += buffer.readableBytesView
      case .end:
        if let head { log.received.withLock { $0.append(Received(head: head, body: body)) } }
        body = []
        var headers = headers
        headers.replaceOrAdd(name: "Content-Length", value: String(answer.utf8.count))
        context.write(
          wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: answer)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
      }
    }
  }
}
