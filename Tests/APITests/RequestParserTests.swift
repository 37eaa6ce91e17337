import API
import Ledger
import NIOCore
import NIOHTTP1
import Testing

@Suite struct RequestParserTests {
  /// What a connection that received exactly `text` would see: each request as a line, then what is wrong, if anything.
  private static func read(_ text: some Sequence<UInt8>, by step: Int = .max) -> [String] {
    var parser = RequestParser()
    var buffer = ByteBuffer()
    var lines: [String] = []
    var rest = Array(text)[...]
    var body: [UInt8]?
    do throws(Refusal) {
      while true {
        var isStuck = false
        if body == nil {
          if let head = try parser.head(from: &buffer) {
            lines.append("\(head.request.method.rawValue) \(head.request.uri)\(head.isPersistent ? "" : " closes")")
            body = []
          } else {
            isStuck = true
          }
        } else {
          switch try parser.body(from: &buffer) {
          case .bytes(let bytes): body?.append(contentsOf: bytes.readableBytesView)
          case .needsMore: isStuck = true
          case .end:
            if body?.isEmpty == false { lines.append(String(decoding: body ?? [], as: UTF8.self)) }
            body = nil
          }
        }
        if isStuck {
          guard !rest.isEmpty else { break }
          buffer.writeBytes(rest.prefix(step))
          rest = rest.dropFirst(step)
        }
      }
      if body != nil || buffer.readableBytes > 0 { lines.append("…") }
    } catch {
      lines.append(String(error.status))
    }
    return lines
  }

  private static func read(_ text: String) -> [String] { read(text.utf8) }

  @Test(arguments: [
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", ["GET /"]),
    ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n", ["GET /", "GET /b"]),
    ("GET /?q=Zoë#x HTTP/1.1\r\nhost:a\r\n\r\n", ["GET /?q=Zo%C3%AB#x"]),
    ("GET http://a:80/b?c HTTP/1.1\r\nHost: a\r\n\r\n", ["GET /b?c"]),
    ("GET HTTPS://a?c HTTP/1.1\r\nHost: a\r\n\r\n", ["GET /?c"]),
    ("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", ["GET /"]),
    ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ["OPTIONS *"]),
    ("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", ["BREW /pot"]),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: TE, Close\r\n\r\n", ["GET / closes"]),
    ("GET / HTTP/1.0\r\n\r\n", ["GET / closes"]),
    ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", ["GET /"]),
    (
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
      ["GET /", "GET /b"]
    ),
    ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n", ["CONNECT a:1", "GET /b"]),
    (
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
      ["POST /", "abc", "GET /"]
    ),
    (
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nT: t\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
      ["POST /", "abc0123456789", "GET /"]
    ),
  ])
  func goodRequests(_ text: String, _ expected: [String]) {
    #expect(Self.read(text) == expected)
    for step in 1...5 { #expect(Self.read(text.utf8, by: step) == expected, "\(step) bytes at a time") }
  }

  @Test(arguments: [
    ("\u{16}\u{3}\u{1}", "400"), ("GET", "…"), ("GET\r\n\r\n", "400"), ("GET /\r\n\r\n", "400"),
    ("nonsense\r\n\r\n", "400"),
    ("GET / HTTP/9\r\n\r\n", "400"), ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "400"), ("PRI * HTTP/2.0\r\n\r\n", "400"),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400"), ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ("GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n", "400"), ("G\u{e9}T / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ("GET / HTTP/1.1\nHost: a\n\n", "400"), ("GET / HTTP/1.1\r\nHost: a\n\r\n", "400"),
    ("GET / HTTP/1.1\r\n\r\n", "400"), ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"),
    ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400"), ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", "400"), ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHost: a\r\nA: \u{0}\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", "400"), ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", "400"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
    ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
    ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 2\r\n\r\n", "417"),
  ])
  func badHeads(_ text: String, _ expected: String) {
    #expect(Self.read(text) == [expected])
    #expect(Self.read(text.utf8, by: 1) == [expected])
  }

  @Test(arguments: [
    "x\r\n", "-1\r\n", "\r\n", "0x3\r\nabc\r\n", "3\r\nabcd\r\n", "3\nabc\r\n", "123456789\r\n",
    "3;" + String(repeating: "x", count: 300),
  ])
  func badChunks(_ chunks: String) {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    #expect(Self.read(head + chunks).last == "400")
    #expect(Self.read((head + chunks).utf8, by: 1).last == "400")
  }

  @Test func bytesThatAreNotUTF8AreKeptAsTheyAre() {
    let bytes = Array("GET /?q=".utf8) + [0xC3, 0x20] + Array("HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
    #expect(Self.read(bytes) == ["GET /?q=%C3"])
  }

  @Test func headsAreBounded() {
    let start = "GET / HTTP/1.1\r\nHost: a\r\n"
    let most = RequestParser.maximumHead - start.utf8.count - "A: \r\n\r\n".utf8.count
    #expect(RequestParser.maximumHead == 112 << 10 && RequestParser.maximumFields == 256)
    for step in [1000, .max] {
      let head = { Array((start + "A: " + String(repeating: "x", count: $0) + "\r\n\r\n").utf8) }
      #expect(Self.read(head(most), by: step) == ["GET /"])
      #expect(Self.read(head(most + 1), by: step) == ["431"])
    }
    #expect(Self.read(start + String(repeating: "A: b\r\n", count: 255) + "\r\n") == ["GET /"])
    #expect(Self.read(start + String(repeating: "A: b\r\n", count: 256) + "\r\n") == ["431"])
    #expect(Self.read(start + "A: " + String(repeating: "x", count: 120_000)) == ["431"])
    #expect(Self.read(start + "A: " + String(repeating: "x", count: 120_000) + "\r\n\r\n") == ["431"])
    #expect(
      Self.read(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
          + String(repeating: "A: b\r\n", count: 3000)
      ).last == "400")
  }

  @Test func aLengthBeyondReasonIsStillALength() throws {
    for digits in ["9999999999999999999", "999999999999999999999999999999999999"] {
      var parser = RequestParser()
      var buffer = ByteBuffer(string: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(digits)\r\n\r\n")
      let head = try #require(try parser.head(from: &buffer))
      guard case .length(let length) = head.framing else { throw Refusal(500, "no length") }
      #expect(length > 1 << 60)
    }
  }

  /// Whatever comes, in whatever pieces, is read the same way, and nothing traps.
  @Test func randomPieces() {
    let pieces = [
      "GET ", "POST ", "/", "/api/ints?x=1", " HTTP/1.1\r\n", " HTTP/1.0\r\n", "Host: a\r\n", "\r\n", "\n", "\r",
      "Content-Length: 3\r\n",
      "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "Expect: 100-continue\r\n", "abc", "3\r\n", "0\r\n",
      ":", " ", "é", "\u{0}", "Upgrade: x\r\n",
    ]
    var random = SystemRandomNumberGenerator()
    for _ in 0..<3000 {
      let text = (0..<Int.random(in: 1...24, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }
        .joined()
      let whole = Self.read(text)
      let parts = Self.read(text.utf8, by: Int.random(in: 1...7, using: &random))
      // What is wrong may be noticed earlier or later, but it is the same requests up to there.
      #expect(
        whole.last == parts.last
          && whole.dropLast().filter { $0.contains(" ") } == parts.dropLast().filter { $0.contains(" ") },
        "\(text.debugDescription)")
    }
  }
}
