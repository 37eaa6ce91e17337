/// A span of an installation's life. A new one begins when the database was put back to an earlier state. Whatever was drawn
/// or told in the time that was lost, nothing of it is used again:
///
/// - The server seeds of an era follow from its number, so no chain draws from a seed that the lost time may have had. A
///   chain from before is given its next seed when it is first asked for, and the one before is revealed.
/// - Its numbers, and with them short ids, are behind all that the eras before can have given out.
/// - Coordinates go on at other cursors.
/// - Commitments from before have expired, and the continuous log is another.
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

  /// How many numbers an era has for rows of each kind.
  private static let rows: Int64 = 1_000_000_000_000
  /// Where chains begin that are made in this era.
  static func firstCursor(of era: Int64) -> Int64 { era * 1_000_000 }

  /// Where a chain from before stands in this era: it is moved on as far as the beginnings of the eras are apart, which is
  /// further than anybody moves it in time that is lost.
  static func cursor(_ cursor: Int64, from earlier: Int64, to era: Int64) -> Int64 {
    cursor + firstCursor(of: era) - firstCursor(of: earlier)
  }

  /// The last number that rows of the eras before this one can have.
  public static func lastNumber(before era: Int64) -> Int64 { era * rows }

  /// - Throws: a ``StoreFailure`` if `number` is none that this program wrote.
  public static func checked(_ number: Int64) throws(StoreFailure) -> Int64 {
    guard (0...SeedChain.largestCoordinate / rows).contains(number) else {
      throw StoreFailure("the table of eras is damaged: \(number) is no era", kind: .permanent)
    }
    return number
  }
}

/// Where an installation's eras are kept.
public protocol EraStore: Sendable {
  /// In the order they began; the one before the first is not among them.
  func eras() async throws -> [Era]
  /// Begins an era. Servers that run are told to stop by their ``LogHistory``.
  ///
  /// - Parameter known: the newest era that is known of otherwise; the database may have lost it.
  func beginEra(reason: String, after known: Int64) async throws -> Era
}
