import API
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

/// What a parser makes of bytes that come by way of a ``TargetEncoder``.
private final class Parsed: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart

  struct Message: Equatable {
    var target: String
    var header: String?
    var body: [UInt8] = []
  }

  private let position: MessagePosition
  var messages: [Message] = []
  var errors: [HTTPParserError] = []

  init(_ position: MessagePosition) { self.position = position }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let part = unwrapInboundIn(data)
    position.note(part)
    switch part {
    case .head(let head): messages.append(Message(target: head.uri, header: head.headers.first(name: "x-name")))
    case .body(let bytes): messages[messages.count - 1].body += Array(bytes.readableBytesView)
    case .end: break
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if let error = error as? HTTPParserError { errors.append(error) }
  }
}

@Suite struct TargetEncoderTests {
  private func parse(_ pieces: [[UInt8]]) throws -> (messages: [Parsed.Message], errors: [HTTPParserError]) {
    let position = MessagePosition()
    let parsed = Parsed(position)
    let channel = EmbeddedChannel(
      handlers: [TargetEncoder(position), ByteToMessageHandler(HTTPRequestDecoder()), parsed])
    for piece in pieces { try channel.writeInbound(ByteBuffer(bytes: piece)) }
    _ = try? channel.finish()
    return (parsed.messages, parsed.errors)
  }

  /// Bytes that look like requests and are none, in every place where there may be any bytes.
  private static let body = "\r\n\r\nGET /ë HTTP/1.1\r\n\r\n"
  private static let stream = [
    "GET /ë?seed=Zoë HTTP/1.1\r\nHost: a\r\nX-Name: ë\r\n\r\n",
    "\r\nPOST /p?ü HTTP/1.1\r\nHost: a\r\nX-Name: ü\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)",
    "POST /q?漢 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "GET /r HTTP/1.1\r\nHost: a\r\nX-Name: 漢\r\n\r\n",
    "POST /s?é HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n"
      + "\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n",
    "GET /t HTTP/1.1\r\nHost: a\r\nX-Name: é\r\n\r\n",
  ].joined()

  private static let expected: [Parsed.Message] = [
    .init(target: "/%C3%AB?seed=Zo%C3%AB", header: "ë"),
    .init(target: "/p?%C3%BC", header: "ü", body: Array(body.utf8)),
    .init(target: "/q?%E6%BC%A2"), .init(target: "/r", header: "漢"), .init(target: "/s?%C3%A9", body: Array(body.utf8)),
    .init(target: "/t", header: "é"),
  ]

  @Test func onlyTargetsAreEncodedHoweverTheBytesAreCut() throws {
    let bytes = Array(Self.stream.utf8)
    for size in [1, 2, 3, 7, bytes.count] {
      let pieces = stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
      let (messages, errors) = try parse(pieces)
      #expect(messages == Self.expected, "in pieces of \(size)")
      #expect(errors.isEmpty)
    }
    for cut in bytes.indices.dropFirst() {
      let (messages, errors) = try parse([Array(bytes[..<cut]), Array(bytes[cut...])])
      #expect(messages == Self.expected && errors.isEmpty, "cut at \(cut)")
    }
  }

  @Test func aRequestThatComesAfterABodyWithoutALengthIsEncoded() throws {
    let bytes = Array(Self.stream.utf8)
    for size in [5, bytes.count] {
      let pieces = stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
      let (messages, errors) = try parse(pieces + [Array("GET /\u{1F3B2} HTTP/1.1\r\nHost: a\r\n\r\n".utf8)])
      #expect(messages.last?.target == "/%F0%9F%8E%B2" && errors.isEmpty)
    }
  }

  @Test func bytesThatAreNotUTF8AreEncodedToo() throws {
    let (messages, _) = try parse([Array("GET /?a=".utf8) + [0xFF, 0x80] + Array(" HTTP/1.1\r\nHost: a\r\n\r\n".utf8)])
    #expect(messages.map(\.target) == ["/?a=%FF%80"])
  }

  @Test(arguments: [
    "GËT / HTTP/1.1\r\n\r\n", "ë\r\n\r\n", "GET / HTTP/1.1\r\nË: a\r\n\r\n", "GET /\u{1}ë HTTP/1.1\r\n\r\n",
  ])
  func whatIsNoRequestStaysNone(text: String) throws {
    let (messages, errors) = try parse([Array(text.utf8)])
    #expect(messages.isEmpty && errors.count == 1)
  }
}
