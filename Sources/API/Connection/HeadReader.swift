import Ledger
import NIOHTTP1

/// Takes the complete head of one request apart, its empty line included.
struct HeadReader {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0

  private var fields: [(String, String)] = []
  private var hosts = 0
  private var length: Int?
  private var isChunked = false
  private var expectation: String?
  private var closes = false
  private var keepsAlive = false

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  mutating func read() throws(Refusal) -> RequestParser.Head {
    let (method, target, version) = try requestLine()
    fields.reserveCapacity(16)
    while try field() {}
    let isOld = version == .http1_0
    if hosts > 1 || hosts == 0 && !isOld {
      throw .badRequest("An HTTP/1.1 request must have one Host header.")
    }
    if let expectation, !isOld, expectation != "100-continue" {
      throw Refusal(417, "This server supports no Expect other than 100-continue.", code: .expectationFailed)
    }
    if isChunked, isOld || length != nil { throw .badFraming }
    return RequestParser.Head(
      request: HTTPRequestHead(version: version, method: method, uri: target, headers: HTTPHeaders(fields)),
      framing: isChunked ? .chunked : .length(length ?? 0),
      isPersistent: !closes && (!isOld || keepsAlive),
      expectsContinue: expectation != nil && !isOld)
  }

  // MARK: The request line

  private mutating func requestLine() throws(Refusal) -> (HTTPMethod, target: String, HTTPVersion) {
    let line = nextLine()
    guard let methodEnd = line.firstIndex(of: 0x20), methodEnd > line.startIndex,
      methodEnd - line.startIndex <= RequestParser.longestMethod,
      line[..<methodEnd].allSatisfy(isToken),
      let targetEnd = line[(methodEnd + 1)...].firstIndex(of: 0x20), targetEnd > methodEnd + 1
    else { throw .notHTTP }
    let target = try target(bytes[(methodEnd + 1)..<targetEnd])
    return (method(bytes[line.startIndex..<methodEnd]), target, try version(bytes[(targetEnd + 1)..<line.endIndex]))
  }

  private func method(_ bytes: Slice<UnsafeRawBufferPointer>) -> HTTPMethod {
    if bytes.elementsEqual("GET".utf8) { return .GET }
    if bytes.elementsEqual("POST".utf8) { return .POST }
    return HTTPMethod(rawValue: String(decoding: bytes, as: UTF8.self))
  }

  /// The target as it was sent, its bytes above ASCII percent-encoded, as they should have been; of an absolute one
  /// (`http://host/path`) what follows the host.
  private func target(_ bytes: Slice<UnsafeRawBufferPointer>) throws(Refusal) -> String {
    guard bytes.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { throw .notHTTP }
    let text: String
    if bytes.allSatisfy({ $0 < 0x80 }) {
      text = String(decoding: bytes, as: UTF8.self)
    } else {
      var encoded: [UInt8] = []
      for byte in bytes { if byte < 0x80 { encoded.append(byte) } else { encoded.append(percentEncoded: byte) } }
      text = String(decoding: encoded, as: UTF8.self)
    }
    return bytes.first == UInt8(ascii: "/") ? text : Target.originForm(text) ?? text
  }

  private func version(_ bytes: Slice<UnsafeRawBufferPointer>) throws(Refusal) -> HTTPVersion {
    guard bytes.count == 8, bytes.starts(with: "HTTP/".utf8) else { throw .notHTTP }
    let major = bytes[bytes.startIndex + 5]
    let minor = bytes[bytes.startIndex + 7]
    let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    guard digits.contains(major), digits.contains(minor), bytes[bytes.startIndex + 6] == UInt8(ascii: ".") else {
      throw .notHTTP
    }
    guard major == UInt8(ascii: "1") else { throw .notHTTP }
    return minor == UInt8(ascii: "0") ? .http1_0 : .http1_1
  }

  // MARK: Fields

