import JSON

/// A moment, in milliseconds since 1970-01-01T00:00:00 UTC, leap seconds not counted.
public typealias Milliseconds = Int64

extension Milliseconds {
  /// Whether this is a moment of the years 1970 to 9999. What a database holds beyond them was not recorded, and time
  /// does not go on from it.
  public var isPlausible: Bool { Self.plausible.contains(self) }

  /// The years 1970 to 9999.
  public static let plausible: ClosedRange<Milliseconds> = 0...253_402_300_799_999

  /// A moment of the years 1970 to 9999, written as `2026-11-21`, `2026-11-21T20:06Z`, `2026-11-21T20:06:00Z` or with
  /// three digits more.
  public init?(iso8601 text: String) {
    let parts = text.split(separator: "T", maxSplits: 1, omittingEmptySubsequences: false)
    guard let day = Day(parts[0]) else { return nil }
    self = day.start
    if parts.count > 1 {
      let form = /([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{3}))?)?Z/
      guard let time = parts[1].wholeMatch(of: form), let hours = Int64(time.1), hours < 24,
        let minutes = Int64(time.2), minutes < 60, let seconds = Int64(time.3 ?? "0"), seconds < 60,
        let rest = Int64(time.4 ?? "0")
      else { return nil }
      self += ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest
    }
    guard isPlausible else { return nil }
  }

  /// `2026-11-21T20:06:00Z`, whatever the moment.
  public var iso8601: String {
    var text: [UInt8] = []
    text.append(iso8601: self)
    return String(decoding: text.dropLast(5), as: UTF8.self) + "Z"
  }
}

/// A UTC day, numbered from 1970-01-01 as 0.
public struct Day: Hashable, Comparable, Sendable {
  public let number: Int64
  public init(number: Int64) { self.number = min(max(number, Self.numbers.lowerBound), Self.numbers.upperBound) }

  /// The day that `moment` falls in.
  public init(of moment: Milliseconds) {
    self.init(number: moment.flooring(by: 86_400_000))
  }

  public static func < (a: Self, b: Self) -> Bool { a.number < b.number }

  /// The day's first moment.
  public var start: Milliseconds { number * 86_400_000 }
  /// The first moment after the day.
  public var end: Milliseconds { start + 86_400_000 }

  public var next: Day { Day(number: number + 1) }
  public var previous: Day { Day(number: number - 1) }

  /// Days that numbers from a database are taken for, lest arithmetic with them overflows: those of any moment that
  /// ``Milliseconds`` can express, but for the first and the last few.
  private static let numbers: ClosedRange<Int64> = -106_751_991_000...106_751_991_000

  /// Whole seconds from `moment` to the end of its day, at least 1.
  public static func secondsLeft(at moment: Milliseconds) -> Int {
    Int((86_400_000 - moment.remainder(by: 86_400_000) + 999) / 1000)
  }
}

/// Days are written `2026-02-28`.
extension Day: CustomStringConvertible {
  /// - Returns: nil unless `text` is a day of the years 0001 to 9999 in the Gregorian calendar, written in ten characters.
  public init?(_ text: some StringProtocol) {
    let bytes = Array(text.utf8)
    guard bytes.count == 10, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-") else { return nil }
    func number(_ range: Range<Int>) -> Int64? {
      bytes[range].reduce(0) { sum, byte in
        guard let sum, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
        return sum * 10 + Int64(byte - UInt8(ascii: "0"))
      }
    }
    guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), year >= 1,
      (1...12).contains(month), day >= 1
    else { return nil }
    self.init(year: year, month: month, day: day)
    // A day that the month does not have comes out as one of the next month.
    guard civil == (year, month, day) else { return nil }
  }

  public var description: String {
    let (year, month, day) = civil
    func padded(_ number: Int64, _ width: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(width - text.count, 0)) + text
    }
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
  }

  // Both conversions are Howard Hinnant's, "chrono-Compatible Low-Level Date Algorithms", 2013. Years begin in March, so
  // that a leap day is the last day of its year; 719 468 days lie between 0000-03-01 and 1970-01-01.

  private init(year: Int64, month: Int64, day: Int64) {
    let shifted = month <= 2 ? year - 1 : year
    let era = shifted.flooring(by: 400)
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    number = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private var civil: (year: Int64, month: Int64, day: Int64) {
    let shifted = number + 719_468
    let era = shifted.flooring(by: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (
      yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    )
  }
}

extension Int64 {
  /// What ``flooring(by:)`` leaves: 0 or more.
  fileprivate func remainder(by divisor: Int64) -> Int64 {
    let remainder = self % divisor
    return remainder < 0 ? remainder + divisor : remainder
  }

  fileprivate func flooring(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}

extension [UInt8] {
  /// Appends a moment as `2026-11-21T20:06:00.123Z`, for the years 0 to 9999.
  public mutating func append(iso8601 moment: Milliseconds) {
    let day = Day(of: moment)
    let rest = moment.remainder(by: 86_400_000)
    append(text: day.description)
    append(UInt8(ascii: "T"))
    append(padded: rest / 3_600_000, digits: 2)
    append(UInt8(ascii: ":"))
    append(padded: rest / 60_000 % 60, digits: 2)
    append(UInt8(ascii: ":"))
    append(padded: rest / 1000 % 60, digits: 2)
    append(UInt8(ascii: "."))
    append(padded: rest % 1000, digits: 3)
    append(UInt8(ascii: "Z"))
  }

  private mutating func append(padded number: Int64, digits: Int) {
    let text = String(number)
    append(contentsOf: repeatElement(UInt8(ascii: "0"), count: Swift.max(0, digits - text.utf8.count)))
    append(contentsOf: text.utf8)
  }
}
