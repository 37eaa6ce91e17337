import Foundation
import NIOCore
import NIOHTTP1

/// Percent-encodes the bytes above ASCII of request targets on their way to the parser, which would refuse them. `curl` and
/// others send such targets as they are typed.
///
/// Nothing but request lines is touched. Where one begins is known because the parser gets every head and every body by
/// itself, and ``MessagePosition`` has seen what it made of them.
package final class TargetEncoder: ChannelInboundHandler, RemovableChannelHandler {
  package typealias InboundIn = ByteBuffer
  package typealias InboundOut = ByteBuffer

  private let position: MessagePosition
  /// Whether the request line of the next head is still coming.
  private var isRequestLine = true
  /// Whether the line that is coming has nothing in it so far.
  private var isLineEmpty = true

  package init(_ position: MessagePosition) { self.position = position }

  package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    while bytes.readableBytes > 0 {
      switch position.expected {
      case .head:
        let (length, target) = measureHead(bytes)
        var head = take(length, of: &bytes)
        if let target { head = Self.encoding(target, of: head) }
        context.fireChannelRead(wrapInboundOut(head))
      case .body(let left):
        context.fireChannelRead(wrapInboundOut(take(min(max(left, 1), bytes.readableBytes), of: &bytes)))
      case .bodyWithoutLength:
        let tail = bytes.readableBytesView.suffix(3)
        context.fireChannelRead(wrapInboundOut(take(bytes.readableBytes, of: &bytes)))
        // An empty line ended the body, or a head that came with it. Otherwise part of a head came with it, whose request
        // line is taken to have passed: at the worst its target is refused.
        isLineEmpty = tail.last == UInt8(ascii: "\n")
        isRequestLine =
          isLineEmpty && tail.allSatisfy { $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n") }
          || tail.elementsEqual("\n\r\n".utf8)
      }
    }
  }

  private func take(_ length: Int, of bytes: inout ByteBuffer) -> ByteBuffer {
    if length < bytes.readableBytes, let part = bytes.readSlice(length: length) { return part }
    defer { bytes = ByteBuffer() }
    return bytes
  }

  /// How many bytes belong to the head that is coming, and how many of them to a request line that has to be encoded.
  private func measureHead(_ bytes: ByteBuffer) -> (length: Int, target: Int?) {
    bytes.withUnsafeReadableBytes { bytes in
      var start = 0
      var target: Int?
      while start < bytes.count {
        let end = Self.lineFeed(in: bytes, from: start) ?? bytes.count
        let line = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
        if isRequestLine, line.contains(where: { $0 >= 0x80 }) { target = end }
        isLineEmpty = isLineEmpty && line.allSatisfy { $0 == UInt8(ascii: "\r") }
        guard end < bytes.count else { break }
        start = end + 1
        // Empty lines before a request line mean nothing (RFC 9112, section 2.2); the one after it ends the head.
        if isLineEmpty && !isRequestLine {
          isRequestLine = true
          return (start, target)
        }
        isRequestLine = isRequestLine && isLineEmpty
        isLineEmpty = true
      }
      return (bytes.count, target)
    }
  }

  private static func lineFeed(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
    guard let base = bytes.baseAddress, let found = memchr(base + start, 0x0A, bytes.count - start) else { return nil }
    return UnsafeRawPointer(found) - base
  }

  private static func encoding(_ length: Int, of head: ByteBuffer) -> ByteBuffer {
    var encoded: [UInt8] = []
    encoded.reserveCapacity(head.readableBytes + 64)
    for byte in head.readableBytesView.prefix(length) {
      if byte < 0x80 { encoded.append(byte) } else { encoded.append(percentEncoded: byte) }
    }
    encoded.append(contentsOf: head.readableBytesView.dropFirst(length))
    return ByteBuffer(bytes: encoded)
  }
}

/// What a connection's parser expects next, by what it has made of the bytes so far. For its event loop alone.
package final class MessagePosition {
  enum Expected {
    case head
    /// So many bytes of a body.
    case body(Int)
    /// A body whose end only the parser sees.
    case bodyWithoutLength
  }

  private var head: HTTPRequestHead?
  private var received = 0

  package init() {}

  /// - Parameter part: what the parser has just passed on.
  package func note(_ part: HTTPServerRequestPart) {
    switch part {
    case .head(let head):
      self.head = head
      received = 0
    case .body(let bytes): received += bytes.readableBytes
    case .end: head = nil
    }
  }

  var expected: Expected {
    guard let head else { return .head }
    guard let length = head.headers.first(name: "content-length").flatMap({ Int($0) }) else {
      return .bodyWithoutLength
    }
    return .body(length - received)
  }
}
