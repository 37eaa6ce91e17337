import HTTPClient
import Ledger
import NIOCore
import NIOPosix
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct HTTPSenderTests {
  private let sender = HTTPSender(mostRequests: 2)

  private func request(_ server: ScriptedServer) -> HTTPSender.Request {
    var request = HTTPSender.Request(
      url: "http://hooks.example:\(server.port)/a/../b", connectTime: .seconds(60), timeLimit: .whole(.seconds(60)),
      longestBody: 10)
    request.address = NetworkAddress("127.0.0.1")
    request.body = ScriptedServer.body
    return request
  }

  private static func ok(_ body: String) -> String {
    "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  @Test func nothingIsSentThatWasNotAskedFor() async throws {
    let server = try await ScriptedServer { _, _ in Self.ok("") }
    var request = request(server)
    request.headers = [("X-Test", "1"), ("X-Empty", "")]
    #expect(try await sender.send(request).status == 200)
    let lines = try #require(server.requests.first).split(separator: "\r\n").map(String.init)
    #expect(lines[0] == "POST /a/../b HTTP/1.1")
    #expect(
      Set(lines[1...]) == ["Host: hooks.example:\(server.port)", "X-Test: 1", "X-Empty:", "Content-Length: 2", "{}"])
    request.headers = [("X-Test", "1\r\nX-Other: 2")]
    await #expect(throws: HTTPFailure.notSent) { try await sender.send(request) }
    #expect(server.requests.count == 1)
    sender.shutDown()
    try await server.stop()
  }

  /// The receiver closes a kept connection as the next request comes.
  @Test func aRequestThatMeetsTheEndOfAKeptConnectionIsSentOnAnother() async throws {
    let server = try await ScriptedServer { connection, request in
      (connection, request) == (1, 2) ? nil : Self.ok("\(connection)")
    }
    #expect(try await sender.send(request(server)).body == Array("1".utf8))
    #expect(try await sender.send(request(server)).body == Array("2".utf8))
    #expect(server.requests.count == 3)
    sender.shutDown()
    try await server.stop()
  }

  /// It may have been taken, so it is for the caller to decide.
  @Test func aRequestOnANewConnectionIsSentOnce() async throws {
    let server = try await ScriptedServer { _, _ in nil }
    await #expect(throws: HTTPFailure.closed) { try await sender.send(request(server)) }
    #expect(server.requests.count == 1)
    sender.shutDown()
    try await server.stop()
  }

  /// The same host, at another address: nothing listens there, whatever is kept.
  @Test func aKeptConnectionIsOfOneAddress() async throws {
    let server = try await ScriptedServer { _, _ in Self.ok("") }
    var request = request(server)
    _ = try await sender.send(request)
    request.address = NetworkAddress("127.255.255.1")
    await #expect(throws: HTTPFailure.self) { try await sender.send(request) }
    #expect(server.requests.count == 1)
    sender.shutDown()
    try await server.stop()
  }

  @Test(arguments: [
    ("HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" + ok("x"), "x", nil),
    ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "x", HTTPFailure.closed),
    (ok("0123456789"), "0123456789", nil),
    (ok("0123456789a"), "0123456789", HTTPFailure.tooLong(10)),
  ])
  func aBodyIsReadAsFarAsItComes(_ answer: String, body: String, failure: HTTPFailure?) async throws {
    let server = try await ScriptedServer { _, _ in answer + ScriptedServer.end }
    let response = try await sender.send(request(server))
    #expect(response.status == 200 && response.body == Array(body.utf8) && response.failure == failure)
    sender.shutDown()
    try await server.stop()
  }

  @Test(arguments: [
    ("HTTP/1.1 103 Early Hints\r\n\r\n", HTTPFailure.closed), ("HTTP/1.1 200 OK\r\nContent-Le", HTTPFailure.closed),
    ("HTTP/1.1 200 OK\r\nX: \(String(repeating: "x", count: 200_000))\r\n\r\n", HTTPFailure.notHTTP),
    ("HTTP/1.1 200 OK\r\n" + String(repeating: "X: \(String(repeating: "x", count: 99))\r\n", count: 2000), .notHTTP),
    ("no HTTP\r\n\r\n", HTTPFailure.notHTTP),
  ])
  func withoutAHeadThereIsNoResponse(_ answer: String, failure: HTTPFailure) async throws {
    let server = try await ScriptedServer { _, _ in answer + ScriptedServer.end }
    await #expect(throws: failure) { try await sender.send(request(server)) }
    sender.shutDown()
    try await server.stop()
  }

  /// A receiver that accepts connections and does not speak TLS.
  @Test func aHandshakeHasItsTime() async throws {
    let server = try await ScriptedServer { _, _ in "" }
    var request = HTTPSender.Request(
      url: "https://hooks.example:\(server.port)/", connectTime: .seconds(2), timeLimit: .whole(.seconds(60)),
      longestBody: 10)
    request.address = NetworkAddress("127.0.0.1")
    let failure = await #expect(throws: HTTPFailure.self) { try await sender.send(request) }
    #expect(failure?.description == "the TLS connection could not be made in time")
    sender.shutDown()
    try await server.stop()
  }

  @Test func aRequestThatIsCancelledEndsItsConnection() async throws {
    let server = try await ScriptedServer { _, _ in "" }
    let request = request(server)
    let task = Task { [sender] in try await sender.send(request) }
    try await server.until { $0.requests.count == 1 }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    try await server.until { $0.open == 0 }
    sender.shutDown()
    try await server.stop()
  }

  @Test func requestsAreBoundedAndEndWithTheSender() async throws {
    let server = try await ScriptedServer { _, _ in "" }
    let request = request(server)
    let tasks = (1...2).map { _ in Task { [sender] in try await sender.send(request) } }
    try await server.until { $0.requests.count == 2 }
    await #expect(throws: HTTPFailure.tooMany) { try await sender.send(request) }
    sender.shutDown()
    for task in tasks { await #expect(throws: HTTPFailure.shutDown) { try await task.value } }
    try await server.until { $0.open == 0 }
    await #expect(throws: HTTPFailure.shutDown) { try await sender.send(request) }
    try await server.stop()
  }
}

