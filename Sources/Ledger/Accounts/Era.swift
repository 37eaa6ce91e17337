/// A span of an installation's life. A new one begins when the database was put back to an earlier state: from then on no
/// chain draws from a server seed that may have been told in what was lost. See ``ChainSeeds/era``.
public struct Era: Sendable, Equatable {
  /// 1 or more; era 0 is the time before the first of them.
  public let number: Int64
  public let begun: Milliseconds
  /// Why, in the operator's words.
  public let reason: String

  public init(number: Int64, begun: Milliseconds, reason: String) {
    self.number = number
    self.begun = begun
    self.reason = reason
  }

  /// - Throws: a ``StoreFailure`` if `number` is none that this program wrote.
  public static func checked(_ number: Int64) throws(StoreFailure) -> Int64 {
    guard (0...SeedChain.largestCoordinate).contains(number) else {
      throw StoreFailure("the table of eras is damaged: \(number) is no era", kind: .permanent)
    }
    return number
  }
}
