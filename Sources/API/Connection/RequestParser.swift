import Foundation
import Ledger
import NIOCore
import NIOHTTP1

/// Reads HTTP/1 requests (RFC 9112) from the bytes of a connection, one at a time.
///
/// It is strict where two readers might disagree about where a request ends, and takes the bytes of a target as they are.
/// A value without a socket: the caller keeps the bytes, and what is not read yet stays in the caller's buffer.
package struct RequestParser {
  package struct Head {
    package var request: HTTPRequestHead
    package var framing: RequestFraming
    /// Whether the client wants the connection to stay open after the answer.
    package var isPersistent: Bool
    /// Whether the client waits for a `100 Continue` before it sends the body.
    package var expectsContinue: Bool
  }

  package enum BodyPart: Equatable {
    case bytes(ByteBuffer)
    case end
    case needsMore
  }

  private enum BodyState {
    case bytes(left: Int)
    case chunkSize
    case chunk(left: Int)
    case chunkEnd
    case trailers(left: Int)
    case ended
  }

  /// The longest head, in bytes: request line and header fields.
  package static let maximumHead = 112 * 1024
  package static let maximumFields = 256
  private static let maximumChunkLine = 256
  private static let maximumTrailers = 8 * 1024

  /// How many bytes of an unfinished head have been looked at.
  private var scanned = 0
  private var state = BodyState.ended

  package init() {}

  /// Passes over empty lines before a request: some clients send one after a body (RFC 9112, section 2.2).
  package mutating func skipEmptyLines(_ buffer: inout ByteBuffer) {
    while buffer.getInteger(at: buffer.readerIndex, as: UInt16.self) == 0x0D0A {
      buffer.moveReaderIndex(forwardBy: 2)
      scanned = 0
    }
  }

  /// The next head; nil if it is not complete yet. After a head comes its body, to the ``BodyPart/end``.
  ///
  /// - Throws: what is wrong with the request. Nothing more can be read from this connection then.
  package mutating func head(from buffer: inout ByteBuffer) throws(Refusal) -> Head? {
    skipEmptyLines(&buffer)
    let end: Result<Int?, Refusal> = buffer.withUnsafeReadableBytes { bytes in
      Result { () throws(Refusal) in try Self.endOfHead(bytes, from: scanned) }
    }
    guard let length = try end.get() else {
      guard buffer.readableBytes <= Self.maximumHead else { throw .headTooLong }
      scanned = buffer.readableBytes
      return nil
    }
    guard length <= Self.maximumHead else { throw .headTooLong }
    scanned = 0
    let head: Result<Head, Refusal> = buffer.withUnsafeReadableBytes { bytes in
      Result { () throws(Refusal) in
        var reader = HeadReader(UnsafeRawBufferPointer(rebasing: bytes[..<length]))
        return try reader.read()
      }
    }
    let read = try head.get()
    buffer.moveReaderIndex(forwardBy: length)
    switch read.framing {
    case .length(let length): state = .bytes(left: length)
    case .chunked: state = .chunkSize
    }
    return read
  }

  /// The next piece of the body that belongs to the last head.
  package mutating func body(from buffer: inout ByteBuffer) throws(Refusal) -> BodyPart {
    while true {
      switch state {
      case .bytes(0), .ended:
        state = .ended
        return .end
      case .bytes(let left):
        guard let bytes = buffer.readSlice(upTo: left) else { return .needsMore }
        state = .bytes(left: left - bytes.readableBytes)
        return .bytes(bytes)
      case .chunkSize:
        guard let line = try Self.line(from: &buffer, upTo: Self.maximumChunkLine) else { return .needsMore }
        let size = try Self.chunkSize(line)
        state = size == 0 ? .trailers(left: Self.maximumTrailers) : .chunk(left: size)
      case .chunk(0):
        state = .chunkEnd
      case .chunk(let left):
        guard let bytes = buffer.readSlice(upTo: left) else { return .needsMore }
        state = .chunk(left: left - bytes.readableBytes)
        return .bytes(bytes)
      case .chunkEnd:
        guard let line = try Self.line(from: &buffer, upTo: 2) else { return .needsMore }
        guard line.readableBytes == 0 else { throw .badChunk }
        state = .chunkSize
      case .trailers(let left):
        guard let line = try Self.line(from: &buffer, upTo: left) else { return .needsMore }
        state = line.readableBytes == 0 ? .ended : .trailers(left: left - line.readableBytes - 2)
      }
    }
  }

  // MARK: Pieces

  /// The length of the head with its empty line; nil if the end has not come.
  private static func endOfHead(_ bytes: UnsafeRawBufferPointer, from scanned: Int) throws(Refusal) -> Int? {
    guard let base = bytes.baseAddress else { return nil }
    var position = scanned
    while position < bytes.count, let found = memchr(base + position, 0x0A, bytes.count - position) {
      let index = UnsafeRawPointer(found) - base
      guard index > 0, bytes[index - 1] == 0x0D else { throw .notHTTP }
      if index >= 3, bytes[index - 2] == 0x0A { return index + 1 }
      position = index + 1
    }
    // What does not even begin like a request need not be waited for to its end.
    for byte in bytes.prefix(Self.longestMethod) {
      if byte == 0x20 { return nil }
      guard isToken(byte) || byte == 0x0D && bytes.count == 1 else { throw .notHTTP }
    }
    return nil
  }

  static let longestMethod = 64

  /// A line without its end; nil if it has not come whole.
  private static func line(from buffer: inout ByteBuffer, upTo limit: Int) throws(Refusal) -> ByteBuffer? {
    let view = buffer.readableBytesView.prefix(limit)
    guard let end = view.firstIndex(of: 0x0A) else {
      if view.count == limit { throw .badChunk }
      return nil
    }
    guard end > view.startIndex, view[end - 1] == 0x0D,
      let line = buffer.readSlice(length: end - 1 - view.startIndex)
    else { throw .badChunk }
    buffer.moveReaderIndex(forwardBy: 2)
    return line
  }

  /// The size that a chunk's first line gives; extensions are passed over.
  private static func chunkSize(_ line: ByteBuffer) throws(Refusal) -> Int {
    let digits = line.readableBytesView.prefix { $0 != UInt8(ascii: ";") && $0 != 0x20 && $0 != 0x09 }
    // No more digits than a body of any length that is read can need.
    guard (1...8).contains(digits.count), digits.allSatisfy({ $0.isHexadecimal }),
      let size = Int(String(decoding: digits, as: UTF8.self), radix: 16)
    else { throw .badChunk }
    return size
  }
}

/// How the end of a body is known.
package enum RequestFraming: Equatable {
  case length(Int)
  case chunked
}

extension ByteBuffer {
  /// All there is, but no more than `limit`; nil if there is nothing.
  fileprivate mutating func readSlice(upTo limit: Int) -> ByteBuffer? {
    readableBytes == 0 ? nil : readSlice(length: min(limit, readableBytes))
  }
}

extension UInt8 {
  fileprivate var isHexadecimal: Bool {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
      UInt8(ascii: "A")...UInt8(ascii: "F"):
      true
    default: false
    }
  }
}

/// Whether a byte may be part of a method or of a field's name (RFC 9110, section 5.6.2).
func isToken(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"):
    true
  case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "!"), UInt8(ascii: "#"),
    UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"),
    UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
    true
  default: false
  }
}

extension Refusal {
  static let notHTTP = Refusal.badRequest("This is not an HTTP/1.1 request.")
  static let badChunk = Refusal.badRequest("The request's body is not valid chunked coding.")
  static let headTooLong = Refusal(431, "The request's headers are too long.", code: .headersTooLong)
}
