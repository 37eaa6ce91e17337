/// An origin a key may be used from: `scheme://host[:port]`. A host that begins with `*.` stands for one or more labels.
public struct RefererPattern: Sendable, Equatable {
  private let origin: Origin
  private let anySubdomain: Bool

  /// Nil unless `text` is an origin and nothing more.
  public init?(_ text: String) {
    guard let origin = Origin(text, allowingPath: false) else { return nil }
    anySubdomain = origin.host.hasPrefix("*.")
    self.origin = Origin(
      scheme: origin.scheme, host: anySubdomain ? String(origin.host.dropFirst()) : origin.host, port: origin.port)
    guard !self.origin.host.contains("*"), self.origin.host != "." else { return nil }
  }

  /// Whether `referer`, a URL, comes from here.
  public func allows(_ referer: String) -> Bool {
    guard let other = Origin(referer, allowingPath: true), other.scheme == origin.scheme, other.port == origin.port
    else {
      return false
    }
    guard anySubdomain else { return other.host == origin.host }
    return other.host.hasSuffix(origin.host) && other.host.count > origin.host.count
      && !other.host.hasPrefix(".")
  }
}

private struct Origin: Equatable {
  let scheme: String
  let host: String
  let port: Int

  init(scheme: String, host: String, port: Int) {
    self.scheme = scheme
    self.host = host
    self.port = port
  }

  init?(_ text: String, allowingPath: Bool) {
    guard let mark = text.range(of: "://") else { return nil }
    scheme = text[..<mark.lowerBound].lowercased()
    guard let usualPort = ["http": 80, "https": 443][scheme] else { return nil }
    let rest = text[mark.upperBound...]
    let authority = rest.prefix { !"/?#".contains($0) }
    guard allowingPath || authority.endIndex == rest.endIndex, !authority.contains("@") else { return nil }
    // An IPv6 host has colons of its own, and is in brackets for that reason.
    let hostEnd = authority.hasPrefix("[") ? authority.firstIndex(of: "]").map(authority.index(after:)) : nil
    let colon = authority[(hostEnd ?? authority.startIndex)...].firstIndex(of: ":")
    host = authority[..<(colon ?? authority.endIndex)].lowercased()
    if let colon {
      let digits = authority[authority.index(after: colon)...]
      guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let port = Int(digits),
        (1...65535).contains(port)
      else { return nil }
      self.port = port
    } else {
      port = usualPort
    }
    let allowed = "abcdefghijklmnopqrstuvwxyz0123456789-._*[]:"
    guard !host.isEmpty, host.allSatisfy({ allowed.contains($0) }) else { return nil }
  }
}
