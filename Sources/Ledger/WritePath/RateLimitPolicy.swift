/// A limit that a caller may use up, as the IETF's draft of the `RateLimit` header fields writes it.
public struct RateLimitPolicy: Sendable, Equatable, CustomStringConvertible {
  /// A word that names the limit.
  public let name: String
  /// How much there is in one window.
  public let quota: Int
  /// Seconds.
  public let window: Int

  public init(_ name: String, quota: Int, window: Int) {
    self.name = name
    self.quota = quota
    self.window = window
  }

  /// What an account may draw in a UTC day.
  public static func daily(quota: Int) -> RateLimitPolicy { RateLimitPolicy("daily", quota: quota, window: 86_400) }

  /// The value of `RateLimit-Policy`.
  public var description: String { "\"\(name)\";q=\(quota);w=\(window)" }

  /// The value of `RateLimit`; `reset` is in seconds.
  public func state(remaining: Int, reset: Int) -> String { "\"\(name)\";r=\(remaining);t=\(reset)" }
}
