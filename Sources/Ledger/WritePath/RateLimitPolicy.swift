/// A limit that a caller may use up, as the IETF's draft of the `RateLimit` header fields writes it
/// (draft-ietf-httpapi-ratelimit-headers-11).
public struct RateLimitPolicy: Sendable, Equatable, CustomStringConvertible {
  /// A word that names the limit.
  public let name: String
  /// How much there is in one window.
  public let quota: Int
  /// Seconds; nil for what does not renew by the clock.
  public let window: Int?
  /// What is counted, if it is not requests or outcomes; one of the draft's quota units.
  public let unit: String?

  public init(_ name: String, quota: Int, window: Int? = nil, unit: String? = nil) {
    self.name = name
    self.quota = quota
    self.window = window
    self.unit = unit
  }

  /// What an account may draw in a UTC day.
  public static func daily(quota: Int) -> RateLimitPolicy { RateLimitPolicy("daily", quota: quota, window: 86_400) }

  /// What may be drawn with one key in a UTC day.
  public static func key(quota: Int) -> RateLimitPolicy { RateLimitPolicy("key", quota: quota, window: 86_400) }

  /// The value of `RateLimit-Policy`.
  public var description: String {
    "\"\(name)\";q=\(quota)" + (window.map { ";w=\($0)" } ?? "") + (unit.map { ";qu=\"\($0)\"" } ?? "")
  }

  /// The value of `RateLimit`; `reset` is in seconds.
  public func state(remaining: Int, reset: Int?) -> String {
    "\"\(name)\";r=\(remaining)" + (reset.map { ";t=\($0)" } ?? "")
  }
}

/// What is left of the quotas of a caller who has drawn.
public struct QuotaLeft: Sendable, Equatable {
  /// Of the account's today.
  public let daily: Int
  /// Of the key's own today, if it has one.
  public let key: Int?

  public init(daily: Int, key: Int?) {
    self.daily = daily
    self.key = key
  }

  /// The value of `RateLimit`. Every draw has it, so it leaves out when the quota renews: with at most five digits it is
  /// a string that takes no memory of its own.
  public var rateLimit: String {
    let text = "\"daily\";r=" + String(daily)
    return key.map { text + ", \"key\";r=" + String($0) } ?? text
  }
}
