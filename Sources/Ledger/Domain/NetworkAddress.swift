import Foundation

/// An IPv4 or IPv6 address. An IPv4 address in IPv6's clothing (`::ffff:192.0.2.1`) is the IPv4 address.
public struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
  /// 4 bytes or 16, most significant first.
  public let bytes: [UInt8]

  /// Reads an address in the usual notation; nil for anything else, a zone (`%eth0`) or a port included.
  public init?(_ text: some StringProtocol) {
    let text = String(text)
    guard !text.utf8.contains(0) else { return nil }  // C would see the text end there
    var v4 = in_addr()
    var v6 = in6_addr()
    if inet_pton(AF_INET, text, &v4) == 1 {
      self.init(bytes: withUnsafeBytes(of: v4) { Array($0) })
    } else if inet_pton(AF_INET6, text, &v6) == 1 {
      self.init(bytes: withUnsafeBytes(of: v6) { Array($0) })
    } else {
      return nil
    }
  }

  /// - Parameter bytes: 4 or 16, most significant first.
  public init(bytes: [UInt8]) {
    precondition(bytes.count == 4 || bytes.count == 16)
    let isMapped = bytes.count == 16 && bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
    self.bytes = isMapped ? Array(bytes[12...]) : bytes
  }

  /// The part that stands for one subscriber: an IPv4 address whole, an IPv6 address to its /64.
  public var subscriber: [UInt8] { bytes.count == 4 ? bytes : Array(bytes.prefix(8)) }

  public var description: String {
    if bytes.count == 4 { return "\(bytes[0]).\(bytes[1]).\(bytes[2]).\(bytes[3])" }
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard inet_ntop(AF_INET6, bytes, &text, socklen_t(text.count)) != nil else { return "?" }
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}

/// A block of addresses in CIDR notation; a single address is a block of one.
public struct Network: Hashable, Sendable {
  let address: NetworkAddress
  let prefixLength: Int

  /// Reads `192.0.2.0/24`, `2001:db8::/32` or a bare address; nil for anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), let address = NetworkAddress(parts[0]) else { return nil }
    let bits = address.bytes.count * 8
    if parts.count == 2 {
      guard parts[1].utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
        let length = Int(parts[1]), (0...bits).contains(length)
      else { return nil }
      prefixLength = length
    } else {
      prefixLength = bits
    }
    self.address = address
  }

  public func contains(_ other: NetworkAddress) -> Bool {
    guard other.bytes.count == address.bytes.count else { return false }
    let whole = prefixLength / 8
    guard other.bytes[..<whole] == address.bytes[..<whole] else { return false }
    let rest = prefixLength % 8
    return rest == 0 || (other.bytes[whole] ^ address.bytes[whole]) >> UInt8(8 - rest) == 0
  }
}
