import API
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

/// A connection without the ledger's routes, over a channel without a socket, in time that passes when it is told to.
@Suite struct LedgerConnectionTests {
  private let channel: EmbeddedChannel
  private let connections = Connections(limits: .init(total: 2, perAddress: 2))

  init() throws {
    channel = EmbeddedChannel(
      handler: LedgerConnection(ConnectionSettings(connections: connections, bodyBytes: 200_000)))
    try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
  }

  private func receive(_ text: String) throws { try channel.writeInbound(ByteBuffer(string: text)) }

  /// What was passed on since the last look, each request as a line.
  private func passedOn() throws -> [String] {
    var lines: [String] = []
    while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
      switch part {
      case .head(let head): lines.append(head.uri)
      case .body(let bytes): lines[lines.count - 1] += " " + String(buffer: bytes)
      case .end: lines[lines.count - 1] += "."
      }
    }
    return lines
  }

  private func answer(_ status: HTTPResponseStatus = .ok, _ headers: HTTPHeaders = ["Content-Length": "0"]) throws {
    try channel.writeOutbound(
      HTTPServerResponsePart.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers)))
    try channel.writeOutbound(HTTPServerResponsePart.end(nil))
  }

  /// The heads that were written since the last look.
  private func written() throws -> [HTTPResponseHead] {
    var heads: [HTTPResponseHead] = []
    while let part = try channel.readOutbound(as: HTTPServerResponsePart.self) {
      if case .head(let head) = part { heads.append(head) }
    }
    return heads
  }

  private static func get(_ path: String, _ rest: String = "") -> String {
    "GET \(path) HTTP/1.1\r\nHost: a\r\n\(rest)\r\n"
  }

  private static func post(_ path: String, length: Int, _ rest: String = "") -> String {
    "POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\(rest)\r\n"
  }

  @Test func requestsArePassedOnWholeAndOneAtATime() throws {
    try receive(Self.post("/a", length: 6) + "abc")
    #expect(try passedOn() == [])
    try receive("def" + Self.get("/b") + Self.get("/c"))
    #expect(try passedOn() == ["/a abcdef."])
    try answer()
    #expect(try passedOn() == ["/b."])
    try answer()
    #expect(try passedOn() == ["/c."])
    try answer()
    #expect(try written().count == 3 && channel.isActive)
  }

  @Test func emptyLinesBeforeARequestMayComeInPieces() throws {
    for piece in ["\r", "\n\r\n\r", "\n" + Self.get("/a")] { try receive(piece) }
    #expect(try passedOn() == ["/a."])
  }

  @Test func nothingIsAnsweredAfterTheLastRequest() throws {
    try receive(Self.get("/a", "Connection: close\r\n") + Self.get("/b"))
    #expect(try passedOn() == ["/a."])
    try answer()
    #expect(try passedOn() == [])
    let heads = try written()
    #expect(heads.count == 1 && heads[0].headers["connection"] == ["close"])
    try receive(Self.get("/c"))
    channel.embeddedEventLoop.advanceTime(by: .seconds(2))
    #expect(try passedOn() == [] && !channel.isActive && connections.count == 0)
  }

  @Test func aClientThatWaitsIsToldToGoOn() throws {
    try receive(Self.post("/a", length: 3, "Expect: 100-continue\r\n"))
    #expect(try written().map(\.status) == [.continue])
    try receive("a")
    try receive("bc")
    #expect(try passedOn() == ["/a abc."] && written().isEmpty)
    try answer()
    try receive(Self.post("/b", length: 3, "Expect: 100-continue\r\n") + "abc")
    #expect(try passedOn() == ["/b abc."] && written().map(\.status) == [.ok])
  }

  @Test(arguments: [
    ("GET /a HT", 10, 408), ("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", 30, 408),
    ("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 30, 408), ("", 10, nil),
    ("\r\n", 10, nil),
  ])
  func halfARequestHasItsTime(_ text: String, _ seconds: Int64, _ status: Int?) throws {
    try receive(text)
    channel.embeddedEventLoop.advanceTime(by: .seconds(seconds) - .milliseconds(1))
    #expect(try written().isEmpty && channel.isActive)
    channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
    let heads = try written()
    #expect(heads.map { Int($0.status.code) } == (status.map { [$0] } ?? []))
    #expect(heads.allSatisfy { $0.headers["connection"] == ["close"] })
    channel.embeddedEventLoop.advanceTime(by: .seconds(2))
    #expect(!channel.isActive)
  }

  @Test func aClientHas75SecondsBetweenTwoRequests() throws {
    for path in ["/a", "/b"] {
      try receive(Self.get(path))
      try answer()
      channel.embeddedEventLoop.advanceTime(by: .seconds(75) - .milliseconds(1))
      #expect(channel.isActive)
    }
    channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
    #expect(try !channel.isActive && connections.count == 0 && written().count == 2)
  }

  @Test func bodiesAreBoundedTogether() throws {
    try receive(Self.post("/a", length: 200_000) + String(repeating: "x", count: 116_000))
    #expect(try written().isEmpty)
    try receive(String(repeating: "x", count: 1000))
    #expect(try written().map(\.status) == [.serviceUnavailable] && passedOn() == [])
  }

  @Test(arguments: [
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2097153\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\nExpect: 100-continue\r\n\r\n",
  ])
  func aBodyThatIsTooLongIsNotWaitedFor(_ text: String) throws {
    try receive(text)
    #expect(try written().map(\.status) == [.payloadTooLarge] && passedOn() == [])
  }

  @Test func anOldClientGetsNoChunks() throws {
    try receive("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    #expect(try passedOn() == ["/a."])
    try answer()
    #expect(try written().map { $0.headers["connection"] } == [["keep-alive"]])
    try receive("GET /b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    try answer(.ok, [:])
    let heads = try written()
    #expect(heads.count == 1 && heads[0].headers["connection"] == ["close"])
    #expect(heads[0].version == .http1_0 && !heads[0].headers.contains(name: "transfer-encoding"))
  }

  @Test func whenTheServerStopsAnIdleConnectionClosesAndABusyOneIsAnswered() throws {
    try receive(Self.get("/a") + Self.get("/b"))
    channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
    #expect(try passedOn() == ["/a."] && channel.isActive)
    try answer()
    #expect(try written().map { $0.headers["connection"] } == [["close"]] && passedOn() == [])
    channel.embeddedEventLoop.advanceTime(by: .seconds(2))
    #expect(!channel.isActive)
  }

  @Test func aFullServerClosesNewConnectionsAtOnce() throws {
    try receive(Self.get("/a"))
    let second = EmbeddedChannel(handler: LedgerConnection(ConnectionSettings(connections: connections)))
    try second.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 2)).wait()
    try second.writeInbound(ByteBuffer(string: Self.get("/a")))
    let third = EmbeddedChannel(handler: LedgerConnection(ConnectionSettings(connections: connections)))
    try third.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 3)).wait()
    #expect(!third.isActive && channel.isActive && second.isActive)
    _ = try second.finish(acceptAlreadyClosed: true)
  }
}
