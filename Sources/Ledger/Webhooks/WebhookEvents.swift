/// The types of events that an endpoint is told of.
public struct WebhookEvents: OptionSet, Hashable, Sendable {
  /// As it is stored.
  public let rawValue: Int64
  public init(rawValue: Int64) { self.rawValue = rawValue }

  /// A draw was made.
  public static let outcomeCreated = WebhookEvents(rawValue: 1)
  /// A chain's server seed was revealed, and it has another.
  public static let chainRotated = WebhookEvents(rawValue: 2)
  /// A day's root was published.
  public static let dayPublished = WebhookEvents(rawValue: 4)
  /// The account has drawn all that it may today.
  public static let quotaReached = WebhookEvents(rawValue: 8)
  /// Another of the account's endpoints was disabled, not by hand.
  public static let webhookDisabled = WebhookEvents(rawValue: 16)

  /// Those that there are, in the order in which they are written.
  private static let named: [(name: String, event: WebhookEvents)] = [
    ("outcome.created", .outcomeCreated), ("chain.rotated", .chainRotated), ("day.published", .dayPublished),
    ("quota.reached", .quotaReached), ("webhook.disabled", .webhookDisabled),
  ]

  public static let all = WebhookEvents(named.map(\.event))
  public static let allNames = named.map(\.name)

  /// The types of these names; nil for none, and if one is unknown.
  public init?(names: some Sequence<some StringProtocol>) {
    self = []
    for name in names {
      guard let known = Self.named.first(where: { $0.name == name }) else { return nil }
      insert(known.event)
    }
    if isEmpty { return nil }
  }

  public var names: [String] { Self.named.filter { contains($0.event) }.map(\.name) }
}
