import Ledger
import NIOCore
import NIOHTTP1

/// Answers a connection's requests to the ledger's routes where they arrive, and passes every other on.
///
/// The rest of the server is written with async functions, each call a possible change of executor, which costs more than
/// all the mathematics of a draw. Here a request is parsed, submitted and answered by plain calls on the connection's
/// event loop. Requests are answered in the order in which they came: while one is under way, whoever answers it, those
/// behind it are held.
final class LedgerConnection: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  private enum State {
    case idle
    /// A request to the ledger is coming in.
    case collecting(HTTPRequestHead, LedgerService.Candidate, ByteBuffer?)
    /// The ledger is at work, or its answer is on its way out and the connection closes after it.
    case answering
    /// The rest of the server has a request in hand. It is over when both its ends have passed.
    case forwarding(requestEnded: Bool, responseEnded: Bool)
  }

  private let service: LedgerService
  private let peer: NetworkAddress?
  private let position: MessagePosition
  private var state = State.idle
  /// What came while a request was under way. Reading stops as soon as there is any, so it is at most what one read gave.
  private var held = CircularBuffer<HTTPServerRequestPart>()
  private var isReadHeld = false
  private var isProceeding = false
  /// The client will send no more, or nothing more that can be understood; acted upon when all before it is answered.
  private var end: End?
  /// The server is about to stop: the connection closes as soon as nothing is under way.
  private var isQuiescing = false

  private enum End {
    case inputClosed
    case unreadable(HTTPParserError)
  }

  init(service: LedgerService, peer: NetworkAddress?, position: MessagePosition) {
    self.service = service
    self.peer = peer
    self.position = position
  }

  // MARK: What comes in

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let part = unwrapInboundIn(data)
    position.note(part)
    if held.isEmpty, accepts(part) {
      take(part, context)
    } else {
      held.append(part)
    }
  }

  private func accepts(_ part: HTTPServerRequestPart) -> Bool {
    switch state {
    case .idle, .collecting: true
    case .answering: false
    case .forwarding(let requestEnded, _): !requestEnded
    }
  }

  private func take(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
    switch (state, part) {
    case (.idle, .head(var head)):
      if let uri = Target.originForm(head.uri) { head.uri = uri }
      if let candidate = service.candidate(head) {
        state = .collecting(head, candidate, nil)
      } else {
        state = .forwarding(requestEnded: false, responseEnded: false)
        context.fireChannelRead(wrapInboundOut(.head(head)))
      }
    case (.collecting(let head, let candidate, var body), .body(var bytes)):
      // No more can come than was announced, and that is bounded: the decoder sees to it.
      state = .idle  // so that the buffer is held once, and grows in place
      if body == nil {
        body = bytes
      } else {
        body?.writeBuffer(&bytes)
      }
      state = .collecting(head, candidate, body)
    case (.collecting(let head, let candidate, let body), .end):
      begin(head, candidate, body, context)
    case (.forwarding(_, let responseEnded), .end):
      state = .forwarding(requestEnded: true, responseEnded: responseEnded)
      context.fireChannelRead(wrapInboundOut(part))
      if responseEnded { proceed(context) }
    case (.forwarding, _):
      context.fireChannelRead(wrapInboundOut(part))
    case (.idle, _), (.collecting, .head), (.answering, _):
      assertionFailure("the decoder gives requests whole, and those under way are waited for")
    }
  }

  private func begin(
    _ head: HTTPRequestHead, _ candidate: LedgerService.Candidate, _ body: ByteBuffer?, _ context: ChannelHandlerContext
  ) {
    state = .answering
    let here = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
    let step = service.begin(
      candidate, body: body.map { Array($0.readableBytesView) } ?? [], peer: peer, eventLoop: context.eventLoop
    ) { answer in
      let (handler, context) = here.value
      handler.send(answer, context)
    }
    switch step {
    case .answer(let answer): send(answer, context)
    case .wait: break
    case .decline:
      state = .forwarding(requestEnded: true, responseEnded: false)
      context.fireChannelRead(wrapInboundOut(.head(head)))
      if let body { context.fireChannelRead(wrapInboundOut(.body(body))) }
      context.fireChannelRead(wrapInboundOut(.end(nil)))
      context.fireChannelReadComplete()
    }
  }

  // MARK: What goes out

  private func send(_ answer: LedgerService.Answer, _ context: ChannelHandlerContext, thenClose: Bool = false) {
    guard context.channel.isActive else { return }  // the client has gone; its outcome stands
    context.write(wrapOutboundOut(.head(answer.head)), promise: nil)
    if !answer.body.isEmpty {
      context.write(
        wrapOutboundOut(.body(.byteBuffer(context.channel.allocator.buffer(bytes: answer.body)))), promise: nil)
    }
    if thenClose {
      let written = context.eventLoop.makePromise(of: Void.self)
      written.futureResult.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
      context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
    } else {
      context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
      proceed(context)
    }
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    context.write(data, promise: promise)
    guard case .forwarding(let requestEnded, _) = state, case .end = unwrapOutboundIn(data) else { return }
    state = .forwarding(requestEnded: requestEnded, responseEnded: true)
    if requestEnded {
      context.flush()  // what comes next may close the connection
      proceed(context)
    }
  }

  /// Goes on after a request has been answered: to the next that waits, or to the connection's end.
  private func proceed(_ context: ChannelHandlerContext) {
    state = .idle
    // Whatever is answered at once comes back here from below; the loop that is running goes on with the next.
    guard !isProceeding else { return }
    isProceeding = true
    defer { isProceeding = false }
    while let part = held.first, accepts(part) {
      held.removeFirst()
      take(part, context)
    }
    if case .forwarding = state { context.fireChannelReadComplete() }
    guard held.isEmpty else { return }
    if case .idle = state {
      if isQuiescing { return context.close(promise: nil) }
      finish(context)
    }
    resumeReading(context)
  }

  /// Passes on the end of what the client sends, once everything before it is answered.
  private func finish(_ context: ChannelHandlerContext) {
    switch end.take() {
    case nil: break
    case .inputClosed: context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    case .unreadable(let error):
      state = .answering
      send(service.answer(toUnreadable: error, from: peer), context, thenClose: true)
    }
  }

  // MARK: The connection

  func read(context: ChannelHandlerContext) {
    if held.isEmpty && context.channel.isWritable {
      context.read()
    } else {
      isReadHeld = true
    }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    resumeReading(context)
    context.fireChannelWritabilityChanged()
  }

  private func resumeReading(_ context: ChannelHandlerContext) {
    guard isReadHeld, held.isEmpty, context.channel.isWritable else { return }
    isReadHeld = false
    context.read()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case ChannelEvent.inputClosed:
      switch state {
      case .answering, .collecting: end = .inputClosed
      case .idle where held.isEmpty: context.fireUserInboundEventTriggered(event)
      case .forwarding where held.isEmpty: context.fireUserInboundEventTriggered(event)
      case .idle, .forwarding: end = .inputClosed
      }
    case is ChannelShouldQuiesceEvent:
      isQuiescing = true
      if case .idle = state, held.isEmpty { context.close(promise: nil) }
    case is IdleStateHandler.IdleStateEvent:
      switch state {
      case .idle, .collecting, .forwarding(requestEnded: false, _): context.close(promise: nil)
      case .answering, .forwarding: break  // it is we who take so long
      }
    default: context.fireUserInboundEventTriggered(event)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let error = error as? HTTPParserError else { return context.fireErrorCaught(error) }
    switch state {
    case .forwarding(requestEnded: false, _): context.fireErrorCaught(error)
    case .idle where held.isEmpty, .collecting:
      end = .unreadable(error)
      finish(context)
    case .idle, .answering, .forwarding: end = .unreadable(error)
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    held.removeAll()
    context.fireChannelInactive()
  }
}