/// Answers on 127.0.0.1 as a script says, byte by byte.
private final class ScriptedServer: Sendable {
  /// The text for a request by the numbers of its connection and of the request on it; nil to close the connection.
  typealias Script = @Sendable (_ connection: Int, _ request: Int) -> String?
  /// What requests have to post.
  static let body = Array("{}".utf8)
  /// After this in a script's text the connection is closed.
  static let end = "\u{4}"

  private struct State {
    var requests: [String] = []
    var connections = 0
    var open = 0
  }

  private let channel: any Channel
  private let log: Log

  private final class Log: Sendable { let state = Mutex(State()) }

  init(_ script: @escaping Script) async throws {
    let log = Log()
    self.log = log
    channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Handler(log: log, script: script))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
  }

  var port: Int { channel.localAddress?.port ?? 0 }
  var requests: [String] { log.state.withLock { $0.requests } }
  var open: Int { log.state.withLock { $0.open } }

  func until(_ condition: (ScriptedServer) -> Bool) async throws {
    while !condition(self) { try await Task.sleep(for: .milliseconds(5)) }
  }

  func stop() async throws { try await channel.close() }

  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let log: Log
    private let script: Script
    private var connection = 0
    private var count = 0
    private var text = ""

    init(log: Log, script: @escaping Script) {
      self.log = log
      self.script = script
    }

    func channelActive(context: ChannelHandlerContext) {
      connection = log.state.withLock { state in
        state.open += 1
        state.connections += 1
        return state.connections
      }
    }

    func channelInactive(context: ChannelHandlerContext) { log.state.withLock { $0.open -= 1 } }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      text += String(buffer: unwrapInboundIn(data))
      guard text.hasSuffix("\r\n\r\n{}") else { return }
      count += 1
      log.state.withLock { $0.requests.append(text) }
      text = ""
      guard let answer = script(connection, count) else { return context.close(promise: nil) }
      let ends = answer.hasSuffix(ScriptedServer.end)
      let written = context.writeAndFlush(NIOAny(ByteBuffer(string: ends ? String(answer.dropLast()) : answer)))
      if ends { written.assumeIsolated().whenComplete { _ in context.close(promise: nil) } }
    }
  }
}
