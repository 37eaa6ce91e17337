/// What an API key may be used for, beside what needs no key.
public struct KeyScopes: OptionSet, Hashable, Sendable {
  /// As it is stored.
  public let rawValue: Int64
  public init(rawValue: Int64) { self.rawValue = rawValue }

  /// Draws, and all else that changes seed chains.
  public static let draw = KeyScopes(rawValue: 1)
  /// Looking up what the account has drawn and used.
  public static let read = KeyScopes(rawValue: 2)
  /// Webhooks; only with a live key.
  public static let manage = KeyScopes(rawValue: 4)

  /// What a key has unless something else is asked for.
  public static let usual: KeyScopes = [.draw, .read]

  /// The scopes that there are, in the order in which they are written.
  private static let named: [(name: String, scope: KeyScopes)] = [
    ("draw", .draw), ("read", .read), ("manage", .manage),
  ]

  /// The scopes of these names; nil for none, and if one is unknown.
  public init?(names: some Sequence<some StringProtocol>) {
    self = []
    for name in names {
      guard let known = Self.named.first(where: { $0.name == name }) else { return nil }
      insert(known.scope)
    }
    if isEmpty { return nil }
  }

  public var names: [String] { Self.named.filter { contains($0.scope) }.map(\.name) }

  /// Why a key of this mode cannot have these scopes; nil if it can.
  public func problem(in mode: Mode) -> String? {
    contains(.manage) && mode == .test ? "a test key cannot have the scope manage" : nil
  }
}
