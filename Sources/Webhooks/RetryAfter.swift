import Foundation
import Ledger

/// A `Retry-After` header: seconds, or a date (RFC 9110 § 10.2.3).
package enum RetryAfter: Equatable {
  case pause(Milliseconds)
  case date(Milliseconds)

  /// Nil for what is neither.
  package init?(_ text: String) {
    let text = text.trimmingCharacters(in: .whitespaces)
    if !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) {
      // One of more than nine digits is longer than anything is tried.
      self = .pause((Milliseconds(text.prefix(9)) ?? 0) * 1000)
    } else {
      let dates = DateFormatter()
      dates.locale = Locale(identifier: "en_US_POSIX")
      dates.timeZone = .gmt
      dates.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
      guard let date = dates.date(from: text) else { return nil }
      self = .date(Milliseconds(date.timeIntervalSince1970 * 1000))
    }
  }

  /// How long to wait from `now` on; not less than nothing.
  package func pause(from now: Milliseconds) -> Milliseconds {
    switch self {
    case .pause(let pause): pause
    case .date(let date): max(0, date - now)
    }
  }
}
