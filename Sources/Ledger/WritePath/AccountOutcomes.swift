import Fairness

/// The outcomes that a group records for one account, live or test, by the first and the last of their row numbers. Those
/// of others may be between them.
public struct AccountRun: Sendable, Equatable {
  public var first, last: Int64

  public init(first: Int64, last: Int64) { (self.first, self.last) = (first, last) }
}

/// A place between two outcomes in the list of all outcomes of an account, in the order in which they were recorded.
///
/// A group has a run in the list of each account that it draws for, with a number; in a run, outcomes are ordered by their
/// row numbers. A place is the number of a run, and how many of the row numbers of that run come before it.
///
/// **Whatever is recorded later comes after each place that a reader can have seen**, so a reader that goes on from a place
/// skips nothing, and sees nothing twice:
///
/// - A run gets its number in the transaction that records its outcomes. The number is greater than all numbers in the
///   list: the time of the group, or the last number and one.
/// - No two groups are at the same list at once. A group holds the account from before it reads its time, and before it
///   looks up the last number, to the end of its commit: SQLite has one writer, and PostgreSQL locks the account's row,
///   with any number of servers. So runs become visible in the order of their numbers, each as a whole.
/// - A clock that goes back changes nothing, because of the second half of that rule. Nor does a backup that is restored:
///   its list ends earlier, but the time has gone on, so what is then recorded comes after the places of the time that was
///   lost.
public struct OutcomePlace: Sendable, Hashable, Comparable {
  /// The run's number.
  public let run: Int64
  /// How many of the run's row numbers come before it.
  public let passed: Int64

  /// How many numbers a millisecond has.
  public static let runsPerMillisecond: Int64 = 1 << 14

  /// Before everything.
  public static let start = OutcomePlace(run: 0, passed: 0)
  /// Behind everything.
  public static let end = OutcomePlace(run: .max, passed: 0)

  public init(run: Int64, passed: Int64) { (self.run, self.passed) = (run, passed) }

  /// Before what was recorded at a time.
  ///
  /// - Precondition: the time is plausible.
  public init(time: Milliseconds) { self.init(run: Self.number(at: time), passed: 0) }

  /// The first number of a run that is recorded at a time.
  public static func number(at time: Milliseconds) -> Int64 { time * runsPerMillisecond }

  public static func < (a: Self, b: Self) -> Bool { (a.run, a.passed) < (b.run, b.passed) }
}

/// Places are written as two hexadecimal numbers, such as `6a1b2c3d4e5f0-2`; the second is left out if it is 0.
extension OutcomePlace: CustomStringConvertible {
  public var description: String {
    String(run, radix: 16) + (passed == 0 ? "" : "-" + String(passed, radix: 16))
  }

  /// - Returns: nil for what ``description`` does not write.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), let run = Int64(parts[0], radix: 16), run >= 0,
      let passed = parts.count == 1 ? 0 : Int64(parts[1], radix: 16), (0...Int64(UInt32.max)).contains(passed)
    else { return nil }
    self.init(run: run, passed: passed)
    guard description == text else { return nil }
  }
}

/// Which part of an account's list is asked for.
public enum OutcomeSide: Sendable {
  /// What was recorded before a place, newest first.
  case before(OutcomePlace)
  /// What was recorded after a place, oldest first.
  case after(OutcomePlace)
}

/// Some of the outcomes of an account that are neighbours in its list, in the order that was asked for. A page may be
/// shorter than its limit, or empty, though there are more behind it: see ``maximumNumbers``.
public struct AccountOutcomePage: Sendable {
  public var page: OutcomePage
  /// Where the page begins and ends in the list.
  public var older, newer: OutcomePlace

  /// How many row numbers are looked at for a page, those of others among them.
  public static let maximumNumbers: Int64 = 10_000

  public init(page: OutcomePage, older: OutcomePlace, newer: OutcomePlace) {
    (self.page, self.older, self.newer) = (page, older, newer)
  }
}