  /// Reads one field. False at the empty line.
  private mutating func field() throws(Refusal) -> Bool {
    let line = nextLine()
    guard !line.isEmpty else { return false }
    guard fields.count < RequestParser.maximumFields else { throw .headTooLong }
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
      line[..<colon].allSatisfy(isToken)
    else { throw .badRequest("This is not an HTTP/1.1 request: a header is not a name, a colon and a value.") }
    var start = colon + 1
    var end = line.endIndex
    while start < end, Self.isBlank(bytes[start]) { start += 1 }
    while start < end, Self.isBlank(bytes[end - 1]) { end -= 1 }
    let value = bytes[start..<end]
    guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
      throw .badRequest("This is not an HTTP/1.1 request: a header has control characters in its value.")
    }
    let name = line[..<colon]
    try interpret(name, value)
    fields.append((String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)))
    return true
  }

  /// Takes note of what says how long the request is and what becomes of the connection.
  private mutating func interpret(
    _ name: Slice<UnsafeRawBufferPointer>, _ value: Slice<UnsafeRawBufferPointer>
  ) throws(Refusal) {
    // The length tells most of them apart.
    switch name.count {
    case 4 where name.elementsEqual("host".utf8, by: Self.isSame):
      hosts += 1
      guard value.allSatisfy(Self.isHost) else { throw .badRequest("The Host header is not a host.") }
    case 6 where name.elementsEqual("expect".utf8, by: Self.isSame):
      expectation = String(decoding: value, as: UTF8.self).lowercased()
    case 10 where name.elementsEqual("connection".utf8, by: Self.isSame):
      for option in value.split(separator: UInt8(ascii: ",")) {
        let option = option.drop(while: Self.isBlank)
        let word = option.prefix { !Self.isBlank($0) }
        closes = closes || word.elementsEqual("close".utf8, by: Self.isSame)
        keepsAlive = keepsAlive || word.elementsEqual("keep-alive".utf8, by: Self.isSame)
      }
    case 14 where name.elementsEqual("content-length".utf8, by: Self.isSame):
      guard length == nil else { throw .badFraming }
      length = try Self.number(value)
    case 17 where name.elementsEqual("transfer-encoding".utf8, by: Self.isSame):
      guard !isChunked else { throw .badFraming }
      guard value.elementsEqual("chunked".utf8, by: Self.isSame) else {
        throw Refusal(501, "This server supports no transfer coding other than chunked.", code: .notImplemented)
      }
      isChunked = true
    default: break
    }
  }

  // MARK: Bytes

  /// The next line without its end. There is one: the head is complete, and ends with an empty line.
  private mutating func nextLine() -> Slice<UnsafeRawBufferPointer> {
    var end = position
    while bytes[end] != 0x0A { end += 1 }
    defer { position = end + 1 }
    return bytes[position..<(end - 1)]
  }

  /// Any number of digits, since a number that is too large is a length all the same.
  private static func number(_ bytes: Slice<UnsafeRawBufferPointer>) throws(Refusal) -> Int {
    guard !bytes.isEmpty else { throw .badFraming }
    var number = 0
    for byte in bytes {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { throw .badFraming }
      let (tenfold, overflow) = number.multipliedReportingOverflow(by: 10)
      number = overflow || tenfold > .max - 9 ? .max - 9 : tenfold + Int(byte - UInt8(ascii: "0"))
    }
    return number
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

  private static func isHost(_ byte: UInt8) -> Bool {
    byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: ",") && byte != UInt8(ascii: "/") && byte != UInt8(ascii: "@")
  }

  /// Whether `byte` is `small` or its capital letter.
  private static func isSame(_ byte: UInt8, _ small: UInt8) -> Bool {
    byte == small || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) && byte | 0x20 == small
  }
}

extension Refusal {
  fileprivate static let badFraming = Refusal.badRequest("The request does not state the length of its body clearly.")
}
