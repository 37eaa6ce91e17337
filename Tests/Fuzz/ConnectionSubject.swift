import API
import NIOCore
import NIOEmbedded
import NIOHTTP1

/// Connections, without sockets, in time that passes when it is told to: however the bytes of the requests are cut, the
/// same requests are passed on and get the same answers; nothing is answered twice or after the last answer; and however a
/// connection ends, it ends in time and gives back what it held.
struct ConnectionSubject: Subject {
  let name = "connection"
  let tokens =
    RequestSubject().tokens + [
      "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
      "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ]

  /// What happens to a connection beside the bytes that come in.
  private struct Course {
    var step = Int.max
    /// The piece after which the server stops.
    var stopsAfter = Int.max
    /// Whether requests are answered only when all has come.
    var answersLate = false
    /// Whether the client closes its side when it has sent all.
    var halfCloses = false
    /// Whether the client goes away when it has sent all.
    var goesAway = false
  }

  /// What became of it.
  private struct Result: Equatable {
    var requests: [String] = []
    var statuses: [UInt] = []
    var answers = 0
    /// Whether the last request has no answer yet.
    var isOpen = false

    static func == (a: Self, b: Self) -> Bool { a.requests == b.requests && a.statuses == b.statuses }
  }

  func check(_ input: [UInt8]) throws -> Bool {
    let whole = try run(input, Course())
    for step in [1, 7, 100] {
      let pieces = try run(input, Course(step: step))
      try expect(pieces == whole, "\(step) bytes at a time give \(pieces), not \(whole)")
    }
    let late = try run(input, Course(step: 7, answersLate: true))
    try expect(late == whole, "late answers give \(late), not \(whole)")
    let ended = try run(input, Course(step: 100, halfCloses: true))
    try expect(ended.requests == whole.requests, "a client that half-closes gets \(ended), not \(whole)")
    _ = try run(input, Course(step: 7, stopsAfter: input.count / 14))
    _ = try run(input, Course(step: 7, stopsAfter: input.count / 14, answersLate: true))
    _ = try run(input, Course(step: 100, answersLate: true, goesAway: true))
    return !whole.requests.isEmpty
  }

  private func run(_ input: [UInt8], _ course: Course) throws -> Result {
    let connections = Connections(limits: .init(total: 1, perAddress: 1))
    let settings = ConnectionSettings(connections: connections)
    let channel = EmbeddedChannel(handler: LedgerConnection(settings))
    try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
    var result = Result()
    var rest = input[...]
    var pieces = 0
    while !rest.isEmpty, channel.isActive {
      let piece = rest.prefix(course.step)
      rest = rest.dropFirst(piece.count)
      try channel.writeInbound(ByteBuffer(bytes: piece))
      repeat { try collect(channel, &result) } while try !course.answersLate && answer(channel, &result)
      if pieces == course.stopsAfter { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
      pieces += 1
    }
    if course.halfCloses, channel.isActive { channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
    if course.goesAway {
      _ = try channel.finish(acceptAlreadyClosed: true)
    } else {
      repeat { try collect(channel, &result) } while try answer(channel, &result)
      channel.embeddedEventLoop.advanceTime(by: .minutes(2))
      try collect(channel, &result)
      try expect(!channel.isActive, "a connection stays open for two minutes after all was answered")
    }
    try expect(connections.count == 0, "a connection that is closed keeps its place")
    try expect(settings.heldBytes == 0, "a connection that is closed holds \(settings.heldBytes) bytes")
    return result
  }

  /// Takes note of what was passed on and what was answered.
  private func collect(_ channel: EmbeddedChannel, _ result: inout Result) throws {
    while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
      switch part {
      case .head(let head):
        try expect(!result.isOpen, "a request is passed on before the one before it has its answer")
        result.requests.append("\(head.method) \(head.uri) ")
        result.isOpen = true
      case .body(let bytes): result.requests[result.requests.count - 1] += String(buffer: bytes)
      case .end: result.requests[result.requests.count - 1] += "."
      }
    }
    while let part = try channel.readOutbound(as: HTTPServerResponsePart.self) {
      guard case .head(let head) = part, head.status != .continue else { continue }
      result.answers += 1
      try expect(result.answers <= result.requests.count + 1, "there are more answers than requests: \(result)")
      // Half an empty line is half a head, of which a client is told, and a whole one is nothing.
      if head.status != .requestTimeout { result.statuses.append(head.status.code) }
    }
    try expect(result.requests.allSatisfy { $0.hasSuffix(".") }, "a request is passed on in part")
  }

  /// Answers the request that was passed on last. False if there is none, or nobody to answer.
  private func answer(_ channel: EmbeddedChannel, _ result: inout Result) throws -> Bool {
    guard result.isOpen, channel.isActive else { return false }
    result.isOpen = false
    try channel.writeOutbound(
      HTTPServerResponsePart.head(HTTPResponseHead(version: .http1_1, status: .ok)))
    try channel.writeOutbound(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: "ok"))))
    try channel.writeOutbound(HTTPServerResponsePart.end(nil))
    return true
  }
}
