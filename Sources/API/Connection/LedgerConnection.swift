import Ledger
import NIOCore
import NIOHTTP1

/// Reads a connection's requests, answers those to the ledger's routes where they arrive, and passes every other on.
///
/// The rest of the server is written with async functions, each call a possible change of executor, which costs more than
/// all the mathematics of a draw. Here a request is parsed, submitted and answered by plain calls on the connection's
/// event loop. Requests are answered in the order in which they came: while one is under way, whoever answers it, the
/// bytes behind it stay unread. Whoever answers gets requests whole, so that half of one holds up nobody.
package final class LedgerConnection: ChannelDuplexHandler {
  package typealias InboundIn = ByteBuffer
  package typealias InboundOut = HTTPServerRequestPart
  package typealias OutboundIn = HTTPServerResponsePart
  package typealias OutboundOut = HTTPServerResponsePart

  private let settings: ConnectionSettings
  private var peer: NetworkAddress?
  private var place: Connections.Place?
  private var state: ConnectionState
  private var parser = RequestParser()
  /// What came and is not read yet. Reading stops while a request is under way and there is any.
  private var input = ByteBuffer()
  private var request: IncomingRequest?
  /// Whether the client was told to go on with its body.
  private var isContinued = false
  /// The client will send no more.
  private var inputEnded = false
  private var isReadHeld = false
  private var isProceeding = false
  /// How many bytes of answers have been written, without their headers.
  private var written = 0
  private var alarm: Scheduled<Void>?

  package init(_ settings: ConnectionSettings) {
    self.settings = settings
    state = ConnectionState(limits: settings.limits, now: .now())
  }

  // MARK: The connection's beginning and end

  package func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { enter(context) }
  }

  package func channelActive(context: ChannelHandlerContext) {
    enter(context)
    context.fireChannelActive()
  }

  private func enter(_ context: ChannelHandlerContext) {
    peer = NetworkAddress(context.channel.remoteAddress)
    state = ConnectionState(limits: settings.limits, now: context.eventLoop.now)
    let here = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
    place = settings.connections.enter(from: peer) { [eventLoop = context.eventLoop] in
      eventLoop.execute {
        let (handler, context) = here.value
        if handler.state.phase == .idle { context.close(promise: nil) }
      }
    }
    if place == nil {
      context.close(promise: nil)
    } else {
      look(context)
    }
  }

  package func channelInactive(context: ChannelHandlerContext) {
    leave()
    context.fireChannelInactive()
  }

  package func handlerRemoved(context: ChannelHandlerContext) { leave() }

  private func leave() {
    alarm?.cancel()
    alarm = nil
    input = ByteBuffer()
    if state.phase == .body, let request { settings.service?.charge(unfinished: request, from: peer) }
    dropRequest()
    if let place { settings.connections.leave(place) }
    place = nil  // what happens from here on does not matter
  }

  // MARK: What comes in

  package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    if state.phase == .closing || state.phase == .lingering { return }
    if input.readableBytes == 0 {
      input = bytes
    } else {
      input.writeBuffer(&bytes)
    }
    proceed(context)
  }

  /// Goes on as far as the input allows.
  private func proceed(_ context: ChannelHandlerContext) {
    // Whatever is answered at once comes back here; the loop that is running goes on with the next request.
    guard !isProceeding, place != nil else { return }
    isProceeding = true
    defer { isProceeding = false }
    do throws(Refusal) {
      while try step(context) {}
    } catch {
      return refuse(error, context)
    }
    if input.readableBytes == 0 { input = ByteBuffer() }  // an idle connection holds no memory
    if inputEnded { finishInput(context) }
    resumeReading(context)
  }

  /// Takes the next step with a request. False if something has to come or to happen first.
  private func step(_ context: ChannelHandlerContext) throws(Refusal) -> Bool {
    switch state.phase {
    case .idle:
      parser.skipEmptyLines(&input)
      // No answer is made for a client that does not take those it has.
      guard input.readableBytes > 0, context.channel.isWritable else { return false }
      state.requestBegan(at: context.eventLoop.now)
      place?.isIdle.store(false, ordering: .relaxed)
      return true
    case .head:
      guard let head = try parser.head(from: &input) else { return false }
      try begin(head, context)
      return true
    case .body:
      switch try parser.body(from: &input) {
      case .bytes(let bytes): try request?.take(bytes, settings, for: place?.subscriber)
      case .end: finish(context)
      case .needsMore:
        expectBody(context)
        return false
      }
      return true
    case .discarding:
      switch try parser.body(from: &input) {
      case .bytes: return true
      case .end: discarded(context)
      case .needsMore: return false
      }
      return true
    case .answering, .closing, .lingering: return false
    }
  }

  private func begin(_ head: RequestParser.Head, _ context: ChannelHandlerContext) throws(Refusal) {
    state.headEnded(isPersistent: head.isPersistent)
    if case .length(let length) = head.framing, length > BodyReader.maximumBody {
      request = IncomingRequest(head)
      throw .bodyTooLong
    }
    if settings.answers.isUsedUp(by: place?.subscriber), head.request.uri != "/api/health" {
      request = IncomingRequest(head)
      throw Refusal.overloaded("Too many responses wait to be read; nothing was done.", retryAfter: 1)
    }
    guard let service = settings.service, let candidate = service.candidate(head.request) else {
      request = IncomingRequest(head)
      return
    }
    switch service.admit(candidate, peer: peer) {
    case .admitted(let admitted): request = IncomingRequest(head, admitted)
    case .decline: request = IncomingRequest(head)
    case .answer(let answer):
      request = IncomingRequest(head)
      // A client that waits for word does not send the body now; then there is no telling what comes next.
      if head.expectsContinue { state.closeAfterAnswer() }
      send(answer, context)
    }
  }

  /// Tells a client that waits for word to go on.
  private func expectBody(_ context: ChannelHandlerContext) {
    guard !isContinued, request?.waitsForWord == true else { return }
    isContinued = true
    context.writeAndFlush(
      wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
  }

  /// The request is whole: it is answered here or passed on.
  private func finish(_ context: ChannelHandlerContext) {
    state.requestEnded(at: context.eventLoop.now)
    isContinued = false
    let body = request?.takeBody(settings, for: place?.subscriber) ?? ByteBuffer()
    guard let service = settings.service, let admitted = request?.admitted else { return passOn(body, context) }
    let here = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
    let step = service.begin(
      admitted, body: body.readableBytes == 0 ? [] : Array(body.readableBytesView), eventLoop: context.eventLoop
    ) { answer in
      let (handler, context) = here.value
      handler.send(answer, context)
      handler.proceed(context)
    }
    if case .answer(let answer) = step { send(answer, context) }
  }

  private func passOn(_ body: ByteBuffer, _ context: ChannelHandlerContext) {
    guard var head = request?.head.request else { return }
    // What concerns the connection is seen to here.
    if head.headers.contains(name: "connection") { head.headers.remove(name: "connection") }
    context.fireChannelRead(wrapInboundOut(.head(head)))
    if body.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(.body(body))) }
    context.fireChannelRead(wrapInboundOut(.end(nil)))
    context.fireChannelReadComplete()
    if inputEnded, input.readableBytes == 0 { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
  }

  private func discarded(_ context: ChannelHandlerContext) {
    state.discardingEnded(at: context.eventLoop.now)
    requestIsOver(context)
  }

  // MARK: What goes out

  private func send(_ answer: LedgerService.Answer, _ context: ChannelHandlerContext) {
    guard context.channel.isActive else { return }  // the client has gone; its outcome stands
    var head = answer.head
    if !state.isPersistent || request?.isOld == true { frame(&head) }
    state.answerStarted(at: context.eventLoop.now)
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    if !answer.body.isEmpty {
      let body = context.channel.allocator.buffer(bytes: answer.body)
      context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: counted(answer.body.count, nil, context))
    }
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    answered(context)
  }

  package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .head(var head):
      frame(&head)
      state.answerStarted(at: context.eventLoop.now)
      context.write(wrapOutboundOut(.head(head)), promise: promise)
    case .body(let body):
      context.write(data, promise: counted(body.readableBytes, promise, context))
    case .end:
      context.write(data, promise: promise)
      context.flush()  // what comes next may be long in coming
      answered(context)
      proceed(context)
    }
  }

  /// Counts a piece of an answer, in the budget for those that wait to be read if it is large.
  ///
  /// - Returns: what to write it with.
  private func counted(
    _ bytes: Int, _ promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext
  ) -> EventLoopPromise<Void>? {
    written += bytes
    guard bytes > settings.freeAnswer else { return promise }
    let read = promise ?? context.eventLoop.makePromise(of: Void.self)
    settings.answers.takeAnyway(bytes, for: place?.subscriber)
    read.futureResult.whenComplete { [answers = settings.answers, holder = place?.subscriber] _ in
      answers.giveBack(bytes, for: holder)
    }
    return read
  }

  /// Says in a response's head how its end is known and what becomes of the connection.
  private func frame(_ head: inout HTTPResponseHead) {
    let hasBody = head.status.mayHaveResponseBody && request?.head.request.method != .HEAD
    if !head.status.mayHaveResponseBody {
      head.headers.remove(name: "content-length")
    } else if hasBody, !head.headers.contains(name: "content-length") {
      if request?.isOld == true {
        // It ends with the connection: HTTP/1.0 knows nothing of chunks.
        head.version = .http1_0
        state.closeAfterAnswer()
      } else {
        head.headers.replaceOrAdd(name: "transfer-encoding", value: "chunked")
      }
    }
    if head.headers["connection"].contains("close") {
      state.closeAfterAnswer()
    } else if !state.isPersistent {
      head.headers.replaceOrAdd(name: "Connection", value: "close")
    } else if request?.isOld == true {
      head.headers.replaceOrAdd(name: "Connection", value: "keep-alive")
    }
  }

  /// An answer has been written to its end.
  private func answered(_ context: ChannelHandlerContext) {
    state.answerEnded(at: context.eventLoop.now)
    if state.phase == .discarding {
      _ = request?.takeBody(settings, for: place?.subscriber)
    } else {
      requestIsOver(context)
    }
  }

  private func dropRequest() {
    _ = request?.takeBody(settings, for: place?.subscriber)
    request = nil
    isContinued = false
  }

  private func requestIsOver(_ context: ChannelHandlerContext) {
    dropRequest()
    if state.phase == .closing {
      close(context)
    } else {
      place?.isIdle.store(true, ordering: .relaxed)
    }
  }

  /// Answers what cannot be read, or not to its end, and closes.
  private func refuse(_ refusal: Refusal, _ context: ChannelHandlerContext) {
    state.closeAfterAnswer()
    guard state.phase != .discarding else { return close(context) }  // the request has its answer
    let answer: LedgerService.Answer
    if let service = settings.service {
      service.charge(unfinished: request, from: peer)
      answer =
        request?.admitted.map { service.refuse($0, refusal) }
        ?? service.refuse(refusal, request?.head.request, from: peer)
    } else {
      answer = LedgerService.plainRefusal(refusal)
    }
    send(answer, context)
  }

  // MARK: Closing

  /// Closes as soon as everything is written.
  private func close(_ context: ChannelHandlerContext) {
    state.closingBegan(at: context.eventLoop.now)
    input = ByteBuffer()
    let flushed = context.eventLoop.makePromise(of: Void.self)
    flushed.futureResult.assumeIsolated().whenComplete { result in
      guard case .success = result, !self.inputEnded else { return context.close(promise: nil) }
      // A client that is still sending would lose the answer if the connection were closed at once.
      self.state.lingeringBegan(at: context.eventLoop.now)
      context.close(mode: .output, promise: nil)
      self.look(context)
      self.resumeReading(context)
    }
    context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer()))), promise: flushed)
  }

  package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    guard mode == .output else { return context.close(mode: mode, promise: promise) }
    // The rest of the server has read to the end of the input.
    promise?.succeed(())
    if state.phase == .idle { close(context) }
  }

  /// The client has sent all that it wants to.
  private func finishInput(_ context: ChannelHandlerContext) {
    switch state.phase {
    case .idle:
      if input.readableBytes == 0 { close(context) }
    case .head, .body: refuse(.badRequest("The request's body ended too early."), context)
    case .discarding: close(context)
    case .lingering: context.close(promise: nil)
    case .answering, .closing: break
    }
  }

  package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case ChannelEvent.inputClosed:
      inputEnded = true
      // Streams end when their client has had enough.
      if state.phase == .answering, request?.admitted == nil, input.readableBytes == 0 {
        context.fireUserInboundEventTriggered(event)
      }
      proceed(context)
    case is ChannelShouldQuiesceEvent:
      if state.stop(at: context.eventLoop.now) {
        close(context)
      } else {
        look(context)
      }
    case ChannelEvent.outputClosed: break  // by ourselves; the rest of the server need not know
    default: context.fireUserInboundEventTriggered(event)
    }
  }

  // MARK: Reading

  private var wantsInput: Bool {
    switch state.phase {
    case .head, .body, .discarding, .lingering: true
    // One more read while a request is under way, so that the client's going away is noticed.
    case .idle, .answering, .closing: input.readableBytes == 0
    }
  }

  package func read(context: ChannelHandlerContext) {
    if wantsInput && (context.channel.isWritable || state.phase == .lingering) {
      context.read()
    } else {
      isReadHeld = true
    }
  }

  package func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable { proceed(context) }
    context.fireChannelWritabilityChanged()
  }

  private func resumeReading(_ context: ChannelHandlerContext) {
    guard isReadHeld else { return }
    isReadHeld = false
    read(context: context)
  }

  // MARK: Deadlines

  /// Does what is due, and comes back when something may be.
  private func look(_ context: ChannelHandlerContext) {
    alarm?.cancel()
    alarm = nil
    guard place != nil else { return }
    let unsent = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    switch state.check(at: context.eventLoop.now, unsent: unsent, sent: written - unsent) {
    case .wait(let deadline):
      alarm = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.look(context) }
    case .refuse(let refusal): refuse(refusal, context)
    case .close: context.close(promise: nil)
    }
  }
}
