/// Whose seed chains: an account's, or the ones that all anonymous callers share.
public enum SeedScope: Hashable, Sendable, CustomStringConvertible {
  case anonymous
  /// An account by its number, from 1.
  case account(UInt64)

  /// - Throws: ``InvalidParameter`` named `scope` unless `text` is `anonymous` or `account:` and a number
  ///   from 1 to 2^53 − 1, as ``description`` writes it.
  public init(_ text: String) throws(InvalidParameter) {
    if text == "anonymous" {
      self = .anonymous
    } else if text.hasPrefix("account:"), let number = UInt64(text.dropFirst(8)),
      (1...UInt64(Limits.safeIntegers.upperBound)).contains(number), "account:\(number)" == text
    {
      self = .account(number)
    } else {
      throw InvalidParameter(name: "scope", reason: "must be anonymous, or account: and the account's number")
    }
  }

  /// `anonymous` or `account:17`.
  public var description: String {
    switch self {
    case .anonymous: "anonymous"
    case .account(let number): "account:\(number)"
    }
  }
}
