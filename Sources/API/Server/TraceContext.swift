/// The caller's trace, as the header `traceparent` names it (W3C Trace Context, level 1).
package struct TraceContext: Equatable {
  /// 32 hexadecimal digits.
  package let traceID: Substring
  /// The caller's span: 16 hexadecimal digits.
  package let parentID: Substring

  /// Reads `00-<32 digits>-<16 digits>-<2 digits>`, in lowercase. Of a later version it reads the same beginning, as the
  /// specification asks. Nil for anything else: a header that is malformed is ignored.
  package init?(_ header: String) {
    let bytes = header.utf8
    guard bytes.count >= Self.length else { return nil }
    func field(_ start: Int, _ length: Int) -> Substring? {
      let from = bytes.index(bytes.startIndex, offsetBy: start)
      let to = bytes.index(from, offsetBy: length)
      let isFollowed = start + length == Self.length || bytes[to] == UInt8(ascii: "-")
      return isFollowed && bytes[from..<to].allSatisfy(Self.isDigit) ? header[from..<to] : nil
    }
    guard let version = field(0, 2), let trace = field(3, 32), let parent = field(36, 16), field(53, 2) != nil,
      version != "ff", !trace.utf8.allSatisfy(Self.isZero), !parent.utf8.allSatisfy(Self.isZero)
    else { return nil }
    if bytes.count > Self.length {
      guard version != "00", bytes[bytes.index(bytes.startIndex, offsetBy: Self.length)] == UInt8(ascii: "-") else {
        return nil
      }
    }
    traceID = trace
    parentID = parent
  }

  /// The length of version 00, in bytes.
  private static let length = 55

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
  }

  private static func isZero(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "0") }
}
