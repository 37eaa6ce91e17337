import Foundation

/// The number of a webhook endpoint, from 1.
public struct WebhookEndpointID: Hashable, Comparable, Sendable {
  public let rawValue: Int64
  public init(_ rawValue: Int64) { self.rawValue = rawValue }
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Where an account wants to be told of its draws.
public struct WebhookEndpoint: Sendable, Equatable {
  public let id: WebhookEndpointID
  public let account: AccountID
  /// As it is stored.
  public let url: String
  /// Why nothing can be delivered to it, if its URL or secret is damaged.
  public let fault: String?
  /// Whether events are made for it and delivered.
  public let isEnabled: Bool
  /// Why it is not, for its operator.
  public let disabledReason: String?
  /// The types of events that it is told of.
  public let events: WebhookEvents
  /// What its events can be checked with by whoever does not have the secret; nil if the secret is damaged.
  public let publicKey: String?
  public let created: Milliseconds

  /// - Parameter target: what would be delivered to.
  public init(
    target: WebhookTarget, url: String, isEnabled: Bool, disabledReason: String?, events: WebhookEvents,
    created: Milliseconds
  ) {
    id = target.endpoint
    account = target.account
    self.url = url
    fault = target.fault
    self.isEnabled = isEnabled
    self.disabledReason = disabledReason
    self.events = events
    publicKey = target.signingKeys.first?.publicKey
    self.created = created
  }
}

/// What is to be changed of an endpoint; nil leaves a thing as it is.
public struct WebhookChange: Sendable {
  public var url: WebhookURL?
  public var events: WebhookEvents?
  /// Disabling keeps pending deliveries; enabling delivers them.
  public var isEnabled: Bool?

  public init(url: WebhookURL? = nil, events: WebhookEvents? = nil, isEnabled: Bool? = nil) {
    self.url = url
    self.events = events
    self.isEnabled = isEnabled
  }
}

/// A URL events may be sent to: http or https, a host, perhaps a port, path and query; no user, password or fragment.
public struct WebhookURL: Hashable, Sendable, CustomStringConvertible {
  public static let longest = 2048

  public let description: String
  /// A name in lower case or an IP address, without brackets.
  public let host: String

  /// Nil unless `text` is such a URL.
  public init?(_ text: String) {
    guard text.utf8.count <= Self.longest, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
      var parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(),
      ["http", "https"].contains(scheme), parts.user == nil, parts.password == nil, parts.fragment == nil,
      let name = parts.encodedHost?.lowercased(), !name.isEmpty, (1...65535).contains(parts.port ?? 80)
    else { return nil }
    let bare = name.hasPrefix("[") && name.hasSuffix("]") ? String(name.dropFirst().dropLast()) : name
    if bare.contains(":") {
      guard NetworkAddress(bare) != nil else { return nil }
    } else {
      guard bare.utf8.count <= 253, bare.utf8.allSatisfy(Self.isNameByte) else { return nil }
    }
    // Written anew, so that whoever takes it apart later finds the same host in it.
    parts.scheme = scheme
    parts.encodedHost = name
    if parts.path.isEmpty { parts.path = "/" }
    guard let normal = parts.string, let again = URL(string: normal), let host = again.host?.lowercased(),
      host == bare || host == "[\(bare)]"
    else { return nil }
    description = normal
    self.host = bare
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
      UInt8(ascii: "."), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}
